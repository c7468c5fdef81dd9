"""How a place is reached, one file for each scheme of a URI: `find` gives the local path behind it."""
