"""Rehearsal: what a training will be like, measured in a minute or two before it begins."""
