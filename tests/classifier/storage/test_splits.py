"""Splits are read as they were written, from arrays and from shards."""

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from classifier.storage.sharded_images import ShardedImages
from classifier.storage.splits import Images, Storage, batches, read_split, write_split

IMAGES = np.random.default_rng(0).integers(0, 256, (23, 6, 5, 3), dtype=np.uint8)
LABELS = np.arange(23) * 2000 % 40_000  # of one, two and three bytes in a record


Written = dict[str, tuple[Images, np.ndarray]]


def write(folder: Path, storage: Storage) -> tuple[Images, np.ndarray]:
    """Writes IMAGES, in shards of five if they are sharded, and reads them."""
    with write_split(folder, "s", (6, 5, 3), storage=storage, shard_bytes=5 * 90) as append:
        for pixels, label in zip(IMAGES, LABELS, strict=True):
            append(pixels, int(label))
    return read_split(folder, "s")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """The split by kind of storage."""
    return {name: write(tmp_path_factory.mktemp(name), name) for name in get_args(Storage)}


@pytest.mark.parametrize("storage", get_args(Storage))
def test_a_split_is_read_as_it_was_written(written: Written, storage: Storage) -> None:
    images, labels = written[storage]
    assert isinstance(images, np.memmap if storage == "arrays" else ShardedImages)
    assert (images.shape, images.dtype, len(images)) == (IMAGES.shape, np.uint8, 23)
    np.testing.assert_array_equal(np.asarray(images), IMAGES)
    assert (labels.dtype, labels.tolist()) == (np.uint16, LABELS.tolist())


@pytest.mark.parametrize("storage", get_args(Storage))
@pytest.mark.parametrize(
    "rows",
    [0, -1, np.int64(7), slice(3, 12), slice(None, None, 4), slice(30, 40), [4, 5, 22, 5, 0, -2]],
)
def test_rows_are_those_of_an_array(written: Written, storage: Storage, rows: Any) -> None:
    images, _ = written[storage]
    np.testing.assert_array_equal(images[rows], IMAGES[rows])


@pytest.mark.parametrize("storage", get_args(Storage))
def test_a_row_that_does_not_exist(written: Written, storage: Storage) -> None:
    images, _ = written[storage]
    for rows in (23, [0, -24]):
        with pytest.raises(IndexError):
            images[rows]


@pytest.mark.parametrize("storage", get_args(Storage))
def test_batches_cover_every_row(written: Written, storage: Storage) -> None:
    parts = list(batches(written[storage][0], 10))
    assert [len(part) for part in parts] == [10, 10, 3]
    np.testing.assert_array_equal(np.concatenate(parts), IMAGES)
