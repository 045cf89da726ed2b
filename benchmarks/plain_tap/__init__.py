"""A tap for the same streams as the SDK's template lays one out: what the SDK gives, no more."""
