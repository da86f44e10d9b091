"""Where a network looked: class activation maps and pixel gradients, in reverse mode."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import dropwhile
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from classifier.views import network_of

DIM = 0.45  # of the image's own light, below a map
SHARP = 6  # places a side; the last maps of a small image have fewer, and point nowhere


def grad_cam(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> np.ndarray | None:
    """How much each place speaks for a class: late feature maps, weighted by their gradients.

    Selvaraju et al., Grad-CAM: visual explanations from deep networks, 2017.

    Args:
        images: uint8 (N, H, W, C).
        labels: integers (N,), the class to explain of each image.

    Returns:
        float32 (N, h, w), 0..1 an image, of the size of the last feature maps that have SHARP
        places a side; None for a network without feature maps, such as ``dense``.
    """
    model = network_of(model)
    layer = _last_feature_maps(model)
    if layer is None:
        return None
    gradients, maps = _gradients(model, layer, images, labels)
    weights = gradients.mean(axis=(1, 2), keepdims=True)
    return _to_unit(np.maximum((weights * maps).sum(axis=-1), 0))


def saliency(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How much the class's score changes with each pixel: the largest slope of its channels.

    Simonyan et al., Deep inside convolutional networks, 2014. The slope is that of the network's
    numbers after its normalisation layer, as pixels are whole numbers.

    Args:
        images, labels: as for :func:`grad_cam`.

    Returns:
        float32 (N, H, W), 0..1 an image.
    """
    model = network_of(model)
    gradients, _ = _gradients(model, _computing(model)[0], images, labels)
    return _to_unit(np.abs(gradients).max(axis=-1))


def _gradients(
    model: keras.Model, layer: keras.layers.Layer, images: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The gradients of the labels' logits by what the layer gives, and what it gives."""
    last = model.layers[-1]
    with (
        tf.GradientTape(watch_accessed_variables=False) as tape,
        _called(layer, lambda _, outputs: tape.watch(outputs) or outputs) as of_layer,
        # Softmax flattens the slope of what it is sure of: the logits before it.
        _called(last, lambda inputs, _: tf.matmul(inputs, last.kernel) + last.bias) as of_last,
    ):
        model(tf.constant(images), training=False)
        score = tf.reduce_sum(tf.gather(of_last[0], labels, axis=1, batch_dims=1))
    gradients = tape.gradient(score, of_layer[0])
    return tf.cast(gradients, tf.float32).numpy(), tf.cast(of_layer[0], tf.float32).numpy()


@contextmanager
def _called(
    layer: keras.layers.Layer, change: Callable[[Any, Any], Any]
) -> Iterator[list[tf.Tensor]]:
    """Lets the layer give ``change(inputs, outputs)`` meanwhile; yields a list that gets it."""
    found: list[tf.Tensor] = []
    call = layer.call

    def changed(inputs: Any, *args: Any, **kwargs: Any) -> Any:
        found.append(change(inputs, call(inputs, *args, **kwargs)))
        return found[-1]

    layer.call = changed
    try:
        yield found
    finally:
        layer.call = call


def _last_feature_maps(model: keras.Model) -> keras.layers.Layer | None:
    """The last layer, from the first one that learned on, whose maps are not too small."""
    _, *later = _computing(model)
    learned = dropwhile(lambda layer: not (layer.weights and _has_maps(layer)), later)
    maps = [layer for layer in learned if _has_maps(layer)]
    sharp = [layer for layer in maps if min(layer.output.shape[1:3]) >= SHARP]
    return (sharp or maps or [None])[-1]


def _has_maps(layer: keras.layers.Layer) -> bool:
    return len(layer.output.shape) == 4


def _computing(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers but for the input: the first one normalises the image."""
    return [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]


def _to_unit(maps: np.ndarray) -> np.ndarray:
    largest = maps.max(axis=(1, 2), keepdims=True)
    return (maps / np.where(largest > 0, largest, 1)).astype(np.float32)


def overlay(images: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Images in dim grey with maps in bright colours over them, as uint8 (N, H, W, 3).

    Args:
        images: uint8 (N, H, W, 1 or 3).
        maps: (N, h, w), 0..1; enlarged to the images' size.
    """
    from matplotlib import colormaps

    size = images.shape[2], images.shape[1]
    found = []
    for grey, values in zip(images.mean(axis=-1, keepdims=True), maps, strict=True):
        picture = Image.fromarray(values.astype(np.float32), "F")
        large = np.asarray(picture.resize(size, Image.Resampling.BILINEAR)).clip(0, 1)
        colours = 255 * colormaps["inferno"](large)[..., :3]
        found.append(DIM * grey + colours)
    return np.stack(found).clip(0, 255).round().astype(np.uint8)
