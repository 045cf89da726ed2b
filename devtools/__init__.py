"""Programs for those who work on the tap: the demo, generators of the docs, and measures."""
