"""What streaming costs: batches from shards beside batches of the same images held in memory."""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from classifier.data.feed import steps_per_epoch, training_batches
from classifier.data.splits import Images, read_split, write_split
from contest import Contest, at_least

BATCH_SIZE, SIZE, COUNT = 32, 96, 12_000  # 332 MB, more than the buffer that shuffles


def contests() -> Iterator[Contest]:
    drawn = np.random.default_rng(7).integers(0, 256, (64, SIZE, SIZE, 3), dtype=np.uint8)

    def delivered(images: Images, labels: np.ndarray) -> float:
        batches = training_batches(
            images, labels, classes=5, batch_size=BATCH_SIZE, epochs=1, seed=7
        )
        begun = time.perf_counter()
        for _ in batches:
            pass
        return BATCH_SIZE * steps_per_epoch(COUNT, BATCH_SIZE) / (time.perf_counter() - begun)

    with TemporaryDirectory() as temporary:
        splits = {}
        for storage in ("tfrecord", "arrays"):
            folder = Path(temporary, storage)
            folder.mkdir()
            with write_split(
                folder, "train", drawn.shape[1:], storage=storage, shard_bytes=100_000_000
            ) as append:
                for row in range(COUNT):
                    append(drawn[row % len(drawn)], row % 5)
            splits[storage] = read_split(folder, "train")
        yield Contest(
            f"images of {SIZE} pixels delivered from shards",
            "from an array in memory",
            "images/s",
            partial(delivered, *splits["tfrecord"]),
            partial(delivered, *splits["arrays"]),
            at_least(0.2),
        )
