"""Images streamed from shards with bounded memory: in order, or shuffled anew each epoch.

How well it shuffles: an epoch's order is that of blocks of BLOCK_BYTES, neighbouring images of one
shard, drawn from all shards at random without replacement; then a buffer of SHUFFLE_BYTES, of
which the next image is any. A split that fits into the buffer is shuffled evenly, like one in
memory. Of a larger one, images that lie in one block come near each other, as far apart as the
buffer is long; a buffer has some 250 blocks from all over the split, so that one whose images lie
class by class has its classes mixed all the same. How large the shards are matters little.

The buffer is filled before an epoch's first batch, and empties towards its end.
"""

from typing import Any

import tensorflow as tf

from classifier.data.sharded_images import Runs, ShardedImages

BLOCK_BYTES = 1_000_000
SHUFFLE_BYTES = 256_000_000


def in_order(images: ShardedImages, *, workers: int) -> tf.data.Dataset:
    """All images once, each with its row: (uint8 (H, W, C), int64 ()).

    Args:
        workers: blocks that are read in parallel; they change nothing of the order.
    """
    return _read(images, _blocks(images), workers)


def shuffled(images: ShardedImages, seed: Any, *, workers: int) -> tf.data.Dataset:
    """All images once, each with its row, like :func:`in_order`; ``seed``, int32 (2,), alone says
    in which order."""
    blocks = _blocks(images)
    order = tf.random.experimental.stateless_shuffle(tf.range(len(blocks.rows)), seed=seed)
    drawn = Runs(*(tf.gather(part, order) for part in blocks))
    buffer = min(len(images), max(1, SHUFFLE_BYTES // images.image_bytes))
    return _shuffle(_read(images, drawn, workers), buffer, seed)


def _blocks(images: ShardedImages) -> Runs:
    return images.blocks(max(1, BLOCK_BYTES // images.image_bytes))


def _read(images: ShardedImages, runs: Runs, workers: int) -> tf.data.Dataset:
    def block(run: Runs) -> tf.data.Dataset:
        rows = tf.data.Dataset.range(run.rows, run.rows + run.counts)
        read = tf.data.Dataset.zip((images.records(run), rows)).batch(run.counts)
        return read.map(lambda records, row: (images.decoded(records), row), num_parallel_calls=1)

    # A block is one element, so that they come in the order of the runs.
    return (
        tf.data.Dataset.from_tensor_slices(runs)
        .interleave(block, cycle_length=workers, num_parallel_calls=workers, deterministic=True)
        .unbatch()
        .apply(tf.data.experimental.assert_cardinality(len(images)))
    )


def _shuffle(dataset: tf.data.Dataset, buffer: int, seed: Any) -> tf.data.Dataset:
    # Dataset.shuffle would mix the process's global seed in, and 0, 0 is a seed of the clock's.
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
