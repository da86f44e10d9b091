"""From a dataset's sources to arrays and batches."""
