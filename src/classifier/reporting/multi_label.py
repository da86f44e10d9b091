"""How well several labels an image are predicted: thresholds, metrics, tables.

The answer to an image is all classes whose probability is at or above a threshold of their own,
chosen on the validation split. It is right if it has every label of the image and no other.
"""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import bootstrap
from sklearn import metrics as sk

from classifier.formats.label_sets import as_text
from classifier.reporting.calibration import by_probability, error_of
from classifier.reporting.predictions import Predictions
from classifier.saved.rounding import MEAN_LOSS, rounded, significant, significant_table

RESAMPLED_AT_ONCE = 2_000_000  # numbers in an array of resamples: bounds the bootstrap's memory
INTERVALS = ("accuracy", "mean_average_precision", "micro_f1", "macro_f1", "log_loss")


def fit_thresholds(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """The threshold of each class with the highest F1, float64 (classes,).

    Of several, it is the one nearest to 0.5. It lies between two probabilities of three decimals,
    so that a rounded probability is on the same side as the exact one.

    Args:
        labels: (N, classes), 0 or 1, of images that the network was not trained on; each class is
            on one of them at least.
        probabilities: (N, classes), 0..1.
    """
    thresholds = []
    for has, scores in zip(labels.T, rounded(probabilities).T, strict=True):
        precision, recall, cuts = sk.precision_recall_curve(has, scores)
        f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
        best = np.flatnonzero(f1[:-1] >= f1[:-1].max() - 1e-9)
        cut = best[np.abs(cuts[best] - 0.5).argmin()]
        # In thousandths: the cut, and the next lower score, between which the threshold lies.
        upper, below = round(1000 * cuts[cut]), scores[scores < cuts[cut] - 1e-4]
        lower = round(1000 * below.max()) if len(below) else 0
        thresholds.append(max((upper + lower + 1) // 2 - 0.5, 0) / 1000)
    return np.array(thresholds)


def answered(predictions: Predictions, thresholds: np.ndarray, separator: str) -> Predictions:
    """The predictions with their thresholds, and with the table of :func:`labels_table`."""
    table = labels_table(
        predictions.table["id"],
        predictions.labels,
        predictions.probabilities,
        predictions.classes,
        thresholds,
        separator,
    )
    return predictions._replace(table=table, thresholds=thresholds)


def labels_table(
    ids: pd.Series,
    labels: np.ndarray,
    probabilities: np.ndarray,
    classes: list[str],
    thresholds: np.ndarray,
    separator: str,
) -> pd.DataFrame:
    """A row per image, like that of
    :func:`classifier.reporting.predictions.predictions_table`.

    Args:
        labels: (N, classes), 0 or 1.
        probabilities: float32 (N, classes).

    Returns:
        id; class and predicted, the texts of all labels and of all that are predicted, empty for
        none; correct, whether they are the same; probability, of the whole answer, if the labels
        were independent; loss, the mean cross-entropy of the labels (nats); and a column
        ``p(<class>)`` per class. Probabilities and loss have three decimals.
    """
    shown = rounded(probabilities)
    predicted = shown >= thresholds
    names = np.array(classes, dtype=object)
    of_answer = np.where(predicted, shown, 1 - shown).prod(axis=1)
    table = pd.DataFrame(
        {
            "id": ids.to_numpy(),
            "class": [as_text(names[row], separator) for row in labels.astype(bool)],
            "predicted": [as_text(names[row], separator) for row in predicted],
            "correct": (predicted == labels.astype(bool)).all(axis=1),
            "probability": rounded(of_answer),
            "loss": rounded(label_losses(labels, probabilities).mean(axis=1)),
        }
    )
    return table.assign(**{f"p({name})": shown[:, at] for at, name in enumerate(classes)})


def label_losses(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """The cross-entropy of each label, nats, float64 (N, classes)."""
    exact = probabilities.astype(np.float64)
    of_label = np.where(labels.astype(bool), exact, 1 - exact)
    return -np.log(np.maximum(of_label, np.finfo(np.float64).eps))


def label_metrics(test: Predictions) -> dict[str, Any]:
    """The metrics of the test split, those of scikit-learn.

    Args:
        test: of :func:`answered`.

    Returns:
        accuracy: the share of images that are right as a whole (exact match).
        mean_average_precision: the mean over the classes of the average precision, of all
        thresholds. micro_f1: of all labels together. macro_f1: the mean over the classes.
        log_loss: the mean of all labels, nats, five decimals. images, and of these unlabelled, the
        number of those without any label, and the number of labels and of answered_labels. And
        calibration: ece and brier of all labels together.
    """
    has = test.labels.astype(bool)
    shown = rounded(test.probabilities)
    predicted = shown >= test.thresholds
    return {
        "accuracy": float(test.table["correct"].mean()),
        "mean_average_precision": significant(float(np.mean(average_precisions(has, shown)))),
        "micro_f1": significant(sk.f1_score(has, predicted, average="micro", zero_division=0)),
        "macro_f1": significant(sk.f1_score(has, predicted, average="macro", zero_division=0)),
        "log_loss": round(float(label_losses(has, test.probabilities).mean()), MEAN_LOSS),
        "images": len(has),
        "unlabelled": int((~has.any(axis=1)).sum()),
        "labels": int(has.sum()),
        "answered_labels": int(predicted.sum()),
        "untested_classes": 0,
        "calibration": {
            "ece": significant(error_of(by_probability(has.ravel(), shown.ravel()))),
            "brier": significant(float(((shown - has) ** 2).mean())),
        },
    }


def average_precisions(has: np.ndarray, shown: np.ndarray) -> list[float]:
    """The average precision of each class, 0..1, of rounded probabilities (N, classes)."""
    return [
        float(sk.average_precision_score(labels, scores))
        for labels, scores in zip(has.T, shown.T, strict=True)
    ]


def label_tables(
    test: Predictions,
    validation: Predictions,
    *,
    trained: Mapping[str, int],
    seed: int,
    samples: int,
    count: int,
) -> dict[str, pd.DataFrame]:
    """The tables by file name, as of :func:`classifier.reporting.tables.evaluation_tables`.

    ``confusion`` has a row per class: of the test images, the numbers of those with it that are
    found and missed, and of those without it that are false alarms and left alone. ``calibration``
    counts each label of an image as one. ``suspicious`` has images, not labels.

    Args:
        test, validation: of :func:`answered`.
        trained: images to train, by class.
        seed, samples: of the bootstrap.
        count: the most suspicious images, of the validation and test splits together.
    """
    has, shown = test.labels.astype(bool), rounded(test.probabilities)
    both = pd.concat([validation.table, test.table], ignore_index=True)
    of_both = np.concatenate([validation.labels, test.labels])
    reliability = by_probability(has.ravel(), shown.ravel()).assign(probabilities="as trained")
    return {
        "predictions": test.table,
        "classes": significant_table(label_table(test, trained)),
        "confusion": count_table(test),
        "intervals": significant_table(intervals(test, seed=seed, samples=samples)),
        "calibration": reliability,
        "suspicious": both.loc[suspicious(both, of_both)[:count]],
    }


def label_table(test: Predictions, trained: Mapping[str, int]) -> pd.DataFrame:
    """A row per class: class, trained and images (numbers of images to train and to test that have
    it), threshold, and precision, recall, f1 and average_precision, 0..1."""
    has, shown = test.labels.astype(bool), rounded(test.probabilities)
    assert test.thresholds is not None
    precision, recall, f1, support = sk.precision_recall_fscore_support(
        has, shown >= test.thresholds, average=None, zero_division=np.nan
    )
    return pd.DataFrame(
        {
            "class": test.classes,
            "trained": [trained.get(name, 0) for name in test.classes],
            "images": np.asarray(support).astype(int),
            "threshold": test.thresholds,
            "precision": precision,
            "recall": recall,
            "f1": f1,
            "average_precision": average_precisions(has, shown),
        }
    )


def count_table(test: Predictions) -> pd.DataFrame:
    """A row per class: class, and test images: found, missed, false_alarms, left_alone."""
    predicted = rounded(test.probabilities) >= test.thresholds
    counts = sk.multilabel_confusion_matrix(test.labels.astype(bool), predicted).astype(int)
    return pd.DataFrame(
        {
            "class": test.classes,
            "found": counts[:, 1, 1],
            "missed": counts[:, 1, 0],
            "false_alarms": counts[:, 0, 1],
            "left_alone": counts[:, 0, 0],
        }
    )


def intervals(test: Predictions, *, seed: int, samples: int) -> pd.DataFrame:
    """95 % confidence intervals of INTERVALS, as of
    :func:`classifier.reporting.metrics.bootstrap_intervals`.

    A resample without an image of a class leaves the class out of the two means.
    """
    has, shown = test.labels.astype(bool), rounded(test.probabilities)
    predicted, right = shown >= test.thresholds, test.table["correct"].to_numpy(float)
    loss = label_losses(has, test.probabilities).mean(axis=1)
    count, classes = shown.shape
    hits, sizes = (has & predicted).astype(float), has.astype(float) + predicted
    orders = np.argsort(-shown, axis=0, kind="stable")
    # The last place of each score: what has the same score is found at once.
    ends = [
        np.append(np.flatnonzero(np.diff(shown[o, c])), count - 1) for c, o in enumerate(orders.T)
    ]

    def compute(rows: np.ndarray, axis: int) -> np.ndarray:
        """The metrics (5, resamples) of resampled images, rows (resamples, N)."""
        offsets = count * np.arange(len(rows))[:, None]
        weights = np.bincount((rows + offsets).ravel(), minlength=len(rows) * count)
        weights = weights.reshape(-1, count).astype(float)  # how often each image is drawn
        found, size = weights @ hits, weights @ sizes
        f1 = np.divide(2 * found, size, out=np.full_like(size, np.nan), where=size > 0)
        precisions = [
            average(weights[:, orders[:, at]], has[orders[:, at], at], ends[at])
            for at in range(classes)
        ]
        micro = 2 * found.sum(axis=1) / np.maximum(size.sum(axis=1), 1)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Mean of empty slice")
            means = np.nanmean(precisions, axis=0), micro, np.nanmean(f1, axis=1)
        return np.stack([weights @ right / count, *means, weights @ loss / count])

    interval = bootstrap(
        (np.arange(count),),
        compute,
        n_resamples=samples,
        batch=max(1, RESAMPLED_AT_ONCE // (count * 4)),
        vectorized=True,
        method="percentile",
        rng=seed,
    ).confidence_interval
    table = pd.DataFrame({"metric": INTERVALS, "low": interval.low, "high": interval.high})
    of_loss = table["metric"] == "log_loss"
    table.loc[of_loss, ["low", "high"]] = table.loc[of_loss, ["low", "high"]].round(MEAN_LOSS)
    return table


def average(weights: np.ndarray, has: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The average precision of a class with weighted images, (resamples,); NaN without any.

    Args:
        weights: of the images from the highest score to the lowest, (resamples, N).
        has: whether they have the class, bool (N,).
        ends: the last image of each score.
    """
    found = np.cumsum(weights * has, axis=1)[:, ends]
    all_of_it = found[:, -1]
    shown = np.maximum(np.cumsum(weights, axis=1)[:, ends], 1)
    steps = np.diff(found, prepend=0, axis=1)
    sums = (steps * found / shown).sum(axis=1)
    return np.divide(sums, all_of_it, out=np.full_like(sums, np.nan), where=all_of_it > 0)


def suspicious(table: pd.DataFrame, labels: np.ndarray) -> np.ndarray:
    """The rows of images with a label that may be wrong, the likeliest first.

    By confident learning of each class against the rest: Thyagarajan et al., Identifying incorrect
    annotations in multi-label classification data, 2022, https://arxiv.org/abs/2211.13895.

    Args:
        table: of :func:`labels_table`.
        labels: (N, classes), 0 or 1.
    """
    # Imported late: only few commands need it, and it takes a second.
    from cleanlab.multilabel_classification.filter import find_label_issues

    probabilities = table[[name for name in table if str(name).startswith("p(")]].to_numpy(float)
    given = [np.flatnonzero(row).tolist() for row in labels]
    found = find_label_issues(given, probabilities, n_jobs=1)
    of_given = np.where(labels.astype(bool), probabilities, 1 - probabilities).min(axis=1)
    rows = np.flatnonzero(found)
    return rows[np.lexsort((table["id"].to_numpy(str)[rows], of_given[rows]))]
