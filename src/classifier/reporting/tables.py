"""The tables of an evaluation, each a CSV file."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from sklearn import metrics as sk

from classifier.reporting.calibration import apply_temperature, reliability_table
from classifier.reporting.label_errors import label_errors
from classifier.reporting.metrics import bootstrap_intervals
from classifier.reporting.precision_recall import average_precisions
from classifier.reporting.predictions import Predictions
from classifier.saved.rounding import significant_table


def evaluation_tables(
    test: Predictions,
    validation: Predictions,
    *,
    trained: Mapping[str, int],
    temperature: float,
    seed: int,
    samples: int,
    count: int,
) -> dict[str, pd.DataFrame]:
    """The tables by file name: predictions, classes, confusion, intervals, calibration,
    suspicious; rounded as :mod:`classifier.saved.rounding` says, but for the accuracy of each bin
    of the calibration, a number of images divided by their number.

    Args:
        trained: images to train, by class.
        temperature: of :func:`classifier.reporting.metrics.evaluate_predictions`.
        seed, samples: of the bootstrap.
        count: the most suspicious labels, of the validation and test splits together.
    """
    probabilities = {
        "as trained": test.probabilities,
        "scaled": apply_temperature(test.probabilities, temperature),
    }
    calibration = [
        reliability_table(test.labels, values).assign(probabilities=name)
        for name, values in probabilities.items()
    ]
    both_splits = pd.concat([validation.table, test.table], ignore_index=True)
    confusion = confusion_table(test.labels, test.probabilities, test.classes)
    classes = class_table(test.labels, test.probabilities, test.classes, trained)
    intervals = bootstrap_intervals(test.labels, test.probabilities, seed=seed, samples=samples)
    return {
        "predictions": test.table,
        "classes": significant_table(classes),
        "confusion": confusion.reset_index(),
        "intervals": significant_table(intervals),
        "calibration": pd.concat(calibration, ignore_index=True),
        "suspicious": label_errors(both_splits).head(count),
    }


def class_table(
    labels: np.ndarray,
    probabilities: np.ndarray,
    classes: list[str],
    trained: Mapping[str, int],
) -> pd.DataFrame:
    """A row per class: class, trained and images (numbers of images to train and to test), and
    precision, recall, f1 and average_precision, 0..1.

    A share of nothing is NaN: the precision of a class that is never predicted, the recall and the
    average precision of one without images, the f1 of one with neither. The mean of f1 is macro_f1,
    that of recall balanced_accuracy.

    Args:
        labels: integers (N,).
        probabilities: (N, classes).
        trained: images to train, by class.
    """
    precision, recall, f1, support = sk.precision_recall_fscore_support(
        labels, probabilities.argmax(axis=1), labels=range(len(classes)), zero_division=np.nan
    )
    return pd.DataFrame(
        {
            "class": classes,
            "trained": [trained.get(name, 0) for name in classes],
            "images": support.astype(int),  # scikit-learn may count in floats
            "precision": precision,
            "recall": recall,
            "f1": f1,
            "average_precision": average_precisions(labels, probabilities),
        }
    )


def confusion_table(
    labels: np.ndarray, probabilities: np.ndarray, classes: list[str]
) -> pd.DataFrame:
    """Numbers of images: a row per true class, a column per predicted class.

    Args:
        labels: integers (N,).
        probabilities: (N, classes).
    """
    counts = sk.confusion_matrix(labels, probabilities.argmax(axis=1), labels=range(len(classes)))
    return pd.DataFrame(counts, index=pd.Index(classes, name="class"), columns=classes)
