"""The sandbox is what it says it is."""
