"""Features of a frozen base, computed once: the head then trains on them in seconds.

While no layer of the base trains, what it computes of an image never changes: feature extraction
(https://keras.io/guides/transfer_learning).
"""

import logging
from dataclasses import replace

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from classifier.training.feed import TrainingFeed, evaluation_batches
from classifier.training.memory import check_features

BATCH = 64  # images of which the features are computed together
log = logging.getLogger(__name__)


def features_of(
    base: keras.Model, feed: TrainingFeed, validation: tf.data.Dataset
) -> tuple[TrainingFeed, tf.data.Dataset]:
    """Computes the features of all images, without augmentation and mixing.

    Args:
        base: of :func:`split_at_head`.
        feed: the training images.
        validation: batches of uint8 images and one-hot labels.

    Returns:
        The training batches and the validation batches of a head: features, float32 (B, D), in
        place of images.

    Raises:
        InputError: the memory is not enough for the features.
    """
    check_features(len(feed.images), base.output_shape[1])
    in_order = evaluation_batches(feed.images, feed.labels, classes=feed.classes, batch_size=BATCH)
    features, _ = _features(base, in_order)
    log.info(
        "the head trains on %d features of each image, computed once, without augmentation",
        features.shape[1],
    )
    pairs = tf.data.Dataset.from_tensor_slices(_features(base, validation))
    return replace(feed, images=features, layers=(), mixing=None), pairs.batch(256).prefetch(2)


def split_at_head(model: keras.Model) -> tuple[keras.Model, keras.Model]:
    """The frozen base, from images to features, and the head, from there to probabilities.

    The head begins with the first layer that trains, or with the dropout before it. Both share
    their layers with ``model``.
    """
    every = model.layers
    first = next(number for number, layer in enumerate(every) if layer.trainable_weights)
    while isinstance(every[first - 1], layers.Dropout):
        first -= 1
    features = every[first].input
    return keras.Model(model.inputs, features), keras.Model(features, model.outputs[0])


def _features(base: keras.Model, batches: tf.data.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Features, float32 (N, D), and one-hot labels, float32 (N, classes)."""
    compute = tf.function(lambda images: base(images, training=False), reduce_retracing=True)
    pairs = [(tf.cast(compute(images), tf.float32), targets) for images, targets in batches]
    features, targets = zip(*pairs, strict=True)
    return np.concatenate(features), np.concatenate(targets)
