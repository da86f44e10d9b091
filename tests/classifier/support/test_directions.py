"""Each metric knows whether more or less of it is better."""

import pytest

from classifier.support.directions import HIGHER, LOWER, direction, is_better
from classifier.support.errors import InputError


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("accuracy", HIGHER),
        ("best_val_accuracy", HIGHER),
        ("test.macro_f1", HIGHER),
        ("log_loss", LOWER),
        ("val_loss", LOWER),
        ("best_loss", LOWER),
        ("test.calibration.ece", LOWER),
    ],
)
def test_metrics_by_all_their_names(metric: str, expected: str) -> None:
    assert direction(metric) == expected


@pytest.mark.parametrize(
    ("metric", "hint"),
    [("acuracy", "did you mean 'accuracy'"), ("calibration.temperature", "valid: accuracy, ")],
)
def test_a_metric_without_a_direction_is_named(metric: str, hint: str) -> None:
    with pytest.raises(InputError, match=f"it is not known .* of '{metric}' is better: {hint}"):
        direction(metric)


def test_the_better_of_two_values() -> None:
    assert is_better("accuracy", 0.9, 0.8)
    assert is_better("log_loss", 0.3, 0.5)
    assert not is_better("accuracy", 0.9, 0.9)
    assert not is_better("log_loss", float("nan"), 0.5)
    assert not is_better("log_loss", 0.5, float("nan"))
