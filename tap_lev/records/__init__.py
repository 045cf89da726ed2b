"""From a row of Lev to a RECORD message: schemas, values, pages, the writer."""
