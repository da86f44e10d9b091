"""Whether training waits for data: batches of flowers delivered, and batches trained on."""

import time
from collections.abc import Iterator

import tensorflow as tf

from contest import Contest, at_least
from contests.trained import trained

BATCH_SIZE = 32


def contests() -> Iterator[Contest]:
    model, feed = trained("flowers", BATCH_SIZE)
    batch = next(iter(feed.batches(range(1))))
    # As in TrainingFeed: tf.data's autotuning may stall for a second at the end of an epoch.
    options = tf.data.Options()
    options.autotune.enabled = False
    repeated = tf.data.Dataset.from_tensors(batch).repeat().with_options(options)

    def deliver() -> float:
        begun = time.perf_counter()
        for _ in feed.batches(range(1)):
            pass
        return len(feed.images) / (time.perf_counter() - begun)

    def fit(dataset: tf.data.Dataset) -> float:
        begun = time.perf_counter()
        model.fit(dataset, steps_per_epoch=feed.steps_per_epoch, verbose=0)
        return len(feed.images) / (time.perf_counter() - begun)

    yield Contest(
        "augmented flowers delivered",
        "training, of one batch in memory",
        "images/s",
        deliver,
        lambda: fit(repeated),
        at_least(5),
    )
    yield Contest(
        "training on augmented flowers",
        "training, of one batch in memory",
        "images/s",
        lambda: fit(feed.batches(range(1))),
        lambda: fit(repeated),
        at_least(0.97),
    )
