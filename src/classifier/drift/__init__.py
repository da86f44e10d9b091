"""Drift: whether new pictures, and the answers to them, differ from those of the test split."""
