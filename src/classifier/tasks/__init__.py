"""What a model is asked of an image: one class, or each of several. A file a task."""
