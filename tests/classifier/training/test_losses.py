"""The losses against their definition, and what a loss must be."""

from typing import Any

import keras
import numpy as np
import pytest

from classifier.support.errors import InputError
from classifier.training.losses import check_loss, focal

PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.2, 0.2, 0.6]], np.float32)
LABELS = np.array([[1, 0, 0], [0, 1, 0]], np.float32)


@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (1.0, 0.0), (1.0, 5.0)])
def test_the_focal_loss_is_that_of_the_paper(alpha: float, gamma: float) -> None:
    loss = focal(label_smoothing=0.0, alpha=alpha, gamma=gamma)
    of_label = np.array([0.7, 0.2])
    expected = (-alpha * (1 - of_label) ** gamma * np.log(of_label)).mean()
    assert float(loss(LABELS, PROBABILITIES)) == pytest.approx(expected, rel=1e-5)


def test_the_focal_loss_smooths_labels() -> None:
    smooth = focal(label_smoothing=0.3, alpha=1.0, gamma=0.0)
    expected = keras.losses.CategoricalCrossentropy(label_smoothing=0.3)(LABELS, PROBABILITIES)
    assert float(smooth(LABELS, PROBABILITIES)) == pytest.approx(float(expected), rel=1e-5)


class OwnLoss(keras.losses.Loss):
    def call(self, y_true: Any, y_pred: Any) -> Any:
        return keras.ops.sum(y_true - y_pred, axis=-1)


def test_the_losses_of_the_groups_pass_the_check() -> None:
    for loss in (focal(label_smoothing=0.1, alpha=1, gamma=2), keras.losses.KLDivergence()):
        check_loss(loss, 3)


@pytest.mark.fault("a loss that cannot be used", "one line, before any work")
@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda y_true, y_pred: 0.0, "loss: it is of type function: return a keras.losses.Loss"),
        (
            keras.losses.CategoricalFocalCrossentropy(alpha=[1.0, 2.0]),
            "loss: CategoricalFocalCrossentropy cannot be computed for 3 classes: ",
        ),
        (
            keras.losses.CategoricalFocalCrossentropy(alpha=float("nan")),
            "is nan for equal probabilities of 3 classes",
        ),
        (OwnLoss(), "loss: Keras cannot load OwnLoss from a saved model"),
    ],
    ids=["a function", "a list of the wrong length", "NaN", "not registered"],
)
def test_what_a_loss_must_be(loss: Any, message: str) -> None:
    with pytest.raises(InputError) as raised:
        check_loss(loss, 3)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
