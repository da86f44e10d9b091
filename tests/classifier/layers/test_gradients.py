"""Gradients of layers and losses by reverse mode, against numerical differences in float64.

``tf.test.compute_gradient`` computes both. They agree only where the function is smooth: the
inputs are away from kinks, such as 0 of relu.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from classifier.layers.batch_normalization import FusedBatchNormalization
from classifier.layers.normalization import LocalContrastNormalization, PerImageStandardization

IMAGES = np.random.default_rng(1).uniform(0, 1, (2, 5, 5, 2))
STEP = np.finfo(np.float64).eps ** (1 / 3)  # Press et al., Numerical recipes, section 5.7
KINDS: dict[str, Callable[[], keras.layers.Layer]] = {
    "dense": lambda: keras.layers.Dense(3, activation="tanh", dtype="float64"),
    "convolution": lambda: keras.layers.Conv2D(2, 3, padding="same", dtype="float64"),
    "layer normalization": lambda: keras.layers.LayerNormalization(dtype="float64"),
    "batch normalization": lambda: FusedBatchNormalization(dtype="float64"),
    "per image": lambda: PerImageStandardization(dtype="float64"),
    "local contrast": lambda: LocalContrastNormalization(3, dtype="float64"),
}


def errors(function: Callable[..., Any], point: Sequence[Any]) -> list[float]:
    """The largest error of the gradient by each tensor, as a share of its largest slope."""
    tensors = [tf.constant(value, tf.float64) for value in point]
    gradients, differences = tf.test.compute_gradient(function, tensors, delta=STEP)
    return [
        float(np.abs(gradient - numerical).max() / max(1e-3, np.abs(numerical).max()))
        for gradient, numerical in zip(gradients, differences, strict=True)
    ]


def layer_errors(layer: keras.layers.Layer, *, training: bool = False) -> dict[str, float]:
    """:func:`errors` by the inputs, IMAGES, and by each trainable weight of the layer.

    Each output counts with a random factor: the sum of normalized outputs does not change.
    """
    layer.build(IMAGES.shape)
    state = [tf.constant(variable.numpy()) for variable in layer.non_trainable_variables]
    options = (
        {"training": training} if "training" in inspect.signature(layer.call).parameters else {}
    )

    def outputs(images: Any, *weights: Any) -> Any:
        return layer.stateless_call(weights, state, images, **options)[0]

    weights = [variable.numpy() for variable in layer.trainable_variables]
    shape = outputs(tf.constant(IMAGES), *map(tf.constant, weights)).shape
    factors = tf.constant(np.random.default_rng(0).uniform(0.5, 1.5, shape))
    names = ["inputs", *(variable.name for variable in layer.trainable_variables)]
    values = errors(lambda *point: tf.reduce_sum(factors * outputs(*point)), [IMAGES, *weights])
    return dict(zip(names, values, strict=True))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("training", [False, True])
def test_the_gradients_of_layers(kind: str, training: bool) -> None:
    assert max(layer_errors(KINDS[kind](), training=training).values()) < 1e-6


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_the_gradients_of_the_loss(label_smoothing: float) -> None:
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=label_smoothing, dtype="float64")
    predictions = np.array([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]])
    targets = tf.constant(np.eye(3)[[1, 2]])
    assert max(errors(lambda values: loss(targets, values), [predictions])) < 1e-6


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


@pytest.mark.parametrize(("layer", "name"), [(WrongForInputs, "inputs"), (WrongForWeight, "gain")])
def test_a_planted_wrong_gradient_is_found(layer: type, name: str) -> None:
    values = layer_errors(layer(dtype="float64"))
    assert [wrong for wrong, error in values.items() if error > 1e-6] == [name]
    assert values[name] == pytest.approx(0.05)


def test_a_missing_gradient_is_found() -> None:
    assert errors(lambda x: 3 * tf.stop_gradient(x), [np.array(2.0)]) == pytest.approx([1.0])
