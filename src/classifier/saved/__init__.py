"""Saved models: files, size, fingerprint; figures rounded for files."""
