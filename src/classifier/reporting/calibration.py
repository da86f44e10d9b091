"""Calibration: whether probabilities agree with accuracy, and temperature scaling to improve it."""

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import softmax

from classifier.saved.rounding import rounded, significant

BINS = 15
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0  # bounds of the search


def reliability_table(
    labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS
) -> pd.DataFrame:
    """The accuracy of the predictions by their probability, which is rounded to three decimals.

    Of classes with the same probability before rounding, the first one is the predicted one.

    Args:
        labels: integers (N,).
        probabilities: (N, classes), 0..1.
        bins: number of bins of equal width between 0 and 1.

    Returns:
        A row per bin that is not empty: low, high (its edges), images, confidence (the mean
        probability of the predicted class, six significant digits), accuracy.
    """
    correct = probabilities.argmax(axis=1) == labels
    return by_probability(correct, rounded(probabilities.max(axis=1)), bins)


def by_probability(correct: np.ndarray, confidence: np.ndarray, bins: int = BINS) -> pd.DataFrame:
    """The table of :func:`reliability_table`, of answers that are right or not.

    Args:
        correct: bool (N,).
        confidence: the probability of each, 0..1, (N,), with three decimals.
    """
    number = np.minimum((confidence * bins).astype(int), bins - 1)
    predictions = pd.DataFrame({"bin": number, "confidence": confidence, "accuracy": correct})
    table = predictions.groupby("bin").agg(
        images=("accuracy", "size"),
        confidence=("confidence", "mean"),
        accuracy=("accuracy", "mean"),
    )
    table["confidence"] = table["confidence"].map(significant)
    table.insert(0, "low", (table.index / bins).map(significant))
    table.insert(1, "high", ((table.index + 1) / bins).map(significant))
    return table.reset_index(drop=True)


def expected_calibration_error(
    labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS
) -> float:
    """The mean difference of confidence and accuracy over the images, by bins: 0 (best) to 1.

    Naeini et al., Obtaining well calibrated probabilities using Bayesian binning, 2015.
    The arguments are those of :func:`reliability_table`.
    """
    return error_of(reliability_table(labels, probabilities, bins))


def error_of(table: pd.DataFrame) -> float:
    """The expected calibration error of a table of :func:`by_probability`."""
    difference = (table["confidence"] - table["accuracy"]).abs()
    return float((difference * table["images"]).sum() / table["images"].sum())


def brier_score(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The mean squared distance of the probabilities from the labels: 0 (best) to 2.

    Brier, Verification of forecasts expressed in terms of probability, 1950. It has six significant
    digits. The arguments are those of :func:`reliability_table`.
    """
    shown = rounded(probabilities)
    of_label = shown[np.arange(len(labels)), labels]
    return significant(float(((shown**2).sum(axis=1) + 1 - 2 * of_label).mean()))


def fit_temperature(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The temperature with the lowest log loss. It is above 1 for an overconfident network.

    Guo et al., On calibration of modern neural networks, 2017.

    Args:
        labels: integers (N,), of images that the network was not trained on.
        probabilities: (N, classes), 0..1.
    """

    def log_loss(logarithm: float) -> float:
        scaled = apply_temperature(probabilities, float(np.exp(logarithm)))
        of_label = scaled[np.arange(len(labels)), labels]
        return float(-np.log(np.maximum(of_label, 1e-15)).mean())

    bounds = float(np.log(MIN_TEMPERATURE)), float(np.log(MAX_TEMPERATURE))
    result = minimize_scalar(log_loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return float(np.exp(result.x))


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """The softmax of the logits divided by the temperature, float64 (N, classes).

    The logarithms of the probabilities replace the logits: they differ by a constant per image,
    which does not change the softmax.
    """
    logits = np.log(np.maximum(probabilities.astype(np.float64), 1e-30))
    return softmax(logits / temperature, axis=1)
