"""Writes image arrays row by row, and computes the statistics of their pixels."""

import os
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.lib import format as npy


class ArrayWriter:
    """Writes a uint8 (N, *shape) .npy file row by row, as N is known only at the end.

    Use it in a ``with`` statement, which writes the final header when it ends. NumPy reserves
    space in the header for a larger N
    (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html).
    """

    def __init__(self, path: Path, shape: tuple[int, ...]):
        self.shape = shape
        self.rows = 0
        self._file = path.open("wb")
        self._write_header()

    def append(self, row: np.ndarray) -> None:
        """Appends one row, uint8 of the writer's ``shape``.

        Raises:
            ValueError: the row has another shape or dtype.
        """
        if row.shape != self.shape or row.dtype != np.uint8:
            raise ValueError(f"row is {row.dtype} {row.shape}, must be uint8 {self.shape}")
        self._file.write(row.tobytes())
        self.rows += 1

    def _write_header(self) -> None:
        header = {"descr": "|u1", "fortran_order": False, "shape": (self.rows, *self.shape)}
        npy.write_array_header_1_0(self._file, header)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.seek(0, os.SEEK_SET)
        self._write_header()
        self._file.close()


class ChannelStatistics:
    """Mean and standard deviation per channel of uint8 images, which are added one by one.

    The sums are integers, so that the result does not depend on the order of the images.
    """

    def __init__(self, channels: int):
        self.pixels = 0
        self._sum = [0] * channels
        self._squares = [0] * channels

    def add(self, image: np.ndarray) -> None:
        """Adds one image, uint8 (H, W, C)."""
        # One row per channel: sums of contiguous rows are thirty times as fast.
        rows = np.ascontiguousarray(image.reshape(-1, image.shape[-1]).T).astype(np.int64)
        self.pixels += rows.shape[1]
        for channel, row in enumerate(rows):
            self._sum[channel] += int(row.sum())
            self._squares[channel] += int(np.dot(row, row))

    @property
    def mean(self) -> list[float]:
        """The mean per channel, 0..255."""
        return [total / self.pixels for total in self._sum]

    @property
    def standard_deviation(self) -> list[float]:
        """The population standard deviation per channel, 0..127.5."""
        return [
            (square / self.pixels - mean**2) ** 0.5 if square else 0.0
            for square, mean in zip(self._squares, self.mean, strict=True)
        ]
