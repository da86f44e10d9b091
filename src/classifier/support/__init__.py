"""Code that changes no output of a stage: errors, atomic writes, URLs, checksums, limits."""
