"""Singer tap for Lev, the platform for commercial real estate finance."""

import time

BEGUN = time.monotonic()
"""When the program began: to load what it needs takes longer than a small sync."""
