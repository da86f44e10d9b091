"""Cross-validation: the figures of trainings on several folds, with several seeds each."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student

from classifier.support.errors import InputError

Choice = tuple[int, int]  # the number of the fold, and the seed


def fold_table(metrics: Mapping[Choice, Mapping[str, float]]) -> pd.DataFrame:
    """A row per training: fold, seed, images, accuracy, macro_f1, log_loss.

    Args:
        metrics: of each training's run in MLflow, ``test.accuracy`` for example.
    """
    names = ("images", "accuracy", "macro_f1", "log_loss")
    return pd.DataFrame(
        {"fold": fold, "seed": seed} | {name: of_run[f"test.{name}"] for name in names}
        for (fold, seed), of_run in metrics.items()
    ).astype({"images": int})


def out_of_fold(predictions: Mapping[Choice, pd.DataFrame]) -> pd.DataFrame:
    """Every image once per seed, as predicted by the model that did not train on its fold.

    Args:
        predictions: tables of :func:`classifier.reporting.predictions.predictions_table`.

    Returns:
        Their columns, after fold and seed.
    """
    tables = []
    for (fold, seed), table in predictions.items():
        table = table.copy()
        table.insert(0, "seed", seed)
        table.insert(0, "fold", fold)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def summarize(table: pd.DataFrame) -> dict[str, float]:
    """The mean accuracy, and its standard deviations between folds and between seeds, 0..1.

    Args:
        table: of :func:`fold_table`.

    Returns:
        accuracy; folds_std, of the folds' means; with several seeds also seeds_std, within a fold
        (the root of the mean variance).
    """
    by_fold = table.groupby("fold")["accuracy"]
    figures = {
        "accuracy": float(by_fold.mean().mean()),
        "folds_std": float(by_fold.mean().std()),
    }
    if table["seed"].nunique() > 1:
        figures["seeds_std"] = float(np.sqrt(by_fold.var().mean()))
    return figures


def differences(first: pd.DataFrame, second: pd.DataFrame) -> pd.Series:
    """The second accuracy minus the first, by fold. Each is the mean over the seeds.

    Args:
        first, second: of :func:`out_of_fold`, of the same folds.

    Raises:
        InputError: a fold has other images in the two tables.
    """
    one, other = (
        table.groupby("fold").agg(ids=("id", frozenset), accuracy=("correct", "mean"))
        for table in (first, second)
    )
    if one["ids"].to_dict() != other["ids"].to_dict():
        raise InputError(
            "their folds have different images; compare with the same --folds and split.seed"
        )
    return other["accuracy"] - one["accuracy"]


def corrected_t_test(differences: Any) -> float:
    """The probability of differences as large as these, if both ways of training are equally good.

    The folds share most of their training images: a plain t-test finds too many differences. This
    one has a larger variance: Nadeau and Bengio, Inference for the generalization error, 2003.

    Args:
        differences: floats (folds,), of cross-validation with all folds.
    """
    folds = len(differences)
    mean, variance = np.mean(differences), np.var(differences, ddof=1)
    if variance == 0:
        return 1.0 if mean == 0 else 0.0
    test_to_train = 1 / (folds - 1)
    statistic = mean / np.sqrt((1 / folds + test_to_train) * variance)
    return float(2 * student.sf(abs(statistic), folds - 1))
