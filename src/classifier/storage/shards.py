"""Writes the images of a split as shards: TFRecord files of a fixed number of images each.

``train-00000-of-00004.tfrecord`` and so on have one ``tf.train.Example`` per image, in row order:

- ``image``: bytes, the uint8 pixels (H, W, C) in C order;
- ``label``: int64, one, or one of 0 or 1 for each class where an image may have several.

``train_shards.json`` has the shape of the images, and the number of images and bytes per shard.
``train_offsets.npy``, int64 (N,), has the offset of each record in its shard. Other readers of
TFRecords need neither of the two (https://www.tensorflow.org/tutorials/load_data/tfrecord).
"""

import math
from array import array
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import tensorflow as tf

from classifier.support.atomic import write_json

FRAME = 16  # bytes of a TFRecord around its content: its length, and two checksums


def shard_name(split: str, number: int, count: int) -> str:
    """The file name of a split's shard ``number``, 0..count - 1."""
    return f"{split}-{number:05d}-of-{count:05d}.tfrecord"


def index_name(split: str) -> str:
    """The file name of a split's index of shards."""
    return f"{split}_shards.json"


def offsets_name(split: str) -> str:
    """The file name of the offsets of a split's records."""
    return f"{split}_offsets.npy"


class ShardWriter:
    """Writes the shards of a split image by image. The same images give the same bytes.

    Use it in a ``with`` statement. The shards get their names when it ends, because the names
    contain the number of shards.
    """

    def __init__(self, folder: Path, split: str, shape: tuple[int, ...], *, shard_bytes: int):
        """
        Args:
            shape: of an image, (H, W, C).
            shard_bytes: the largest size of the pixels in one shard, in bytes. A shard has at
                least one image.
        """
        self.folder, self.split, self.shape = folder, split, shape
        self.images_per_shard = max(1, shard_bytes // math.prod(shape))
        self._images: list[int] = []  # per shard
        self._bytes: list[int] = []  # per shard
        self._offsets = array("q")
        self._file: Any = None  # TensorFlow's writer of the last shard

    def append(self, pixels: np.ndarray, label: int | np.ndarray) -> None:
        """Appends one image, uint8 of the writer's ``shape``, and its label or labels.

        Raises:
            ValueError: the image has another shape or dtype.
        """
        if pixels.shape != self.shape or pixels.dtype != np.uint8:
            raise ValueError(f"row is {pixels.dtype} {pixels.shape}, must be uint8 {self.shape}")
        if not self._images or self._images[-1] == self.images_per_shard:
            self._begin_shard()
        feature = {
            "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[pixels.tobytes()])),
            "label": tf.train.Feature(
                int64_list=tf.train.Int64List(value=np.ravel(label).tolist())
            ),
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
