"""Is the network starved? The flowers' batches beside what the network takes of them."""

import time
from collections.abc import Iterator

import tensorflow as tf

from contest import Contest, at_least
from contests.trained import trained

BATCH_SIZE = 32


def contests() -> Iterator[Contest]:
    model, batches, steps = trained("flowers", BATCH_SIZE)
    fixed = next(iter(batches(epochs=1)))
    # As in this project's batches: at times tf.data's autotuning stalls for a second at an end.
    options = tf.data.Options()
    options.autotune.enabled = False
    repeated = tf.data.Dataset.from_tensors(fixed).repeat().with_options(options)

    def delivered() -> float:
        begun = time.perf_counter()
        for _ in batches(epochs=1):
            pass
        return BATCH_SIZE * steps / (time.perf_counter() - begun)

    def fitted(dataset: tf.data.Dataset) -> float:
        begun = time.perf_counter()
        model.fit(dataset, steps_per_epoch=steps, verbose=0)
        return BATCH_SIZE * steps / (time.perf_counter() - begun)

    yield Contest(
        "augmented flowers delivered",
        "training, of one batch in memory",
        "images/s",
        delivered,
        lambda: fitted(repeated),
        at_least(5),
    )
    yield Contest(
        "training on augmented flowers",
        "training, of one batch in memory",
        "images/s",
        lambda: fitted(batches(epochs=1)),
        lambda: fitted(repeated),
        at_least(0.97),
    )
