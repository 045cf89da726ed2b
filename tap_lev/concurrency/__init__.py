"""The threads of a run: the run lock, the workers, the end by a signal."""
