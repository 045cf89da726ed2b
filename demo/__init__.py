"""Lev to PostgreSQL on one machine: a sandbox account, a database and Meltano, all started here."""
