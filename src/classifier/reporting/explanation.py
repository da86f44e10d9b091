"""Where a network looks for its answer: class activation maps, and the gradients of pixels."""

from contextlib import suppress
from functools import lru_cache
from itertools import dropwhile
from threading import Lock
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from classifier.layers.views import network_of
from classifier.saved.rounding import rounded

Parts = tuple[keras.Model, keras.Model]  # from the image to a layer, from there to the features
BUILDING = Lock()  # two threads must not add to the layers of a network at once
BRIGHTNESS = 0.45  # of an image below a map, as a share of its own
MIN_SIZE = 6  # of feature maps: the last ones of a small image are too coarse to show a place


def grad_cam(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> np.ndarray | None:
    """How much each place of the last large feature maps raises the score of a class.

    Selvaraju et al., Grad-CAM: visual explanations from deep networks, 2017.

    Args:
        images: uint8 (N, H, W, C).
        labels: integers (N,), the class of each image to explain.

    Returns:
        float32 (N, h, w), 0..1 per image. The maps are those of the last layer with at least
        MIN_SIZE x MIN_SIZE places that lies on every path to the output. None for a network
        without such a layer, such as ``dense``.
    """
    network = network_of(model)
    with BUILDING:
        parts = _split_at_last_maps(network)
    if parts is None:
        return None
    maps, gradients = _gradients(parts, network.layers[-1], images, labels)
    weights = gradients.mean(axis=(1, 2), keepdims=True)
    return _scaled(np.maximum((weights * maps).sum(axis=-1), 0))


def saliency(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How much each pixel changes the score of a class: the largest gradient of its channels.

    Simonyan et al., Deep inside convolutional networks, 2014. The gradients are those of the
    normalized pixels, the output of the network's first layer.

    Args:
        images: uint8 (N, H, W, C).
        labels: integers (N,), the class of each image to explain.

    Returns:
        float32 (N, H, W), 0..1 per image.
    """
    network = network_of(model)
    with BUILDING:
        parts = _split_at_first_layer(network)
    _, gradients = _gradients(parts, network.layers[-1], images, labels)
    return _scaled(np.abs(gradients).max(axis=-1))


def _gradients(
    parts: Parts, last: keras.layers.Layer, images: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The output of the first part, and the gradients of the labels' logits by it."""
    front, back = parts
    outputs = front(tf.constant(images), training=False)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(outputs)
        features = tf.cast(back(outputs, training=False), last.kernel.dtype)
        # Not the probabilities: the gradients of softmax vanish where it is close to 0 or 1.
        logits = tf.matmul(features, last.kernel) + last.bias
        scores = tf.gather(logits, labels, axis=1, batch_dims=1)
    gradients = tape.gradient(scores, outputs)
    return tf.cast(outputs, tf.float32).numpy(), tf.cast(gradients, tf.float32).numpy()


# Cached, because Keras adds to the layers of a network for each model that shares them.
@lru_cache(maxsize=4)
def _split_at_first_layer(network: keras.Model) -> Parts:
    image, outputs, features = _graph(network)
    first = outputs[_layers(network)[0].name]
    return keras.Model(image, first), keras.Model(first, features)


@lru_cache(maxsize=4)
def _split_at_last_maps(network: keras.Model) -> Parts | None:
    """The parts before and after the last layer that has maps of MIN_SIZE, or else of any size.

    Layers before the first one with weights do not count: their maps are the image.
    """
    image, outputs, features = _graph(network)
    _, *layers = _layers(network)
    learned = dropwhile(lambda layer: not (layer.weights and _has_maps(layer)), layers)
    with_maps = [layer for layer in learned if _has_maps(layer)]
    with_maps.sort(key=lambda layer: min(layer.output.shape[1:3]) >= MIN_SIZE)
    for layer in reversed(with_maps):
        maps = outputs[layer.name]
        with suppress(ValueError):  # a path to the output does not go through this layer
            return keras.Model(image, maps), keras.Model(maps, features)
    return None


def _graph(network: keras.Model) -> tuple[Any, dict[str, Any], Any]:
    """The network's layers called once more: its input, their outputs, the last one's input.

    ``layer.output`` is that of a layer's first call. In a ``Sequential`` model, to which layers
    were added one by one, it belongs to a graph of its own.
    """
    outputs: dict[str, Any] = {}
    inputs: dict[str, Any] = {}

    def call(layer: keras.layers.Layer, *args: Any, **kwargs: Any) -> Any:
        inputs[layer.name], *_ = args
        outputs[layer.name] = layer(*args, **kwargs)
        return outputs[layer.name]

    copy = keras.models.clone_model(
        keras.Model(network.inputs, network.outputs),
        clone_function=lambda layer: layer,
        call_function=call,
    )
    return copy.inputs, outputs, inputs[network.layers[-1].name]


def _layers(network: keras.Model) -> list[keras.layers.Layer]:
    """All layers except the input. The first one normalizes the image."""
    return [layer for layer in network.layers if not isinstance(layer, keras.layers.InputLayer)]


def _has_maps(layer: keras.layers.Layer) -> bool:
    return len(layer.output.shape) == 4


def _scaled(maps: np.ndarray) -> np.ndarray:
    """Maps (N, h, w) with a maximum of 1 per image; maps of zeros stay as they are."""
    maxima = maps.max(axis=(1, 2), keepdims=True)
    return (maps / np.where(maxima > 0, maxima, 1)).astype(np.float32)


def overlay(images: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Dark grey images with maps in bright colours over them, uint8 (N, H, W, 3).

    Args:
        images: uint8 (N, H, W, 1 or 3).
        maps: (N, h, w), 0..1; they are rounded to two decimals, which any CPU agrees on and no
            eye tells apart, and enlarged to the size of the images.
    """
    from matplotlib import colormaps

    size = images.shape[2], images.shape[1]
    pictures = []
    for grey, values in zip(images.mean(axis=-1, keepdims=True), maps, strict=True):
        small = Image.fromarray(rounded(values, 2).astype(np.float32), "F")
        large = np.asarray(small.resize(size, Image.Resampling.BILINEAR)).clip(0, 1)
        colours = 255 * colormaps["inferno"](large)[..., :3]
        pictures.append(BRIGHTNESS * grey + colours)
    return np.stack(pictures).clip(0, 255).round().astype(np.uint8)
