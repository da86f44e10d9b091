"""Augmentation policies: lists of Keras layers, applied as functions of a seed.

Keras's random layers take their seeds from a generator with state, which a parallel input
pipeline calls in no fixed order. Here the seeds are derived from one seed tensor, so that the
augmentation of a batch depends only on that tensor.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from classifier.augmentation.per_image import PerImageLayer, Shard
from classifier.layers.keras_private import set_seed_generator
from classifier.support.errors import InputError

Seed = Any  # int32 tensor (2,)


class StatelessSeeds(keras.random.SeedGenerator):
    """A seed generator without state: it derives the n-th seed from a seed tensor and n."""

    def __init__(self, seed: Seed):
        self.seed = seed
        self.count = 0

    def next(self, ordered: bool = True) -> Any:
        self.count += 1
        seed = tf.random.experimental.stateless_fold_in(self.seed, self.count)
        return tf.cast(tf.bitcast(seed, tf.uint32), tf.int64)  # the dtype of Keras's generator


def to_config(layers: Sequence[keras.layers.Layer]) -> list[dict[str, Any]]:
    """The configurations of the layers, for JSON and :func:`from_config`."""
    return [keras.layers.serialize(layer) for layer in layers]


def from_config(config: Sequence[dict[str, Any]]) -> list[keras.layers.Layer]:
    """The layers of the configurations of :func:`to_config`."""
    # Keras knows the layers of these modules once they are imported.
    import classifier.augmentation.color_jitter
    import classifier.augmentation.rand_augment
    import classifier.augmentation.random_affine
    import classifier.augmentation.random_resized_crop  # noqa: F401

    return [keras.layers.deserialize(layer) for layer in config]


def augment(
    images: Any, layers: Sequence[keras.layers.Layer], seed: Seed, shard: Shard | None = None
) -> Any:
    """Applies the layers to a batch of images, in order.

    Args:
        images: uint8 (N, H, W, C).
        seed: int32 (2,); the same seed gives the same images.
        shard: the part of a batch that the images are, for :func:`shardable` layers; they are
            changed as they are within the whole batch. None is a whole batch.

    Returns:
        uint8 (N, H, W, C).
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
    """Whether the layers change a shard of a batch as they do within the whole batch."""
    return all(isinstance(layer, PerImageLayer) for layer in layers)


def seed_layers(layers: Sequence[keras.layers.Layer], seed: Seed) -> None:
    """Makes the random numbers of the layers' next call depend only on ``seed``, int32 (2,)."""
    seeds = StatelessSeeds(tf.cast(seed, tf.int32))
    for layer in layers:
        set_seed_generator(layer, seeds)


def check_policy(layers: Mapping[str, keras.layers.Layer], images: np.ndarray) -> None:
    """Checks that the layers change images, in order, and that the seed decides how.

    Each layer gets the images twice with the same seed, as here and in a tf.data pipeline.

    Args:
        layers: by the names that messages use.
        images: uint8 (N, H, W, C), not all of one color.

    Raises:
        InputError: a layer cannot be called with images, gives other images for the same seed, or
            the last one gives images of another shape; names the layer.
    """
    changed = tf.cast(images, tf.float32)
    for name, layer in layers.items():
        place = f"policy.{name}: {type(layer).__name__}"
        try:
            pairs = [_twice(layer, changed, seed) for seed in ((1, 2), (3, 4))]
        except (TypeError, ValueError, tf.errors.InvalidArgumentError) as error:
            raise InputError(f"{place} cannot change a batch of images: {_cause(error)}") from error
        if not all(np.array_equal(first, again) for pair in pairs for first, again in pair):
            raise InputError(
                f"{place} gives other images for the same seed, because it draws random numbers "
                "that Keras cannot seed: choose another layer"
            )
        changed = tf.constant(pairs[0][0][0])
    if layers and changed.shape != images.shape:
        expected, shape = (" x ".join(map(str, s[1:])) for s in (images.shape, changed.shape))
        raise InputError(
            f"{place} leaves images of {shape}, not {expected}: add "
            f"keras.layers.Resizing(height={images.shape[1]}, width={images.shape[2]}) after it"
        )


def _twice(layer: keras.layers.Layer, images: Any, seed: tuple[int, int]) -> list[Any]:
    """Two results of the layer, and two of a tf.data pipeline, that the seed makes equal."""

    def changed(seed: Seed) -> Any:
        seed_layers([layer], seed)
        return layer(images, training=True)

    seeds = tf.constant([seed, seed], tf.int32)
    dataset = tf.data.Dataset.from_tensor_slices(seeds).map(
        tf.autograph.experimental.do_not_convert(changed)
    )
    return [
        [changed(seeds[0]).numpy(), changed(seeds[1]).numpy()],
        [result.numpy() for result in dataset],
    ]


def _cause(error: Exception) -> str:
    """The line of Keras's message that says what is wrong."""
    text = re.sub(r"\x1b\[\d*m", "", str(error))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in lines if not line.startswith("Exception encountered")), "")


def to_pixels(images: Any) -> Any:
    """Floats of any shape as uint8, rounded and clipped to 0..255."""
    return tf.cast(tf.clip_by_value(tf.round(images), 0, 255), tf.uint8)


def augment_array(
    images: np.ndarray, layers: Sequence[keras.layers.Layer], seed: tuple[int, int]
) -> np.ndarray:
    """:func:`augment` of an array, uint8 (N, H, W, C), with a seed of two integers."""
    return augment(tf.constant(images), layers, tf.constant(seed, tf.int32)).numpy()
