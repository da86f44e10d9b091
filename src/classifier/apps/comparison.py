"""Compares two classifiers on the same images: which one is better, and for which classes."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from classifier.support.errors import InputError


class McNemar(NamedTuple):
    """The result of McNemar's test."""

    only_first: int  # images that only the first classifier predicts correctly
    only_second: int  # images that only the second classifier predicts correctly
    p_value: float  # the probability of counts as different as these, if both are equally good


def mcnemar(first: np.ndarray, second: np.ndarray) -> McNemar:
    """McNemar's exact test of whether two classifiers have the same error rate.

    It counts the images that only one of them predicts correctly. If the error rates are the same,
    it is either one with probability 1/2. McNemar, Note on the sampling error of the difference
    between correlated proportions, 1947. Dietterich, Approximate statistical tests for comparing
    supervised classification learning algorithms, 1998, recommends it for classifiers that are
    trained once.

    Args:
        first, second: bool (N,), whether each classifier predicts the image correctly.
    """
    only_first = int((first & ~second).sum())
    only_second = int((second & ~first).sum())
    differing = only_first + only_second
    p_value = float(binomtest(only_first, differing).pvalue) if differing else 1.0
    return McNemar(only_first, only_second, p_value)


def align(first: pd.DataFrame, second: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Sorts two tables of predictions by image, so that their rows correspond.

    Args:
        first, second: of :func:`classifier.reporting.predictions.predictions_table`.

    Raises:
        InputError: the tables have different images or different labels.
    """
    one, other = (table.set_index("id").sort_index() for table in (first, second))
    if not one.index.equals(other.index):
        shared = len(one.index.intersection(other.index))
        raise InputError(
            f"they were tested on different images: {len(one):,} and {len(other):,}, "
            f"{shared:,} of them the same; compare runs of the same split"
        )
    if (one["class"] != other["class"]).any():
        raise InputError("they were tested on the same images with different labels")
    return one, other


def class_differences(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """The recall per class of two classifiers, 0..1.

    Args:
        first, second: of :func:`align`.

    Returns:
        One row per class: class, images, first, second, difference (second minus first).
    """
    table = pd.DataFrame(
        {"class": first["class"], "first": first["correct"], "second": second["correct"]}
    )
    recalls = table.groupby("class").agg(
        images=("first", "size"), first=("first", "mean"), second=("second", "mean")
    )
    return recalls.assign(difference=recalls["second"] - recalls["first"]).reset_index()
