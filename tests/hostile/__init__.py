"""Input as nobody should send it: files, settings, answers, and attacks on the key."""
