"""Metrics of a classifier, from its probabilities and the true labels."""

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import bootstrap
from sklearn import metrics as sk

from classifier.reporting.calibration import (
    apply_temperature,
    brier_score,
    expected_calibration_error,
    fit_temperature,
)
from classifier.reporting.predictions import Predictions, losses
from classifier.saved.rounding import MEAN_LOSS, significant

RESAMPLED_AT_ONCE = 100_000  # numbers in an array of resamples: bounds the bootstrap's memory


def evaluate_predictions(test: Predictions, validation: Predictions) -> dict[str, Any]:
    """The metrics of the test split, and its calibration before and after temperature scaling.

    The temperature is fitted on the validation split. It has four significant digits, and
    the figures of the scaled probabilities are those with it.

    Returns:
        Those of :func:`compute_metrics`, and ``calibration``: ece, brier, temperature, scaled_ece,
        scaled_log_loss, scaled_brier.
    """
    temperature = significant(fit_temperature(validation.labels, validation.probabilities), 4)
    scaled = apply_temperature(test.probabilities, temperature)
    return compute_metrics(test.labels, test.probabilities) | {
        "calibration": {
            "ece": significant(expected_calibration_error(test.labels, test.probabilities)),
            "brier": brier_score(test.labels, test.probabilities),
            "temperature": temperature,
            "scaled_ece": significant(expected_calibration_error(test.labels, scaled)),
            "scaled_log_loss": compute_metrics(test.labels, scaled)["log_loss"],
            "scaled_brier": brier_score(test.labels, scaled),
        }
    }


def compute_metrics(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, Any]:
    """The metrics of scikit-learn.

    Args:
        labels: integers (N,).
        probabilities: (N, classes), 0..1.

    Returns:
        accuracy, balanced_accuracy, top_2_accuracy and macro_f1, 0..1; log_loss, nats; images,
        their number; and untested_classes, the number of those without images. balanced_accuracy is
        the mean recall of the classes with images, macro_f1 the mean over the classes that are
        among the labels or the predictions: for the others, F1 is 0 / 0. accuracy and
        top_2_accuracy are numbers of images divided by their number, exactly. The log_loss has five
        decimals, the two means over classes six significant digits. Of classes with the same
        probability, the first one counts as the most probable.
    """
    predicted = probabilities.argmax(axis=1)
    recalls = sk.recall_score(labels, predicted, labels=np.unique(labels), average="macro")
    f1 = sk.f1_score(labels, predicted, average="macro", zero_division=0)
    return {
        "accuracy": float(sk.accuracy_score(labels, predicted)),
        "balanced_accuracy": significant(recalls),
        "top_2_accuracy": float(_in_top_2(labels, probabilities).mean()),
        "log_loss": round(float(losses(labels, probabilities).mean()), MEAN_LOSS),
        "macro_f1": significant(f1),
        "images": len(labels),
        "untested_classes": probabilities.shape[1] - len(np.unique(labels)),
    }


def bootstrap_intervals(
    labels: np.ndarray, probabilities: np.ndarray, *, seed: int, samples: int = 1000
) -> pd.DataFrame:
    """95 % confidence intervals of the metrics: the test images are resampled with replacement.

    Efron and Tibshirani, An introduction to the bootstrap, 1993, chapter 13 (percentiles). The
    intervals cover the choice of the test images, not the randomness of training.

    Args:
        labels: integers (N,), N at least 2.
        probabilities: (N, classes), 0..1.
        samples: number of resamples.

    Returns:
        A row per metric: metric (accuracy, balanced_accuracy, top_2_accuracy, log_loss,
        macro_f1), low, high. Each resample has the metrics of :func:`compute_metrics`; the
        log_loss has five decimals, too.
    """
    count, classes = probabilities.shape
    labels = labels.astype(np.int64)
    in_top_2 = _in_top_2(labels, probabilities)
    loss = losses(labels, probabilities)
    cells = labels * classes + probabilities.argmax(axis=1)  # of the confusion matrix

    def compute(rows: np.ndarray, axis: int) -> np.ndarray:
        """The metrics (5, resamples) of resampled images, rows (resamples, N)."""
        offsets = classes**2 * np.arange(len(rows))[:, None]
        counts = np.bincount((cells[rows] + offsets).ravel(), minlength=len(rows) * classes**2)
        confusion = counts.reshape(-1, classes, classes)
        correct = np.diagonal(confusion, axis1=1, axis2=2)
        images = confusion.sum(axis=2)
        recalls = correct / np.maximum(images, 1)
        balanced_accuracy = recalls.sum(axis=1) / (images > 0).sum(axis=1)
        sizes = confusion.sum(axis=1) + images
        f1 = 2 * correct / np.maximum(sizes, 1)
        macro_f1 = f1.sum(axis=1) / (sizes > 0).sum(axis=1)
        accuracy = correct.sum(axis=1) / count
        means = in_top_2[rows].mean(axis=1), loss[rows].mean(axis=1)
        return np.stack([accuracy, balanced_accuracy, *means, macro_f1])

    interval = bootstrap(
        (np.arange(count),),
        compute,
        n_resamples=samples,
        batch=max(1, RESAMPLED_AT_ONCE // max(count, classes**2)),
        vectorized=True,
        method="percentile",
        rng=seed,
    ).confidence_interval
    names = ["accuracy", "balanced_accuracy", "top_2_accuracy", "log_loss", "macro_f1"]
    table = pd.DataFrame({"metric": names, "low": interval.low, "high": interval.high})
    of_loss = table["metric"] == "log_loss"
    table.loc[of_loss, ["low", "high"]] = table.loc[of_loss, ["low", "high"]].round(MEAN_LOSS)
    return table


def _in_top_2(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Whether each label is one of the two most probable classes, bool (N,).

    Not ``sklearn.metrics.top_k_accuracy_score``: it gives only their mean, and refuses two classes.
    """
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :2]
    return (best == labels[:, None]).any(axis=1)
