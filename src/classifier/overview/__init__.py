"""The page of the data: what its images are like, before any training."""
