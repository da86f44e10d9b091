"""The evaluation of a model: metrics, tables, pictures, and the report."""
