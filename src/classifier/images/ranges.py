"""Scales pixel values of any range to 0..255, and counts the images that it scales."""

import threading
from collections import Counter
from typing import NamedTuple

import numpy as np

from classifier.support.limits import ValueRange

BITS_8, BITS_16 = (0.0, 255.0), (0.0, 65535.0)
# Kinds of files whose range is that of their format, and cannot be declared.
BITS_8_FILE, HIGH_BITS_FILE = "8 bits", "16 bits per channel"
DARK = 1 / 8  # of the range: an image without larger values is nearly black


def known_range(dtype: np.dtype) -> ValueRange | None:
    """The range of an image's values by their dtype. None for integers of 32 bits and for floats,
    whose range is a convention of the dataset.
    """
    known = {"bool": (0.0, 1.0), "uint8": BITS_8, "uint16": BITS_16}
    return known.get(dtype.newbyteorder("=").name)


def scale(values: np.ndarray, value_range: ValueRange) -> np.ndarray:
    """Scales finite values to uint8 of the same shape: ``value_range`` becomes 0..255.

    Values outside ``value_range`` become 0 or 255.
    """
    low, high = value_range
    # Python's numbers take the dtype of the array.
    floats: np.ndarray = values.astype(np.float32 if values.dtype.itemsize <= 2 else np.float64)
    return np.rint((floats - low) * (255 / (high - low))).clip(0, 255).astype(np.uint8)


class _Seen(NamedTuple):
    images: int = 0
    dark: int = 0  # images that are nearly black
    largest: float = 0  # value of these
    outside: int = 0  # images with values outside the range


class RangeCounts:
    """Counts images by the range of their values, and those that are taken in part.

    Threads may share one.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[tuple[str, ValueRange, bool], _Seen] = {}
        self._unfit: dict[ValueRange, int] = {}
        self._first: Counter[str] = Counter()
        self._truncated = 0

    def add(
        self,
        kind: str,
        value_range: ValueRange,
        *,
        declared: bool,
        largest: float,
        smallest: float = 0,
    ) -> None:
        """Counts one image.

        Args:
            kind: what the values are, for example ``16 bits``.
            value_range: what became 0..255.
            declared: whether the range was declared, or is known from the format.
            largest, smallest: of the image's values.
        """
        low, high = value_range
        key = kind, value_range, declared
        dark = largest < DARK * high
        outside = smallest < low or largest > high
        with self._lock:
            seen = self._seen.get(key, _Seen())
            self._seen[key] = _Seen(
                seen.images + 1,
                seen.dark + dark,
                max(seen.largest, largest) if dark else seen.largest,
                seen.outside + outside,
            )

    def add_unfit(self, value_range: ValueRange) -> None:
        """Counts one file of 8 bits, which ignores the declared ``value_range``."""
        with self._lock:
            self._unfit[value_range] = self._unfit.get(value_range, 0) + 1

    def add_first(self, format: str) -> None:
        """Counts one file of several pages or frames, of which the first is taken."""
        with self._lock:
            self._first[format] += 1

    def add_truncated(self) -> None:
        """Counts one image whose end is missing or damaged."""
        with self._lock:
            self._truncated += 1

    def in_part(self) -> list[str]:
        """A line for each format whose files have several pages or frames, with their number."""
        return [
            f"{files:,} {format} files have several pages or frames: the first is taken"
            for format, files in sorted(self._first.items())
        ]

    def scaled(self) -> list[str]:
        """A line for each range other than 8 bits that was scaled, with its number of images."""
        return [
            f"scaled {seen.images:,} images of {kind} from {_text(value_range)} to [0, 255]"
            for (kind, value_range, _), seen in sorted(self._seen.items())
            if value_range != BITS_8
        ]

    def warnings(self) -> list[str]:
        """A line for each range that does not fit its images, with their number.

        A range known from the format does not fit if more than half of its images are nearly
        black: a few dark images are ordinary, and a few bright ones may be of another camera.
        """
        lines = []
        for (kind, value_range, declared), seen in sorted(self._seen.items()):
            high = value_range[1]
            if not declared and high > 1 and 2 * seen.dark > seen.images:
                if kind in (BITS_8_FILE, HIGH_BITS_FILE):
                    remedy = "convert the files to 8 bits with values up to 255"
                else:
                    remedy = "declare their value_range, for example [0, 4095] for 12 bits in 16"
                lines.append(
                    f"{seen.dark:,} of {seen.images:,} images of {kind} become nearly black: their "
                    f"largest value is {seen.largest:g} of {high:g}; if that is not so in the "
                    f"originals, {remedy}"
                )
            if seen.outside:
                lines.append(
                    f"{seen.outside:,} images of {kind} have values outside value_range "
                    f"{_text(value_range)}, which are cut off"
                )
        if self._truncated:
            lines.append(
                f"{self._truncated:,} images are truncated or damaged, and loaded as far as they "
                "go (truncated: load); truncated: refuse names them"
            )
        lines += [
            f"{images:,} images of {BITS_8_FILE} keep the range [0, 255]: value_range "
            f"{_text(value_range)} is for other formats"
            for value_range, images in sorted(self._unfit.items())
        ]
        return lines


def _text(value_range: ValueRange) -> str:
    return f"[{value_range[0]:g}, {value_range[1]:g}]"
