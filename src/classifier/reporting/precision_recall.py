"""Precision and recall of a class, against all others, at every threshold of its probability.

They are computed from probabilities that are rounded to three decimals.
"""

import numpy as np
import pandas as pd
from sklearn import metrics as sk

from classifier.saved.rounding import rounded

RAREST = 5  # classes of which a curve is drawn


def average_precisions(labels: np.ndarray, probabilities: np.ndarray) -> list[float]:
    """The average precision of each class, 0..1; NaN for a class without images.

    Args:
        labels: integers (N,).
        probabilities: (N, classes), 0..1.
    """
    scores = rounded(probabilities)
    return [
        float(sk.average_precision_score(labels == label, scores[:, label]))
        if (labels == label).any()
        else np.nan
        for label in range(scores.shape[1])
    ]


def rarest_curves(
    labels: np.ndarray, probabilities: np.ndarray, classes: pd.DataFrame, count: int = RAREST
) -> dict[str, pd.DataFrame]:
    """The curves of the classes with the fewest images to train, of those with images to test.

    Args:
        labels, probabilities: of :func:`average_precisions`.
        classes: of :func:`classifier.reporting.tables.class_table`.
        count: the most classes.

    Returns:
        A table for each, the rarest class first, by a text for a legend: recall and precision,
        0..1, from the lowest threshold to the highest.
    """
    scores, curves = rounded(probabilities), {}
    tested = classes[classes["images"] > 0].sort_values("trained", kind="stable")
    for label, row in zip(tested.index, tested.head(count).to_dict("records"), strict=False):
        precision, recall, _ = sk.precision_recall_curve(labels == label, scores[:, label])
        name = (
            f"{row['class']}: average precision {row['average_precision']:.3f}, "
            f"{row['trained']:,} images to train"
        )
        curves[name] = pd.DataFrame({"recall": recall, "precision": precision})
    return curves
