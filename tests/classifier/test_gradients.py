"""The gradient checker: it passes what is right and names what is wrong."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from classifier.gradients import (
    GradientError,
    central_differences,
    check_gradients,
    check_layer,
    check_loss,
    forward_mode,
    reverse_mode,
)
from classifier.normalization import LocalContrastNormalization, PerImageStandardization

IMAGES = np.random.default_rng(1).uniform(0, 255, (2, 5, 5, 2))
KINDS: dict[str, Any] = {
    "dense": lambda: keras.layers.Dense(3, activation="tanh", dtype="float64"),
    "convolution": lambda: keras.layers.Conv2D(2, 3, padding="same", dtype="float64"),
    "layer normalization": lambda: keras.layers.LayerNormalization(dtype="float64"),
    "batch normalization": lambda: keras.layers.BatchNormalization(dtype="float64"),
    "per image": lambda: PerImageStandardization(dtype="float64"),
    "local contrast": lambda: LocalContrastNormalization(3, dtype="float64"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("training", [False, True])
def test_layers_whose_gradients_are_right(kind: str, training: bool) -> None:
    layer = KINDS[kind]()
    table = check_layer(layer, IMAGES / 255, training=training)
    assert table["name"].tolist() == ["inputs", *(v.path for v in layer.trainable_variables)]
    assert (table[["reverse", "forward"]].to_numpy() < 1e-6).all()


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_loss(label_smoothing: float) -> None:
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=label_smoothing, dtype="float64")
    predictions = np.array([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]])
    table = check_loss(loss, np.eye(3)[[1, 2]], predictions)
    assert table["size"].tolist() == [6]


@tf.custom_gradient
def wrong_square(x: Any) -> Any:
    return x * x, lambda upstream: upstream * 2.1 * x


class WrongForInputs(keras.layers.Layer):
    def call(self, x: Any) -> Any:
        return wrong_square(x)


class WrongForWeight(keras.layers.Layer):
    def build(self, shape: Any) -> None:
        self.gain = self.add_weight(shape=(shape[-1],), initializer="ones", name="gain")

    def call(self, x: Any) -> Any:
        return x * wrong_square(self.gain)


@pytest.mark.parametrize(
    ("layer", "name"),
    [(WrongForInputs, r"^inputs\["), (WrongForWeight, r"gain\[\d\]: reverse mode gives")],
)
def test_a_planted_wrong_gradient_is_named(layer: type, name: str) -> None:
    with pytest.raises(GradientError, match=name):
        check_layer(layer(dtype="float64"), IMAGES / 255)


def test_a_gradient_that_is_missing_is_found() -> None:
    with pytest.raises(GradientError, match="gives 0, numerical differences 3"):
        check_gradients(lambda x: 3 * tf.stop_gradient(x[0]), [np.array([2.0])], ["x"])


def test_a_layer_of_another_dtype_is_refused() -> None:
    with pytest.raises(ValueError, match="computes in float32: make it with float64"):
        check_layer(keras.layers.Dense(2), IMAGES)


def test_numerical_differences_err_by_the_step_s_square() -> None:
    def error(step: float) -> float:
        (slope,) = central_differences(tf.exp, [np.float64(1.0)], step)
        return abs(float(slope) - np.e)

    assert error(1e-2) / error(1e-3) == pytest.approx(100, rel=0.01)
    assert error(np.finfo(np.float64).eps ** (1 / 3)) < 1e-9


def test_the_three_agree_on_a_function_of_two_numbers() -> None:
    def function(x: Any, y: Any) -> Any:
        return tf.math.log(x) + x * y - tf.sin(y)

    point = [np.float64(2), np.float64(5)]
    expected = [5.5, 2 - np.cos(5)]
    for way, tolerance in (
        (reverse_mode, 1e-15),
        (forward_mode, 1e-15),
        (central_differences, 1e-9),
    ):
        assert [float(slope) for slope in way(function, point)] == pytest.approx(
            expected, rel=tolerance
        )
