"""A split in shards, where an array of its images would stand: rows are read when asked for."""

import json
import math
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from classifier.data.shards import index_name, offsets_name, shard_name
from classifier.errors import InputError

REMEDY = "'dvc repro' makes it again"
AROUND = 80  # bytes, more than a record has beside its pixels
READ_BYTES = 4_000_000  # at once, at most


class Runs(NamedTuple):
    """Records that lie one after another, a run an element: the shard's file, where the first
    record begins, how many there are, and the first one's row."""

    files: Any  # strings
    offsets: Any  # int64
    counts: Any  # int64
    rows: Any  # int64


RUN_TYPES = (tf.string, tf.int64, tf.int64, tf.int64)  # of a Runs


class ShardedImages:
    """Images of one split, uint8 (N, H, W, C), in the shards of
    :class:`classifier.data.shards.ShardWriter`.

    It has the ``shape``, ``dtype`` and length of the array, and gives rows by number, slice or
    integer array, as arrays in memory. ``np.asarray`` of it reads them all.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, folder: Path, split: str):
        """
        Raises:
            InputError: a shard of the set is missing or has another size than the index says, or
                the index is damaged.
        """
        try:
            index = json.loads((folder / index_name(split)).read_text("utf-8"))
            images, sizes = index["images"], index["bytes"]
            self._offsets = np.load(folder / offsets_name(split))
            self.shape: tuple[int, ...] = (sum(images), *index["shape"])
            self._images = np.array(images, np.int64)  # of each shard
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = " ".join(str(error).split())
            raise InputError(
                f"{folder}: the index of {split}'s shards is damaged: {reason}"
            ) from None
        self.files = [
            folder / shard_name(split, number, len(images)) for number in range(len(images))
        ]
        for file, size in zip(self.files, sizes, strict=True):
            _check_size(file, size)
        if len(self._offsets) != len(self):
            raise InputError(f"{folder / offsets_name(split)} is damaged: {REMEDY}")
        self._ends = np.cumsum(self._images)
        self._names = np.array([os.fsencode(file) for file in self.files])
        self._read = tf.function(
            self._concatenated,
            input_signature=[Runs(*(tf.TensorSpec((None,), kind) for kind in RUN_TYPES))],
        )

    @property
    def image_bytes(self) -> int:
        """The bytes of one image's pixels."""
        return math.prod(self.shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        """One row (H, W, C) for an integer; (n, H, W, C) for a slice or n integers.

        Raises:
            IndexError: there is no such row.
            InputError: a record is damaged.
        """
        if isinstance(rows, slice):
            wanted = np.arange(*rows.indices(len(self)))
        else:
            wanted = np.asarray(rows)
        flat = wanted.reshape(-1)
        if not flat.size:
            return np.empty((*wanted.shape, *self.shape[1:]), np.uint8)
        if flat.dtype.kind not in "iu" or flat.min() < -len(self) or flat.max() >= len(self):
            raise IndexError(f"rows must be integers below {len(self)}")
        runs = self.runs(flat % len(self))
        try:
            pixels = self._read(runs).numpy()
        except tf.errors.DataLossError:
            raise InputError(self._damage(runs)) from None
        return pixels.reshape(*wanted.shape, *self.shape[1:])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)

    def runs(self, rows: np.ndarray) -> Runs:
        """The runs that rows, int64 (n,), form in their order: neighbours of one shard in one."""
        shards = np.searchsorted(self._ends, rows, side="right")
        begins = (np.diff(rows, prepend=-2) != 1) | (np.diff(shards, prepend=-1) != 0)
        firsts = np.flatnonzero(begins)
        return self._runs(rows[firsts], np.diff(firsts, append=len(rows)), shards[firsts])

    def blocks(self, size: int) -> Runs:
        """All rows in order, in runs of ``size``; the last of each shard may be shorter."""
        ranges = zip(self._ends - self._images, self._ends, strict=True)
        firsts = np.array([row for begin, end in ranges for row in range(begin, end, size)], int)
        shards = np.searchsorted(self._ends, firsts, side="right")
        counts = np.minimum(size, self._ends[shards] - firsts)
        return self._runs(firsts, counts, shards)

    def _runs(self, rows: np.ndarray, counts: np.ndarray, shards: np.ndarray) -> Runs:
        return Runs(self._names[shards], self._offsets[rows], counts, rows)

    def records(self, run: Runs) -> tf.data.Dataset:
        """The records of one run, whose parts are scalars; inside of a tf.data function alone.

        TensorFlow reads a run in one piece or few, and checks each record's checksum.
        """
        # TFRecordDataset has no offset, and this operation loses it where it is the outermost one
        # of a dataset (TensorFlow 2.21).
        variant = tf.raw_ops.TFRecordDatasetV2(
            filenames=tf.reshape(run.files, (1,)),
            compression_type="",
            buffer_size=tf.minimum(run.counts * (self.image_bytes + AROUND), READ_BYTES),
            byte_offsets=tf.reshape(run.offsets, (1,)),
        )
        spec = tf.TensorSpec((), tf.string)
        return tf.data.experimental.from_variant(variant, spec).take(run.counts)

    def decoded(self, records: Any) -> Any:
        """The pixels, uint8 (n, H, W, C), of n records."""
        features = {"image": tf.io.FixedLenFeature((), tf.string)}
        pixels = tf.io.decode_raw(tf.io.parse_example(records, features)["image"], tf.uint8)
        return tf.reshape(pixels, (-1, *self.shape[1:]))

    def _concatenated(self, runs: Runs) -> Any:
        records = tf.data.Dataset.from_tensor_slices(runs).flat_map(self.records)
        return self.decoded(records.batch(tf.reduce_sum(runs.counts)).get_single_element())

    def _damage(self, runs: Runs) -> str:
        for number in range(len(runs.rows)):
            run = Runs(*(part[number : number + 1] for part in runs))
            try:
                self._read(run)
            except tf.errors.DataLossError:
                return f"{os.fsdecode(run.files[0])} is damaged: {REMEDY}"
        raise AssertionError("read without an error the second time")


def _check_size(file: Path, size: int) -> None:
    if not file.exists():
        raise InputError(f"{file} is missing: {REMEDY}")
    found = file.stat().st_size
    if found != size:
        raise InputError(f"{file} has {found:,} bytes instead of {size:,}: {REMEDY}")
