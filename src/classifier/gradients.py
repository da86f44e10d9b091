"""Gradient checking: reverse mode and forward mode against numerical differences.

All three are computed in float64, so that the numerical ones are good to about ten digits (Press
et al., Numerical recipes, section 5.7). They only exist where the function is smooth: keep the
point away from kinks, such as relu's at 0.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

Function = Callable[..., Any]  # of float64 tensors, gives a float64 scalar


class GradientError(ValueError):
    """A gradient is not the slope of its function; the text says which, and by how much."""


def reverse_mode(function: Function, point: Sequence[Any]) -> list[np.ndarray]:
    """The gradients at ``point``, float64 arrays, in one pass back (``tf.GradientTape``)."""
    tensors = [tf.constant(value, tf.float64) for value in point]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        value = function(*tensors)
    gradients = tape.gradient(value, tensors, unconnected_gradients="zero")
    return [gradient.numpy() for gradient in gradients]


def forward_mode(function: Function, point: Sequence[Any]) -> list[np.ndarray]:
    """The gradients at ``point``, a pass for each number (``tf.autodiff.ForwardAccumulator``)."""

    def slope(tensors: list[Any], place: int, direction: np.ndarray) -> float:
        tangent = tf.constant(direction, tf.float64)
        with tf.autodiff.ForwardAccumulator(tensors[place], tangent) as accumulator:
            value = function(*tensors)
        return float(accumulator.jvp(value, unconnected_gradients="zero"))

    return _each_number(slope, point)


def central_differences(
    function: Function, point: Sequence[Any], step: float = np.finfo(np.float64).eps ** (1 / 3)
) -> list[np.ndarray]:
    """The gradients at ``point`` from two calls for each number.

    Args:
        step: the error is of the order of its square, until rounding takes over below the cube
            root of the machine's epsilon, the default.
    """

    def slope(tensors: list[Any], place: int, direction: np.ndarray) -> float:
        ends = []
        for sign in (1, -1):
            moved = list(tensors)
            moved[place] = tensors[place] + sign * step * tf.constant(direction, tf.float64)
            ends.append(float(function(*moved)))
        return (ends[0] - ends[1]) / (2 * step)

    return _each_number(slope, point)


def check_gradients(
    function: Function, point: Sequence[Any], names: Sequence[str], tolerance: float = 1e-6
) -> pd.DataFrame:
    """Compares the three ways at ``point``.

    Args:
        function: of as many float64 tensors as ``point`` has.
        names: of the tensors, for the message.
        tolerance: the largest difference, as a share of the largest slope of the same tensor.

    Returns:
        A row a tensor: name, size, reverse, forward; the last two are the largest differences
        from the numerical gradient, as such shares.

    Raises:
        GradientError: a difference is above the tolerance, or is not a number.
    """
    numerical = central_differences(function, point)
    found = {
        "reverse": reverse_mode(function, point),
        "forward": forward_mode(function, point),
    }
    rows = []
    for number, name in enumerate(names):
        expected = numerical[number]
        scale = max(1e-3, float(np.abs(expected).max(initial=0)))
        row: dict[str, Any] = {"name": name, "size": expected.size}
        for mode, gradients in found.items():
            difference = np.abs(gradients[number] - expected) / scale
            place = np.unravel_index(difference.argmax(), difference.shape)
            row[mode] = float(difference[place])
            if not row[mode] <= tolerance:
                index = [int(axis) for axis in place]
                raise GradientError(
                    f"{name}{index}: {mode} mode gives {gradients[number][place]:.9g}, numerical "
                    f"differences {expected[place]:.9g}: apart by {row[mode]:.2g} of the largest "
                    f"slope, more than {tolerance:.2g}"
                )
        rows.append(row)
    return pd.DataFrame(rows)


def check_layer(
    layer: keras.layers.Layer, inputs: np.ndarray, *, training: bool = False, seed: int = 0
) -> pd.DataFrame:
    """Checks a layer's gradients: those of its inputs, and of each trainable weight.

    Args:
        layer: made with ``dtype="float64"``; it is built here if it is not yet.
        inputs: numbers of any shape that it takes, few of them: each costs several calls.
        training: as in the layer's call; nothing in it may be random.
        seed: of the weights with which the outputs are added up, so that each one counts.

    Returns:
        As :func:`check_gradients`.

    Raises:
        GradientError: as :func:`check_gradients`.
        ValueError: the layer computes in another dtype.
    """
    if layer.compute_dtype != "float64":
        raise ValueError(f"{layer.name} computes in {layer.compute_dtype}: make it with float64")
    if not layer.built:
        layer.build(inputs.shape)
    state = [tf.constant(variable.numpy()) for variable in layer.non_trainable_variables]
    options = {"training": training} if layer._call_has_training_arg else {}

    def outputs(images: Any, *weights: Any) -> Any:
        return layer.stateless_call(weights, state, images, **options)[0]

    point = [inputs, *(variable.numpy() for variable in layer.trainable_variables)]
    shape = outputs(*(tf.constant(value, tf.float64) for value in point)).shape
    shares = tf.constant(np.random.default_rng(seed).uniform(0.5, 1.5, shape))
    names = ["inputs", *(variable.path for variable in layer.trainable_variables)]
    return check_gradients(lambda *all: tf.reduce_sum(shares * outputs(*all)), point, names)


def check_loss(
    loss: keras.losses.Loss, targets: np.ndarray, predictions: np.ndarray
) -> pd.DataFrame:
    """Checks the gradient of a loss made with ``dtype="float64"`` by the predictions.

    Returns and raises as :func:`check_gradients`.
    """
    wanted = tf.constant(targets, tf.float64)
    return check_gradients(lambda found: loss(wanted, found), [predictions], ["predictions"])


def _each_number(
    slope: Callable[[list[Any], int, np.ndarray], float], point: Sequence[Any]
) -> list[np.ndarray]:
    tensors = [tf.constant(value, tf.float64) for value in point]
    found = []
    for place, tensor in enumerate(tensors):
        gradient = np.zeros(tensor.shape)
        for index in np.ndindex(*tensor.shape):
            direction = np.zeros(tensor.shape)
            direction[index] = 1
            gradient[index] = slope(tensors, place, direction)
        found.append(gradient)
    return found
