"""From files of text to packed blocks of tokens."""
