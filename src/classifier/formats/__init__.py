"""File formats of downloaded datasets: archives of image files, and arrays."""
