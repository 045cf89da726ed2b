"""What a run did and how far it is: reports, progress lines and bars, metrics."""
