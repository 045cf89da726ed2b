"""Drive a run: which list is read when, page by page, and what is proven at its end."""
