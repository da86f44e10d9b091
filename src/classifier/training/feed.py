"""tf.data pipelines: every batch is a function of seed, epoch and step.

The autotuning of tf.data is off: on a machine with few cores it can wait up to 40 s when an
iterator ends. Parallelism is fixed instead. Random operations are stateless: they give the same
values in any process and on any number of threads.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from classifier.augmentation.mixing import mix
from classifier.augmentation.per_image import Shard
from classifier.augmentation.policy import augment, shardable
from classifier.storage.sharded_images import ShardedImages
from classifier.storage.splits import Images
from classifier.support.errors import InputError
from classifier.tasks.of_labels import task_of
from classifier.tasks.task import Task
from classifier.training import streaming
from classifier.training.options import Sampling
from classifier.training.sampling import balanced_rows

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TrainingFeed:
    """What a model is trained on, as shuffled and augmented batches.

    Attributes:
        images: uint8 (N, H, W, C); an array is held in memory, shards are streamed, and shuffled
            as :mod:`classifier.training.streaming` says.
        labels: of the images' task, see :mod:`classifier.tasks`.
        classes: the number of classes.
        batch_size: the most images of a step. The steps of an epoch have as many images as there
            are, each once unless ``sampling`` says otherwise, and differ by one image at most, the
            larger ones first: a last step with the rest alone would give its few images the weight
            of a whole batch.
        seed: decides the order of the images and every augmentation.
        layers: augmentation layers.
        mixing: ``keras.layers.MixUp`` or ``CutMix``, applied after them.
        class_weights: a factor of the loss of each label's images; for a mixed image, that of its
            most probable label. None for no factors.
        sampling: ``natural``, each image once in an epoch, or ``balanced``, as
            :mod:`classifier.training.sampling` says: shards are then read image by image.
        workers: batches that are prepared in parallel.
        replicas: how many share each batch evenly.

    Raises:
        InputError: there are fewer images than replicas, or a class that is to be balanced has
            none.
    """

    images: Images
    labels: np.ndarray
    classes: int
    batch_size: int
    seed: int
    layers: Sequence[keras.layers.Layer] = ()
    mixing: keras.layers.Layer | None = None
    class_weights: Mapping[int, float] | None = None
    sampling: Sampling = "natural"
    workers: int = 2
    replicas: int = 1

    def __post_init__(self) -> None:
        if len(self.images) < self.replicas:
            raise InputError(f"{len(self.images)} images are too few for {self.replicas} replicas")
        empty = np.flatnonzero(self.counts == 0)
        if self.sampling == "balanced" and len(empty):
            raise InputError(
                f"sampling is balanced: the class of label {empty[0]} has no image to train on"
            )

    @property
    def counts(self) -> np.ndarray:
        """Images of each class, integers (classes,)."""
        return self.task.counts(self.labels, self.classes)

    @property
    def task(self) -> Task:
        """What the labels are for."""
        return task_of(self.labels)

    @property
    def steps_per_epoch(self) -> int:
        """Batches of an epoch."""
        return -(-len(self.images) // self.batch_size)

    @property
    def images_per_step(self) -> int:
        """Images of the largest batches of an epoch."""
        return -(-len(self.images) // self.steps_per_epoch)

    @property
    def larger_steps(self) -> int:
        """How many batches have ``images_per_step`` images; the others have one less."""
        return len(self.images) - self.steps_per_epoch * (self.images_per_step - 1)

    @property
    def repeated(self) -> int:
        """Images of an epoch that are there twice, so that the replicas share each batch evenly."""
        smaller_steps = self.steps_per_epoch - self.larger_steps
        return self.larger_steps * (-self.images_per_step % self.replicas) + smaller_steps * (
            -(self.images_per_step - 1) % self.replicas
        )

    def report(self) -> None:
        """Logs where the batches are not what ``batch_size`` says, with numbers."""
        count = len(self.images)
        if count < self.batch_size:
            log.warning(
                "batch_size is %d: each step has all %d training images", self.batch_size, count
            )
        if self.repeated:
            log.warning(
                "%d replicas cannot share each batch of %d training images evenly: %d images of "
                "each epoch count twice in its accuracy, but once in its loss and gradients",
                self.replicas,
                count,
                self.repeated,
            )
        if self.sampling == "balanced":
            each, counts = count / self.classes, self.counts
            log.info(
                "sampling is balanced: of each class %.4g of an epoch's %d images, so that an "
                "image of the largest class (%d) comes %.2g times, one of the smallest (%d) "
                "%.2g times",
                each,
                count,
                counts.max(),
                each / counts.max(),
                counts.min(),
                each / counts.min(),
            )

    def batches(
        self, epochs: range, context: tf.distribute.InputContext | None = None
    ) -> tf.data.Dataset:
        """The batches of these epochs, one epoch after the other.

        An epoch has the same batches in whichever range it comes.

        Args:
            context: which of several processes that share each batch this one is; None for one. A
                process augments its own rows alone, to what they are within the whole batch, where
                every layer is a ``PerImageLayer`` and nothing is mixed. It reads all TFRecord
                shards.

        Returns:
            A dataset of (uint8 (B, H, W, C), float32 (B, classes), one-hot or mixed), and with
            class weights a third tensor, float32 (B,). B is ``images_per_step``, or one less. With
            R replicas, each element is the share of one, B / R rows, one after another. Where R
            does not divide B, the first rows are repeated at the end, with the weight 0, and the
            weights of the others keep the mean of the losses.
        """
        context = context or tf.distribute.InputContext()
        processes = context.num_input_pipelines
        per_process = self.replicas // processes
        largest, larger_steps = self.images_per_step, self.larger_steps
        equal = larger_steps == self.steps_per_epoch
        shared = processes > 1 or self.repeated > 0
        early = shared and self.mixing is None and shardable(self.layers)
        source: _Array | _Shards = (
            _Shards(self.images, self.workers)
            if isinstance(self.images, ShardedImages)
            else _Array(self.images)
        )
        labels, task = tf.constant(np.asarray(self.labels, np.int64)), self.task
        balanced = balanced_rows(self.labels, self.classes) if self.sampling == "balanced" else None

        # AutoGraph would take a second to translate functions that have no control flow of tensors.
        @tf.autograph.experimental.do_not_convert
        def epoch_of_parts(epoch: tf.Tensor) -> tf.data.Dataset:
            seed = _epoch_seed(self.seed, epoch)
            order = source.of_rows(balanced(seed)) if balanced else source.shuffled(seed)
            # Where all batches have one size, TensorFlow knows it.
            parts = (
                order.batch(largest, drop_remainder=True)
                if equal
                else _batches_of_two_sizes(order, largest, larger_steps)
            )
            return parts.enumerate().map(lambda step, part: (epoch, step, part))

        @tf.autograph.experimental.do_not_convert
        def batch(epoch: tf.Tensor, step: tf.Tensor, part: Any) -> tuple[tf.Tensor, ...]:
            seed = tf.random.experimental.stateless_fold_in(_epoch_seed(self.seed, epoch), step)
            count = largest if equal else tf.shape(tf.nest.flatten(part)[0])[0]
            size = -(-count // self.replicas) * per_process
            shard = Shard(size * context.input_pipeline_id, size, count)
            pixels, rows = source.pixels_and_rows(shard.of(part) if early else part)
            images = augment(pixels, self.layers, seed, shard if early else None)
            targets = task.targets(tf.gather(labels, rows), self.classes)
            if self.mixing is not None:
                # With the same seed, mixing would draw what the first layer drew.
                other_seed = tf.random.experimental.stateless_fold_in(seed, 1)
                images, targets = mix(images, targets, self.mixing, other_seed)
            if shared and not early:
                images, targets = shard.of((images, targets))
            if not self.repeated:
                return images, targets
            weight = tf.cast(size * processes, tf.float32) / tf.cast(count, tf.float32)
            return images, targets, tf.where(shard.rows < count, weight, 0.0)

        @tf.autograph.experimental.do_not_convert
        def shares(*batch: tf.Tensor) -> tf.data.Dataset:
            size = -(-largest // self.replicas) if equal else -1
            parts = [tf.reshape(rows, [per_process, size, *rows.shape[1:]]) for rows in batch]
            return tf.data.Dataset.from_tensor_slices(tuple(parts))

        dataset = (
            tf.data.Dataset.range(epochs.start, epochs.stop)
            .flat_map(epoch_of_parts)
            .map(batch, num_parallel_calls=self.workers, deterministic=True)
        )
        if per_process > 1:
            dataset = dataset.flat_map(shares)
        dataset = dataset.prefetch(2 * self.workers * per_process)
        return self._weighted(dataset.with_options(_options(self.workers)))

    def _weighted(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        if self.class_weights is None:
            return batches
        factors = tf.constant(
            [self.class_weights[label] for label in range(self.classes)], tf.float32
        )

        def weighted(images: Any, targets: Any, weights: Any = 1.0) -> tuple[Any, ...]:
            return images, targets, weights * tf.gather(factors, tf.argmax(targets, axis=1))

        return batches.map(weighted)


class _Array:
    def __init__(self, images: np.ndarray):
        self._pixels = tf.constant(np.asarray(images))

    def shuffled(self, seed: tf.Tensor) -> tf.data.Dataset:
        rows = tf.range(len(self._pixels))
        order = tf.random.experimental.stateless_shuffle(rows, seed=seed)
        return self.of_rows(order)

    def of_rows(self, rows: tf.Tensor) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices(rows)

    def pixels_and_rows(self, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.gather(self._pixels, rows), rows


class _Shards:
    def __init__(self, images: ShardedImages, workers: int):
        self._images, self._workers = images, workers

    def shuffled(self, seed: tf.Tensor) -> tf.data.Dataset:
        return streaming.shuffled(self._images, seed, workers=self._workers)

    def of_rows(self, rows: tf.Tensor) -> tf.data.Dataset:
        return streaming.of_rows(self._images, rows, workers=self._workers)

    def pixels_and_rows(self, part: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        return part


def evaluation_batches(
    images: Images, labels: np.ndarray, *, classes: int, batch_size: int = 256
) -> tf.data.Dataset:
    """The images in order, as (uint8 (B, H, W, C), float32 (B, classes)): one-hot, or 0
    and 1 where an image may have several labels.

    Every image comes once; the last batch may be shorter.
    """
    task = task_of(labels)
    if isinstance(images, ShardedImages):
        numbers = tf.constant(np.asarray(labels, np.int64))
        pairs = streaming.in_order(images, workers=1).map(
            lambda pixels, row: (pixels, task.targets(numbers[row], classes))
        )
    else:
        targets = task.targets(labels, classes)
        pairs = tf.data.Dataset.from_tensor_slices((np.asarray(images), targets))
    return pairs.batch(batch_size).prefetch(2).with_options(_options(1))


def _batches_of_two_sizes(
    order: tf.data.Dataset, largest: int, larger_steps: int
) -> tf.data.Dataset:
    """``larger_steps`` batches of ``largest`` elements, then batches of one element less."""

    def step_of(number: tf.Tensor, _: Any) -> tf.Tensor:
        smaller = (number - larger_steps * largest) // (largest - 1) + larger_steps
        return tf.where(number < larger_steps * largest, number // largest, smaller)

    def size(step: tf.Tensor) -> tf.Tensor:
        return tf.where(step < larger_steps, tf.constant(largest, tf.int64), largest - 1)

    def batch(_: tf.Tensor, elements: tf.data.Dataset) -> tf.data.Dataset:
        return elements.map(lambda _, element: element).batch(largest)

    return order.enumerate().group_by_window(step_of, batch, window_size_func=size)


def _epoch_seed(seed: int, epoch: tf.Tensor) -> tf.Tensor:
    return tf.stack([tf.constant(seed, tf.int32), tf.cast(epoch, tf.int32)])


def _options(workers: int) -> tf.data.Options:
    options = tf.data.Options()
    options.autotune.enabled = False
    # Each worker of a strategy takes its rows of the validation batches.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    options.threading.private_threadpool_size = workers
    return options
