"""A model without probabilities is refused before its first step."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from classifier.support.errors import InputError
from classifier.training.outputs import check_outputs

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)


def network(*head: keras.layers.Layer) -> keras.Model:
    first = [keras.Input((8, 8, 3), dtype="uint8"), keras.layers.Rescaling(1 / 255)]
    return keras.Sequential([*first, keras.layers.Flatten(), *head], name="own")


def two_outputs() -> keras.Model:
    model = network(keras.layers.Dense(3, activation="softmax"))
    return keras.Model(model.inputs, 2 * model.outputs, name="own")


@pytest.mark.parametrize("classes", [2, 10, 1000])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_a_softmax_of_any_precision_passes(dtype: str, classes: int) -> None:
    model = network(keras.layers.Dense(classes, activation="softmax", dtype=dtype))
    before = model.get_weights()
    check_outputs(model, IMAGES, classes)
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.fault(
    "a model of the user's own whose outputs are no probabilities",
    "one line before the first epoch that says what to add",
)
@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            lambda: network(keras.layers.Dense(3)),
            r"no probabilities: the lowest is .*, not 1: end it with",
        ),
        (
            lambda: network(keras.layers.Dense(3, activation="sigmoid")),
            "no probabilities: the lowest is",
        ),
        (
            lambda: network(keras.layers.Dense(4, activation="softmax")),
            r"shape \(8, 4\) .*, not \(8, 3\)",
        ),
        (
            network,
            r"shape \(8, 192\) for 8 images, not \(8, 3\), a probability per class: end it",
        ),
        (two_outputs, r"shape \[\(8, 3\), \(8, 3\)\] for 8 images, not \(8, 3\)"),
        (
            lambda: network(
                keras.layers.Dense(3, bias_initializer=keras.initializers.Constant(np.nan))
            ),
            "NaN or infinite before the first step",
        ),
        (lambda: "a name", "model: it is of type str: return a keras.Model"),
    ],
    ids=["logits", "sigmoids", "too many", "no head", "two outputs", "NaN", "no model"],
)
def test_other_outputs_are_refused(model: Callable[[], Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        check_outputs(model(), IMAGES, 3)
    assert "\n" not in str(refused.value)
