"""Whether probabilities mean what they say, and one number that mends most of it."""

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar

BINS = 15
COLDEST, HOTTEST = 0.05, 20.0  # temperatures that are looked at


def reliability_table(
    labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS
) -> pd.DataFrame:
    """How often predictions of each confidence are right.

    Args:
        labels: integers (N,).
        probabilities: (N, classes).

    Returns:
        A row a bin of equal width that holds an image: low, high (its edges), images, confidence
        (the mean probability of the predicted class), accuracy.
    """
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    table = pd.DataFrame({"bin": place, "confidence": confidence, "accuracy": correct})
    found = table.groupby("bin").agg(
        images=("accuracy", "size"),
        confidence=("confidence", "mean"),
        accuracy=("accuracy", "mean"),
    )
    found.insert(0, "low", found.index / bins)
    found.insert(1, "high", (found.index + 1) / bins)
    return found.reset_index(drop=True)


def expected_calibration_error(
    labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS
) -> float:
    """The mean distance of confidence from accuracy over the images, by bins: 0 is best, 1 worst.

    Naeini et al., Obtaining well calibrated probabilities using Bayesian binning, 2015.
    """
    table = reliability_table(labels, probabilities, bins)
    distance = (table["confidence"] - table["accuracy"]).abs()
    return float((distance * table["images"]).sum() / table["images"].sum())


def fit_temperature(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The temperature with the lowest log loss on images that the network was not trained on.

    Above 1 for a network that is surer than it is right. Guo et al., On calibration of modern
    neural networks, 2017.
    """

    def log_loss(logarithm: float) -> float:
        scaled = apply_temperature(probabilities, float(np.exp(logarithm)))
        of_truth = scaled[np.arange(len(labels)), labels]
        return float(-np.log(np.maximum(of_truth, 1e-15)).mean())

    bounds = float(np.log(COLDEST)), float(np.log(HOTTEST))
    found = minimize_scalar(log_loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """The probabilities with the logits divided by the temperature: float64, the same order.

    The logarithms of probabilities are the logits but for a constant an image, which softmax
    does not see.
    """
    logits = np.log(np.maximum(probabilities.astype(np.float64), 1e-30)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
