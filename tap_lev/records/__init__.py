"""Turn rows of Lev into RECORD messages: schemas, decoding, mapping, writing."""
