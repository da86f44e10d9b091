"""The cost of streaming: batches from shards, and batches of the same images in memory."""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from classifier.storage.splits import Images, read_split, write_split
from classifier.training.feed import TrainingFeed
from contest import Contest, at_least

BATCH_SIZE, SIZE, COUNT = 32, 96, 12_000  # 332 MB, more than the shuffle buffer


def contests() -> Iterator[Contest]:
    random_images = np.random.default_rng(7).integers(0, 256, (64, SIZE, SIZE, 3), dtype=np.uint8)

    def deliver(images: Images, labels: np.ndarray) -> float:
        feed = TrainingFeed(images=images, labels=labels, classes=5, batch_size=BATCH_SIZE, seed=7)
        begun = time.perf_counter()
        for _ in feed.batches(range(1)):
            pass
        return len(feed.images) / (time.perf_counter() - begun)

    with TemporaryDirectory() as temporary:
        splits = {}
        for storage in ("tfrecord", "arrays"):
            folder = Path(temporary, storage)
            folder.mkdir()
            with write_split(
                folder, "train", random_images.shape[1:], storage=storage, shard_bytes=100_000_000
            ) as append:
                for row in range(COUNT):
                    append(random_images[row % len(random_images)], row % 5)
            splits[storage] = read_split(folder, "train")
        yield Contest(
            f"images of {SIZE} pixels delivered from shards",
            "from an array in memory",
            "images/s",
            partial(deliver, *splits["tfrecord"]),
            partial(deliver, *splits["arrays"]),
            at_least(0.2),
        )
