"""Calibration: known errors, a known temperature, and the order of the classes."""

import numpy as np
import pytest
from scipy.special import softmax

from classifier.reporting.calibration import (
    apply_temperature,
    expected_calibration_error,
    fit_temperature,
    reliability_table,
)


def simulated(temperature: float, count: int = 20000) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from calibrated probabilities, and the probabilities of a network with logits
    that are too large by the factor ``temperature``."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (count, 4))
    calibrated = softmax(logits, axis=1)
    labels = (calibrated.cumsum(axis=1) < rng.random((count, 1))).sum(axis=1)
    return labels.clip(0, 3), softmax(temperature * logits, axis=1)


def test_error_of_predictions_with_probability_1_and_accuracy_one_half() -> None:
    probabilities = np.eye(2)[[0, 0, 0, 0]]
    labels = np.array([0, 0, 1, 1])
    assert expected_calibration_error(labels, probabilities) == 0.5
    (row,) = reliability_table(labels, probabilities, bins=10).to_dict("records")
    assert row == {"low": 0.9, "high": 1.0, "images": 4, "confidence": 1.0, "accuracy": 0.5}


def test_error_is_the_mean_of_the_bins_weighted_by_images() -> None:
    probabilities = np.array([[0.55, 0.45]] * 3 + [[0.05, 0.95]])
    labels = np.array([0, 1, 1, 1])
    expected = (3 * (0.55 - 1 / 3) + 1 * (1 - 0.95)) / 4
    assert expected_calibration_error(labels, probabilities, bins=10) == pytest.approx(expected)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_fitted_temperature_is_the_known_one_and_reduces_the_error(temperature: float) -> None:
    labels, probabilities = simulated(temperature)
    fitted = fit_temperature(labels, probabilities)
    assert fitted == pytest.approx(temperature, rel=0.05)
    scaled = apply_temperature(probabilities, fitted)
    assert expected_calibration_error(labels, scaled) < 0.015
    if temperature != 1:
        assert expected_calibration_error(labels, probabilities) > 0.05


def test_scaling_keeps_the_order_and_the_sum() -> None:
    _, probabilities = simulated(1.0, count=100)
    scaled = apply_temperature(probabilities.astype(np.float32), 2.5)
    np.testing.assert_array_equal(scaled.argsort(axis=1), probabilities.argsort(axis=1))
    np.testing.assert_allclose(scaled.sum(axis=1), 1)
    np.testing.assert_allclose(apply_temperature(probabilities, 1.0), probabilities, atol=1e-12)


def test_probabilities_of_0_stay_finite() -> None:
    scaled = apply_temperature(np.array([[1.0, 0.0]], np.float32), 0.05)
    np.testing.assert_array_equal(scaled, [[1.0, 0.0]])
