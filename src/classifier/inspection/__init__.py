"""A look at a dataset before there is a pipeline for it: what it has, and what looks wrong."""
