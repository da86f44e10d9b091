"""Shards: a split's images as TFRecord files of a fixed number of images, and their index.

``train-00000-of-00004.tfrecord`` and so on hold one ``tf.train.Example`` an image, in row order:

- ``image``: bytes, the uint8 pixels (H, W, C) as they lie in memory, row by row;
- ``label``: int64.

Beside them, ``train_shards.json`` has the images' shape and each shard's images and bytes, and
``train_offsets.npy``, int64 (N,), has the place of each row's record in its shard. Any reader of
TFRecords can read the shards without the two
(https://www.tensorflow.org/tutorials/load_data/tfrecord).
"""

import math
from array import array
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import tensorflow as tf

from classifier.atomic import write_json

AHEAD = 64  # images that may wait to be written
FRAME = 16  # bytes that a TFRecord has around its content: its length, and two checksums


def shard_name(split: str, number: int, count: int) -> str:
    """The file name of shard ``number``, from 0 on, of ``count``."""
    return f"{split}-{number:05d}-of-{count:05d}.tfrecord"


def index_name(split: str) -> str:
    """The file name of a split's index of shards."""
    return f"{split}_shards.json"


def offsets_name(split: str) -> str:
    """The file name of the places of a split's records."""
    return f"{split}_offsets.npy"


class ShardWriter:
    """Writes a split's shards, one image after another; the same images give the same bytes.

    A thread of its own packs and writes while the caller makes the next image; few images wait
    for it. The shards have their names when the ``with`` block ends, as their number is part of
    them.
    """

    def __init__(self, folder: Path, split: str, shape: tuple[int, ...], *, shard_bytes: int):
        """
        Args:
            shape: of an image, (H, W, C).
            shard_bytes: of pixels in a shard, at most; one image where an image has more.
        """
        self.folder, self.split, self.shape = folder, split, shape
        self.images_a_shard = max(1, shard_bytes // math.prod(shape))
        self._images: list[int] = []  # of each shard
        self._bytes: list[int] = []  # of each shard
        self._offsets = array("q")
        self._file: Any = None  # TensorFlow's writer of the shard that is begun
        self._thread = ThreadPoolExecutor(1)
        self._waiting: deque[Future[None]] = deque()

    def append(self, pixels: np.ndarray, label: int) -> None:
        """Appends one image, uint8 of the writer's shape, and its label."""
        if pixels.shape != self.shape or pixels.dtype != np.uint8:
            raise ValueError(f"row is {pixels.dtype} {pixels.shape}, must be uint8 {self.shape}")
        self._waiting.append(self._thread.submit(self._write, pixels.tobytes(), int(label)))
        if len(self._waiting) > AHEAD:
            self._waiting.popleft().result()

    def _write(self, pixels: bytes, label: int) -> None:
        if not self._images or self._images[-1] == self.images_a_shard:
            self._begin_shard()
        feature = {
            "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[pixels])),
            "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
        }
        example = tf.train.Example(features=tf.train.Features(feature=feature))
        record = example.SerializeToString(deterministic=True)
        self._file.write(record)
        self._offsets.append(self._bytes[-1])
        self._images[-1] += 1
        self._bytes[-1] += FRAME + len(record)

    def _begin_shard(self) -> None:
        self._close_shard()
        self._file = tf.io.TFRecordWriter(str(self._unnamed(len(self._images))))
        self._images.append(0)
        self._bytes.append(0)

    def _close_shard(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _unnamed(self, number: int) -> Path:
        return self.folder / f"{self.split}-{number:05d}.partial"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._thread.shutdown()
        try:
            if error is None:
                for written in self._waiting:
                    written.result()
        finally:
            self._close_shard()
        if error is None:
            self._finish()

    def _finish(self) -> None:
        count = len(self._images)
        for number in range(count):
            self._unnamed(number).rename(self.folder / shard_name(self.split, number, count))
        index = {"shape": self.shape, "images": self._images, "bytes": self._bytes}
        write_json(self.folder / index_name(self.split), index)
        np.save(self.folder / offsets_name(self.split), np.array(self._offsets, np.int64))
