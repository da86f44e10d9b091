"""How far features are from those of the training data."""

from typing import NamedTuple

import numpy as np

SHRINKAGE = 0.01  # of the mean variance: what is added to each
BITS = 2048  # steps between two powers of two: two kinds of CPU give the same number, mostly


class Distance(NamedTuple):
    """A squared Mahalanobis distance: ``((features - mean) @ whitening) ** 2``, summed.

    Lee et al., A simple unified framework for detecting out-of-distribution samples and
    adversarial attacks, NeurIPS 2018; of all classes together, as Kamoi and Kobayashi, Why is the
    Mahalanobis distance effective for anomaly detection?, 2020.

    Attributes:
        mean: float32 (D,).
        whitening: float32 (D, D).
    """

    mean: np.ndarray
    whitening: np.ndarray

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """float64 (N,), from features (N, D)."""
        whitened = (features.astype(np.float64) - self.mean) @ self.whitening
        squares: np.ndarray = (whitened**2).sum(axis=1)
        return squares


def fit_distance(features: np.ndarray, usual: np.ndarray) -> Distance:
    """The distance from training images, with median 1 over other images of the classes.

    Args:
        features: of training images, (N, D).
        usual: of images that the network was not trained on, (M, D).
    """
    mean = _few_bits(features.mean(axis=0, dtype=np.float64))
    centred = features.astype(np.float64) - mean
    covariance = centred.T @ centred / len(features)
    variance = max(float(np.trace(covariance)) / len(covariance), 1e-12)
    values, vectors = np.linalg.eigh(covariance)
    # The symmetric root: others depend on the signs of the vectors.
    deviations = np.sqrt(np.maximum(values, 0) + SHRINKAGE * variance)
    whitening = (vectors / deviations) @ vectors.T
    median = float(np.median(Distance(mean, whitening)(usual)))
    return Distance(
        mean.astype(np.float32),
        _few_bits(whitening / np.sqrt(max(median, 1e-12))).astype(np.float32),
    )


def _few_bits(numbers: np.ndarray) -> np.ndarray:
    mantissa, exponent = np.frexp(numbers)
    rounded: np.ndarray = np.ldexp(np.round(mantissa * BITS) / BITS, exponent)
    return rounded
