"""How images lie in a folder or an archive, and what their classes and splits are."""
