"""The labels of an image as one text, where it may have several or none: ``daisy;roses``."""

from collections.abc import Iterable, Sequence

import numpy as np


def names_of(text: str, separator: str) -> list[str]:
    """The names in a text, each once, sorted; none of an empty text."""
    return sorted({name.strip() for name in text.split(separator)} - {""})


def as_text(names: Iterable[str], separator: str) -> str:
    """The names as one text; the same text for the same names in any order."""
    return separator.join(sorted(names))


def multi_hot(texts: Sequence[str], classes: Sequence[str], separator: str) -> np.ndarray:
    """Whether each image has each of the classes, uint8 (N, classes), 0 or 1.

    Args:
        texts: of N images. Names that are not among ``classes`` do not count.
    """
    places = {name: place for place, name in enumerate(classes)}
    has = np.zeros((len(texts), len(classes)), np.uint8)
    for row, text in enumerate(texts):
        for name in names_of(text, separator):
            if name in places:
                has[row, places[name]] = 1
    return has
