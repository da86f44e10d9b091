"""Makes the pages of the reference from the code."""
