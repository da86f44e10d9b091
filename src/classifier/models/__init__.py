"""Model families: one file each, one function that builds a Keras model."""
