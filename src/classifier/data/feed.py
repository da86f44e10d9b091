"""tf.data pipelines whose every batch is a function of seed, epoch and step.

tf.data's autotuning is off: on a machine with few cores it can wait up to 40 s when an iterator
ends. Parallelism is fixed instead. Random ops are stateless: they give the same values in any
process and on any number of threads.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from classifier.augmentation import augment, shardable
from classifier.data import streaming
from classifier.data.sharded_images import ShardedImages
from classifier.data.splits import Images
from classifier.errors import InputError
from classifier.mixing import mix
from classifier.per_image import Shard


def training_batches(
    images: Images,
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
    context: tf.distribute.InputContext | None = None,
) -> tf.data.Dataset:
    """Shuffled, augmented batches of all epochs, one epoch after the other.

    Args:
        images: uint8 (N, H, W, C); an array is held in memory, shards are streamed, and shuffled
            as :mod:`classifier.data.streaming` says.
        labels: integers (N,).
        epochs, first_epoch: the batches of first_epoch..epochs - 1 come, each epoch's the same as
            when an earlier one was first.
        layers: augmentation layers.
        mixing: ``MixUp`` or ``CutMix``, applied after them.
        workers: batches that are prepared in parallel.
        context: which of several processes that share each batch this one is, and how many
            replicas there are; None for one of each. A process augments its own rows alone, to
            what they are within the whole batch, where every layer is a ``PerImageLayer`` and
            nothing is mixed. It reads all TFRecord shards.

    Returns:
        A dataset of (uint8 (B, H, W, C), float32 (B, classes), one-hot or mixed), as many an
        epoch as :func:`steps_per_epoch` says. With R replicas, each element is one's share, B / R
        rows, a step's one after another; B is a multiple of R then, also where there are fewer
        images than ``batch_size``. The last incomplete batch of an epoch is left out; which images
        it would have held changes with the epoch.

    Raises:
        InputError: there are fewer images than replicas.
    """
    context = context or tf.distribute.InputContext()
    processes, replicas = context.num_input_pipelines, context.num_replicas_in_sync
    count = len(images)
    batch_size = min(batch_size, count)
    batch_size -= batch_size % replicas
    if not batch_size:
        raise InputError(f"{count} images are too few for {replicas} replicas")
    size = batch_size // processes
    shard = Shard(size * context.input_pipeline_id, size, batch_size) if processes > 1 else None
    early = shard if mixing is None and shardable(layers) else None
    late = shard if early is None else None
    source = _Streamed(images, workers) if isinstance(images, ShardedImages) else _Held(images)
    numbers = tf.constant(np.asarray(labels, np.int64))

    def epoch_of_parts(epoch: tf.Tensor) -> tf.data.Dataset:
        parts = source.shuffled(_seed(seed, epoch)).batch(batch_size, drop_remainder=True)
        return parts.enumerate().map(lambda step, part: (epoch, step, part))

    def batch(epoch: tf.Tensor, step: tf.Tensor, part: Any) -> tuple[tf.Tensor, tf.Tensor]:
        step_seed = tf.random.experimental.stateless_fold_in(_seed(seed, epoch), step)
        pixels, row = source.pixels_and_rows(part if early is None else early.of(part))
        chosen = augment(pixels, layers, step_seed, early)
        wanted = tf.one_hot(tf.gather(numbers, row), classes)
        if mixing is not None:
            # The same seed again would let mixing draw what the first layer drew.
            again = tf.random.experimental.stateless_fold_in(step_seed, 1)
            chosen, wanted = mix(chosen, wanted, mixing, again)
        return (chosen, wanted) if late is None else late.of((chosen, wanted))

    dataset = (
        tf.data.Dataset.range(first_epoch, epochs)
        .flat_map(epoch_of_parts)
        .map(batch, num_parallel_calls=workers, deterministic=True)
    )
    if replicas > processes:
        dataset = dataset.rebatch(batch_size // replicas)
    return dataset.prefetch(2 * workers * replicas // processes).with_options(_options(workers))


class _Held:
    def __init__(self, images: np.ndarray):
        self._pixels = tf.constant(np.asarray(images))

    def shuffled(self, seed: tf.Tensor) -> tf.data.Dataset:
        rows = tf.range(len(self._pixels))
        order = tf.random.experimental.stateless_shuffle(rows, seed=seed)
        return tf.data.Dataset.from_tensor_slices(order)

    def pixels_and_rows(self, row: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.gather(self._pixels, row), row


class _Streamed:
    def __init__(self, images: ShardedImages, workers: int):
        self._images, self._workers = images, workers

    def shuffled(self, seed: tf.Tensor) -> tf.data.Dataset:
        return streaming.shuffled(self._images, seed, workers=self._workers)

    def pixels_and_rows(self, part: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        return part


def steps_per_epoch(count: int, batch_size: int) -> int:
    """Batches in an epoch of ``count`` images; one, of all of them, where there are fewer."""
    return max(1, count // batch_size)


def weighted(
    batches: tf.data.Dataset, class_weights: Mapping[int, float] | None
) -> tf.data.Dataset:
    """Batches of :func:`training_batches` with a factor of the loss of each image, float32 (B,).

    Args:
        class_weights: the factors, by label; a mixed image's is its most probable label's. None
            leaves the batches as they are.
    """
    if class_weights is None:
        return batches
    factors = tf.constant([class_weights[label] for label in sorted(class_weights)], tf.float32)
    return batches.map(
        lambda images, targets: (images, targets, tf.gather(factors, tf.argmax(targets, axis=1)))
    )


def evaluation_batches(
    images: Images, labels: np.ndarray, *, classes: int, batch_size: int = 256
) -> tf.data.Dataset:
    """The images in order, as (uint8 (B, H, W, C), float32 one-hot (B, classes)).

    Every image comes once; the last batch may be shorter.
    """
    if isinstance(images, ShardedImages):
        numbers = tf.constant(np.asarray(labels, np.int64))
        pairs = streaming.in_order(images, workers=1).map(
            lambda pixels, row: (pixels, tf.one_hot(numbers[row], classes))
        )
    else:
        targets = tf.one_hot(labels, classes)
        pairs = tf.data.Dataset.from_tensor_slices((np.asarray(images), targets))
    return pairs.batch(batch_size).prefetch(2).with_options(_options(1))


def _seed(seed: int, epoch: tf.Tensor) -> tf.Tensor:
    return tf.stack([tf.constant(seed, tf.int32), tf.cast(epoch, tf.int32)])


def _options(workers: int) -> tf.data.Options:
    options = tf.data.Options()
    options.autotune.enabled = False
    # Of the validation's batches, each worker of a strategy takes its rows.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    options.threading.private_threadpool_size = workers
    return options
