"""Augmentation policies: Keras layers, made functions of a seed.

Keras's random layers draw from a generator with state, which a parallel input pipeline reads in
no certain order. Here each draw's seed is derived from one seed tensor instead, so that a batch's
augmentation is a function of that seed alone.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from classifier.per_image import PerImageLayer, Shard

Seed = Any  # int32 tensor (2,)


class StatelessSeeds(keras.random.SeedGenerator):
    """A Keras seed generator whose n-th seed is derived from a tensor and n."""

    def __init__(self, seed: Seed):
        self.seed = seed
        self.drawn = 0

    def next(self, ordered: bool = True) -> Any:
        self.drawn += 1
        return tf.bitcast(
            tf.random.experimental.stateless_fold_in(self.seed, self.drawn), tf.uint32
        )


def to_config(layers: Sequence[keras.layers.Layer]) -> list[dict[str, Any]]:
    """The layers as JSON-ready dictionaries, as :func:`from_config` reads them."""
    return [keras.layers.serialize(layer) for layer in layers]


def from_config(config: Sequence[dict[str, Any]]) -> list[keras.layers.Layer]:
    """The layers that :func:`to_config` wrote."""
    # They register their layers.
    import classifier.color_jitter
    import classifier.random_affine
    import classifier.random_resized_crop  # noqa: F401

    return [keras.layers.deserialize(layer) for layer in config]


def augment(
    images: Any, layers: Sequence[keras.layers.Layer], seed: Seed, shard: Shard | None = None
) -> Any:
    """Applies the layers to a batch of images, in order.

    Args:
        images: uint8 (N, H, W, C).
        seed: int32 (2,); the same seed gives the same images.
        shard: which part of a batch the images are, to become what they would within it, where
            :func:`shardable` says that the layers can do so; None for all of it.

    Returns:
        uint8 (N, H, W, C), rounded and clipped to 0..255.
    """
    if not layers:
        return images
    seed_layers(layers, seed)
    for layer in layers:
        if isinstance(layer, PerImageLayer):
            layer.shard = shard
    shape = images.shape
    images = tf.cast(images, tf.float32)
    for layer in layers:
        images = layer(images, training=True)
    return to_pixels(tf.ensure_shape(images, shape))


def shardable(layers: Sequence[keras.layers.Layer]) -> bool:
    """Whether each layer changes a shard of a batch as it would within the whole batch."""
    return all(isinstance(layer, PerImageLayer) for layer in layers)


def seed_layers(layers: Sequence[keras.layers.Layer], seed: Seed) -> None:
    """Lets the layers' next call draw from seeds that are functions of ``seed``, int32 (2,)."""
    seeds = StatelessSeeds(tf.cast(seed, tf.int32))
    for layer in layers:
        for part in layer._flatten_layers():
            if hasattr(part, "_get_seed_generator"):
                part._get_seed_generator = lambda backend=None: seeds


def to_pixels(images: Any) -> Any:
    """Floats as uint8, rounded and clipped to 0..255."""
    return tf.cast(tf.clip_by_value(tf.round(images), 0, 255), tf.uint8)


def augment_array(
    images: np.ndarray, layers: Sequence[keras.layers.Layer], seed: tuple[int, int]
) -> np.ndarray:
    """:func:`augment` for an array, uint8 (N, H, W, C), with a seed of two integers."""
    return augment(tf.constant(images), layers, tf.constant(seed, tf.int32)).numpy()
