"""Images streamed from shards with bounded memory: in order, or shuffled differently each epoch.

An epoch is shuffled in two steps. Blocks of BLOCK_BYTES, consecutive images of one shard, are drawn
from all shards at random without replacement. They fill a buffer of SHUFFLE_BYTES, and the next
image is a random one of the buffer. A split that fits into the buffer is shuffled uniformly, as
in memory. In a larger split, the images of a block stay within a buffer's length of each other.
The buffer holds about 250 blocks from the whole split, so a split that is stored class by class
has its classes mixed too. The size of the shards matters little.

The buffer is filled before the first batch of an epoch, and empties towards its end.
"""

from typing import Any

import tensorflow as tf

from classifier.storage.sharded_images import Runs, ShardedImages

BLOCK_BYTES = 1_000_000
SHUFFLE_BYTES = 256_000_000


def in_order(images: ShardedImages, *, workers: int) -> tf.data.Dataset:
    """All images once, each with its row: (uint8 (H, W, C), int64 ()).

    Args:
        workers: blocks that are read in parallel; the order does not depend on it.
    """
    return _read(images, _blocks(images), workers)


def shuffled(images: ShardedImages, seed: Any, *, workers: int) -> tf.data.Dataset:
    """All images once, each with its row, like :func:`in_order`, in a random order.

    Args:
        seed: int32 (2,); the order depends on it alone.
    """
    blocks = _blocks(images)
    order = tf.random.experimental.stateless_shuffle(tf.range(len(blocks.rows)), seed=seed)
    drawn = Runs(*(tf.gather(part, order) for part in blocks))
    buffer = min(len(images), max(1, SHUFFLE_BYTES // images.image_bytes))
    return _shuffle(_read(images, drawn, workers), buffer, seed)


def of_rows(images: ShardedImages, rows: Any, *, workers: int) -> tf.data.Dataset:
    """These images, each with its row, like :func:`in_order`; each is read by itself.

    Args:
        rows: integers (N,), N the number of images; some may be there several times.
    """
    drawn = Runs(*(tf.gather(part, rows) for part in images.blocks(1)))
    return _read(images, drawn, workers)


def _blocks(images: ShardedImages) -> Runs:
    return images.blocks(max(1, BLOCK_BYTES // images.image_bytes))


def _read(images: ShardedImages, runs: Runs, workers: int) -> tf.data.Dataset:
    def block(run: Runs) -> tf.data.Dataset:
        rows = tf.data.Dataset.range(run.rows, run.rows + run.counts)
        read = tf.data.Dataset.zip((images.records(run), rows)).batch(run.counts)
        return read.map(lambda records, row: (images.decoded(records), row), num_parallel_calls=1)

    # A block is one element, so the blocks come in the order of the runs.
    return (
        tf.data.Dataset.from_tensor_slices(runs)
        .interleave(block, cycle_length=workers, num_parallel_calls=workers, deterministic=True)
        .unbatch()
        .apply(tf.data.experimental.assert_cardinality(len(images)))
    )


def _shuffle(dataset: tf.data.Dataset, buffer: int, seed: Any) -> tf.data.Dataset:
    # Dataset.shuffle would add the global seed of the process, and (0, 0) means a random seed.
    seeds = tf.random.stateless_uniform((2,), seed, minval=1, maxval=tf.int64.max, dtype=tf.int64)
    variant = tf.raw_ops.ShuffleDataset(
        input_dataset=tf.data.experimental.to_variant(dataset),
        buffer_size=buffer,
        seed=seeds[0],
        seed2=seeds[1],
        output_types=[spec.dtype for spec in dataset.element_spec],
        output_shapes=[spec.shape for spec in dataset.element_spec],
        reshuffle_each_iteration=False,
    )
    return tf.data.experimental.from_variant(variant, dataset.element_spec)
