"""Keras layers that are part of a saved model."""
