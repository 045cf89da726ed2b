"""What the user gives: settings, environment, input files; checked before anything is sent."""
