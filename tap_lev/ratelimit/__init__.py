"""Decide when a request may be sent: limits, budget, scheduler."""
