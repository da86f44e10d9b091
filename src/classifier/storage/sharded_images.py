"""Reads the images of a split from shards by row, with the interface of an array."""

import json
import math
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from classifier.storage.shards import index_name, offsets_name, shard_name
from classifier.support.errors import InputError

REMEDY = "'dvc repro' makes it again"
OVERHEAD = 80  # bytes: an upper limit of what a record has in addition to its pixels
READ_BYTES = 4_000_000  # the largest size of one read


class Runs(NamedTuple):
    """Runs of consecutive records of one shard each: four arrays with one element per run."""

    files: Any  # strings: the path of the shard
    offsets: Any  # int64: the offset of the first record in the shard, in bytes
    counts: Any  # int64: the number of records
    rows: Any  # int64: the row of the first record


RUN_TYPES = (tf.string, tf.int64, tf.int64, tf.int64)  # dtypes of the fields of Runs


class ShardedImages:
    """The images of a split, uint8 (N, H, W, C), that
    :class:`classifier.storage.shards.ShardWriter` wrote.

    It has the ``shape``, ``dtype`` and length of an array. An integer, a slice or an array of
    integers reads rows into memory, and ``np.asarray`` reads all of them.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, folder: Path, split: str):
        """
        Raises:
            InputError: a shard is missing or does not have the size that the index states, or
                the index is damaged.
        """
        try:
            index = json.loads((folder / index_name(split)).read_text("utf-8"))
            images, sizes = index["images"], index["bytes"]
            self._offsets = np.load(folder / offsets_name(split))
            self.shape: tuple[int, ...] = (sum(images), *index["shape"])
            self._images = np.array(images, np.int64)  # per shard
        except (EOFError, FileNotFoundError, ValueError, KeyError, TypeError) as error:
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
        """The size of the pixels of one image, in bytes."""
        return math.prod(self.shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Reads one image (H, W, C) for an integer, or n images (n, H, W, C) for a slice or array.

        Raises:
            IndexError: a row does not exist.
            InputError: a record is damaged.
        """
        if isinstance(rows, slice):
            numbers = np.arange(*rows.indices(len(self)))
        else:
            numbers = np.asarray(rows)
        flat = numbers.reshape(-1)
        if not flat.size:
            return np.empty((*numbers.shape, *self.shape[1:]), np.uint8)
        if flat.dtype.kind not in "iu" or flat.min() < -len(self) or flat.max() >= len(self):
            raise IndexError(f"rows must be integers below {len(self)}")
        runs = self.runs(flat % len(self))
        try:
            pixels = self._read(runs).numpy()
        except tf.errors.DataLossError:
            raise InputError(self._describe_damage(runs)) from None
        return pixels.reshape(*numbers.shape, *self.shape[1:])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)

    def runs(self, rows: np.ndarray) -> Runs:
        """Joins rows, int64 (n,), to runs, in the same order: consecutive rows of one shard."""
        shards = np.searchsorted(self._ends, rows, side="right")
        begins = (np.diff(rows, prepend=-2) != 1) | (np.diff(shards, prepend=-1) != 0)
        firsts = np.flatnonzero(begins)
        return self._runs(rows[firsts], np.diff(firsts, append=len(rows)), shards[firsts])

    def blocks(self, size: int) -> Runs:
        """All rows in order, in runs of ``size``. The last run of each shard may be shorter."""
        ranges = zip(self._ends - self._images, self._ends, strict=True)
        firsts = np.array([row for begin, end in ranges for row in range(begin, end, size)], int)
        shards = np.searchsorted(self._ends, firsts, side="right")
        counts = np.minimum(size, self._ends[shards] - firsts)
        return self._runs(firsts, counts, shards)

    def _runs(self, rows: np.ndarray, counts: np.ndarray, shards: np.ndarray) -> Runs:
        return Runs(self._names[shards], self._offsets[rows], counts, rows)

    def records(self, run: Runs) -> tf.data.Dataset:
        """The records of one run, which has scalars as its fields.

        TensorFlow reads a run with one or few reads, and verifies the checksum of each record.
        Call it only in a function that tf.data maps: as the last operation of a dataset, the
        operation ignores its offset (TensorFlow 2.21).
        """
        # tf.data.TFRecordDataset has no argument for an offset.
        variant = tf.raw_ops.TFRecordDatasetV2(
            filenames=tf.reshape(run.files, (1,)),
            compression_type="",
            buffer_size=tf.minimum(run.counts * (self.image_bytes + OVERHEAD), READ_BYTES),
            byte_offsets=tf.reshape(run.offsets, (1,)),
        )
        spec = tf.TensorSpec((), tf.string)
        return tf.data.experimental.from_variant(variant, spec).take(run.counts)

    def decoded(self, records: Any) -> Any:
        """Decodes n records to pixels, uint8 (n, H, W, C)."""
        features = {"image": tf.io.FixedLenFeature((), tf.string)}
        pixels = tf.io.decode_raw(tf.io.parse_example(records, features)["image"], tf.uint8)
        return tf.reshape(pixels, (-1, *self.shape[1:]))

    def _concatenated(self, runs: Runs) -> Any:
        records = tf.data.Dataset.from_tensor_slices(runs).flat_map(self.records)
        return self.decoded(records.batch(tf.reduce_sum(runs.counts)).get_single_element())

    def _describe_damage(self, runs: Runs) -> str:
        for number in range(len(runs.rows)):
            run = Runs(*(part[number : number + 1] for part in runs))
            try:
                self._read(run)
            except tf.errors.DataLossError:
                return f"{os.fsdecode(run.files[0])} is damaged: {REMEDY}"
        raise AssertionError("the second read had no error")


def _check_size(file: Path, size: int) -> None:
    if not file.exists():
        raise InputError(f"{file} is missing: {REMEDY}")
    actual_size = file.stat().st_size
    if actual_size != size:
        raise InputError(f"{file} has {actual_size:,} bytes instead of {size:,}: {REMEDY}")
