"""When a request may be sent: limits, budget, scheduler."""
