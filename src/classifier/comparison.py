"""Two classifiers on the same images: whether one is better, and at which classes."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from classifier.errors import InputError


class McNemar(NamedTuple):
    """What McNemar's test says of two classifiers."""

    only_first: int  # images that only the first one has right
    only_second: int
    p_value: float  # how likely so uneven a pair of counts is if both are as good


def mcnemar(first: np.ndarray, second: np.ndarray) -> McNemar:
    """The exact test of whether two classifiers err equally often.

    Only images on which they differ count; under equality each falls either way with chance 1/2.
    McNemar, Note on the sampling error of the difference between correlated proportions, 1947; in
    its exact form, as Dietterich, 1998, recommends for classifiers that were trained once.

    Args:
        first, second: bool (N,), whether each classifier has the image right.
    """
    only_first = int((first & ~second).sum())
    only_second = int((second & ~first).sum())
    differing = only_first + only_second
    p_value = float(binomtest(only_first, differing).pvalue) if differing else 1.0
    return McNemar(only_first, only_second, p_value)


def align(first: pd.DataFrame, second: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two tables of predictions, rows in the same order of images.

    Args:
        first, second: of :func:`classifier.evaluation.predictions_table`.

    Raises:
        InputError: they are not of the same images with the same labels.
    """
    one, other = (table.set_index("id").sort_index() for table in (first, second))
    if not one.index.equals(other.index):
        shared = len(one.index.intersection(other.index))
        raise InputError(
            f"they were tested on different images: {len(one):,} and {len(other):,}, "
            f"{shared:,} of them the same; compare runs of one split"
        )
    if (one["class"] != other["class"]).any():
        raise InputError("they were tested with different labels of the same images")
    return one, other


def class_differences(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """The recall of each class by two classifiers, in shares of 1.

    Args:
        first, second: of :func:`align`.

    Returns:
        A row a class: class, images, first, second, difference (second minus first).
    """
    table = pd.DataFrame(
        {"class": first["class"], "first": first["correct"], "second": second["correct"]}
    )
    found = table.groupby("class").agg(
        images=("first", "size"), first=("first", "mean"), second=("second", "mean")
    )
    return found.assign(difference=found["second"] - found["first"]).reset_index()
