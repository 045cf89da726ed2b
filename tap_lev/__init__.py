"""Singer tap for Lev, the platform for commercial real estate finance."""
