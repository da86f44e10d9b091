"""The images of a dataset: read from the raw file, and listed in the manifest."""
