"""The usual names of splits, as folders and as values of a table."""

SPELLINGS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
    "eval": "test",
}


def split_of(name: str) -> str | None:
    """The split that a name means, in any case: train, validation or test; None for none."""
    return SPELLINGS.get(name.strip().lower())
