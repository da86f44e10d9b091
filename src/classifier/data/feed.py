"""tf.data pipelines whose every batch is a function of seed, epoch and step.

tf.data's autotuning is off: on a machine with few cores it can wait up to 40 s when an iterator
ends. Parallelism is fixed instead. Random ops are stateless: they give the same values in any
process and on any number of threads.
"""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from classifier.augmentation import augment
from classifier.mixing import mix


def training_batches(
    images: np.ndarray,
    labels: np.ndarray,
    *,
    classes: int,
    batch_size: int,
    epochs: int,
    seed: int,
    first_epoch: int = 0,
    layers: Sequence[keras.layers.Layer] = (),
    mixing: keras.layers.Layer | None = None,
    workers: int = 2,
) -> tf.data.Dataset:
    """Shuffled, augmented batches of all epochs, one epoch after the other.

    Args:
        images: uint8 (N, H, W, C), held in memory.
        labels: integers (N,).
        epochs, first_epoch: the batches of first_epoch..epochs - 1 come, each epoch's the same as
            when an earlier one was first.
        layers: augmentation layers, applied a batch at a time.
        mixing: ``MixUp`` or ``CutMix``, applied after them.
        workers: batches that are prepared in parallel.

    Returns:
        A dataset of (uint8 (B, H, W, C), float32 (B, classes), one-hot or mixed), as many an
        epoch as :func:`steps_per_epoch` says. The last incomplete batch of an epoch is left out;
        which images it would have held changes with the epoch.
    """
    count = len(images)
    batch_size = min(batch_size, count)
    pixels = tf.constant(np.asarray(images))
    targets = tf.one_hot(labels, classes)

    def epoch_of_indices(epoch: tf.Tensor) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(tf.range(count), seed=_seed(seed, epoch))
        rows = tf.data.Dataset.from_tensor_slices(order).batch(batch_size, drop_remainder=True)
        return rows.enumerate().map(lambda step, row: (epoch, step, row))

    def batch(epoch: tf.Tensor, step: tf.Tensor, row: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        step_seed = tf.random.experimental.stateless_fold_in(_seed(seed, epoch), step)
        chosen, wanted = augment(tf.gather(pixels, row), layers, step_seed), tf.gather(targets, row)
        if mixing is None:
            return chosen, wanted
        # The same seed again would let mixing draw what the first layer drew.
        return mix(chosen, wanted, mixing, tf.random.experimental.stateless_fold_in(step_seed, 1))

    dataset = (
        tf.data.Dataset.range(first_epoch, epochs)
        .flat_map(epoch_of_indices)
        .map(batch, num_parallel_calls=workers, deterministic=True)
        .prefetch(2 * workers)
    )
    return dataset.with_options(_options(workers))


def steps_per_epoch(count: int, batch_size: int) -> int:
    """Batches in an epoch of ``count`` images; one, of all of them, where there are fewer."""
    return max(1, count // batch_size)


def evaluation_batches(
    images: np.ndarray, labels: np.ndarray, *, classes: int, batch_size: int = 256
) -> tf.data.Dataset:
    """The images in order, as (uint8 (B, H, W, C), float32 one-hot (B, classes)).

    Every image comes once; the last batch may be shorter.
    """
    dataset = tf.data.Dataset.from_tensor_slices((np.asarray(images), tf.one_hot(labels, classes)))
    return dataset.batch(batch_size).prefetch(2).with_options(_options(1))


def _seed(seed: int, epoch: tf.Tensor) -> tf.Tensor:
    return tf.stack([tf.constant(seed, tf.int32), tf.cast(epoch, tf.int32)])


def _options(workers: int) -> tf.data.Options:
    options = tf.data.Options()
    options.autotune.enabled = False
    # Each worker makes the whole batch and takes its share: the same as one worker alone.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    options.threading.private_threadpool_size = workers
    return options
