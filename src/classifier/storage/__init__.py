"""Images and labels of a split on disk: NumPy arrays or TFRecord shards."""
