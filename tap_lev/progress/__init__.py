"""Report what a run did and how far it is: summary, progress lines and bars, metrics."""
