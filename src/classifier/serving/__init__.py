"""A trained model for use: export, runtimes, loading, promotion."""
