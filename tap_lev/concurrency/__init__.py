"""Run threads: the run lock, the workers, the end by a signal."""
