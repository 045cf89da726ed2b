"""What the Singer state keeps of each stream: bookmark, walk and place."""
