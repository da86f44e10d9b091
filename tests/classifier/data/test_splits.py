"""A split comes back as it was written, from arrays and from shards."""

from pathlib import Path

import numpy as np
import pytest

from classifier.data.sharded_images import ShardedImages
from classifier.data.splits import STORAGES, Images, batches, read_split, write_split

IMAGES = np.random.default_rng(0).integers(0, 256, (23, 6, 5, 3), dtype=np.uint8)
LABELS = np.arange(23) * 2000 % 40_000  # of one, two and three bytes in a record


def written(folder: Path, storage: str, shard_bytes: int = 5 * 90) -> tuple[Images, np.ndarray]:
    """IMAGES, in shards of five."""
    folder.mkdir(exist_ok=True)
    with write_split(folder, "s", (6, 5, 3), storage=storage, shard_bytes=shard_bytes) as append:
        for pixels, label in zip(IMAGES, LABELS, strict=True):
            append(pixels, int(label))
    return read_split(folder, "s")


@pytest.mark.parametrize("storage", STORAGES)
def test_a_split_comes_back(tmp_path: Path, storage: str) -> None:
    images, labels = written(tmp_path, storage)
    assert isinstance(images, np.memmap if storage == "arrays" else ShardedImages)
    assert (images.shape, images.dtype, len(images)) == (IMAGES.shape, np.uint8, 23)
    np.testing.assert_array_equal(np.asarray(images), IMAGES)
    assert (labels.dtype, labels.tolist()) == (np.uint16, LABELS.tolist())


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize(
    "rows",
    [0, -1, np.int64(7), slice(3, 12), slice(None, None, 4), slice(30, 40), [4, 5, 22, 5, 0, -2]],
)
def test_rows_are_those_of_an_array(tmp_path: Path, storage: str, rows: object) -> None:
    images, _ = written(tmp_path, storage)
    np.testing.assert_array_equal(images[rows], IMAGES[rows])


@pytest.mark.parametrize("storage", STORAGES)
def test_a_row_that_is_not_there(tmp_path: Path, storage: str) -> None:
    images, _ = written(tmp_path, storage)
    for rows in (23, [0, -24]):
        with pytest.raises(IndexError):
            images[rows]


@pytest.mark.parametrize("storage", STORAGES)
def test_batches_cover_every_row(tmp_path: Path, storage: str) -> None:
    found = list(batches(written(tmp_path, storage)[0], 10))
    assert [len(batch) for batch in found] == [10, 10, 3]
    np.testing.assert_array_equal(np.concatenate(found), IMAGES)
