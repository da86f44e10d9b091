"""Arrays that are written row by row, and statistics of pixels."""

from pathlib import Path

import numpy as np
import pytest

from classifier.storage.arrays import ArrayWriter, ChannelStatistics


@pytest.mark.parametrize("rows", [0, 1, 7, 1234])
def test_rows_come_back_as_a_memory_map(tmp_path: Path, rows: int) -> None:
    expected = np.random.default_rng(0).integers(0, 256, (rows, 3, 2, 1), dtype=np.uint8)
    with ArrayWriter(tmp_path / "a.npy", (3, 2, 1)) as writer:
        for row in expected:
            writer.append(row)
    array = np.load(tmp_path / "a.npy", mmap_mode="r" if rows else None)
    np.testing.assert_array_equal(array, expected)


def test_a_row_of_another_shape_or_type_is_refused(tmp_path: Path) -> None:
    with ArrayWriter(tmp_path / "a.npy", (2, 2, 1)) as writer:
        for row in (np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2, 1))):
            with pytest.raises(ValueError, match="must be uint8"):
                writer.append(row)


@pytest.mark.difference("the order in which threads decode", "statistics of integers")
def test_statistics_are_those_of_numpy_in_any_order() -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 5, 4, 3), dtype=np.uint8)
    forwards, backwards = ChannelStatistics(3), ChannelStatistics(3)
    for image in images:
        forwards.add(image)
    for image in images[::-1]:
        backwards.add(image)
    assert forwards.mean == pytest.approx(images.mean(axis=(0, 1, 2)))
    assert forwards.standard_deviation == pytest.approx(images.std(axis=(0, 1, 2)))
    assert forwards.mean == backwards.mean
    assert forwards.standard_deviation == backwards.standard_deviation
