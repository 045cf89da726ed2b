"""The generated data."""
