"""Decodes image files to pixels, and draws grids of images."""
