"""Mixing: each image of a batch is combined with another one, and so are their labels."""

from typing import Any

import keras
import tensorflow as tf

from classifier.augmentation.policy import seed_layers, to_pixels


def mix(
    images: Any, targets: Any, layer: keras.layers.Layer, seed: Any
) -> tuple[tf.Tensor, tf.Tensor]:
    """Applies ``keras.layers.MixUp`` (Zhang et al., 2018) or ``CutMix`` (Yun et al., 2019).

    Args:
        images: uint8 (N, H, W, C).
        targets: float32 (N, classes), a probability per class.
        layer: ``MixUp`` or ``CutMix``.
        seed: int32 (2,); the same seed gives the same batch.

    Returns:
        The mixed images and targets, of the same shapes and dtypes.
    """
    seed_layers([layer], seed)
    mixed = layer({"images": tf.cast(images, tf.float32), "labels": targets}, training=True)
    return (
        to_pixels(tf.ensure_shape(mixed["images"], images.shape)),
        tf.ensure_shape(mixed["labels"], targets.shape),
    )
