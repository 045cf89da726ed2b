"""Drive a run: read the lists page by page, and prove that they are complete."""
