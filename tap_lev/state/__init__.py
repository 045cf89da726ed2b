"""Keep in the Singer state how far each stream is: bookmark, walk and place."""
