"""A look for near-duplicates in a dataset that has no pipeline yet, within a bound of time."""

import hashlib
import random
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from classifier.catalog.near_duplicates import find_near_duplicates
from classifier.catalog.raw import RawImage
from classifier.formats.archive import NO_LIMIT, read_files
from classifier.formats.contents import Entry, taken
from classifier.images.perceptual_hash import hash_images

SECONDS = 30.0
MOST = 10_000  # images that are looked at
SMALLEST = 32  # pixels: the hash is of so many, and finds smaller pictures alike that are not
DISTANCE = 4  # bits, as conf/split.yaml recommends
SEED = 7  # of the choice, where there are more images
WORKERS = 2
PAIRS = 2  # that a line names

Images = Iterable[tuple[Entry, bytes | np.ndarray]]


class NearDuplicates(NamedTuple):
    """The pairs that were found, those of two official splits first."""

    looked_at: int
    of: int  # images
    pairs: list[tuple[Entry, Entry]]

    @property
    def crossing(self) -> list[tuple[Entry, Entry]]:
        """The pairs of two official splits."""
        return [pair for pair in self.pairs if pair[0].split != pair[1].split]

    def names(self) -> list[str]:
        """What messages call the pairs."""
        return [f"{first.id} and {second.id}" for first, second in self.pairs]


def near_duplicates(
    path: Path, entries: Sequence[Entry], *, seconds: float = SECONDS
) -> NearDuplicates:
    """The near-duplicates among the images that are taken: among a random choice, if many are.

    Args:
        path: a folder or an archive.
        entries: of :func:`classifier.layouts.find.find_layout`.
        seconds: after which no further image is looked at. In an archive these are the last ones.
    """
    names = taken(entries)
    ordered = sorted(names)
    chosen = [ordered[place] for place in _choice(len(names))]
    if path.is_dir():
        images: Images = ((names[name], (path / name).read_bytes()) for name in chosen)
    else:
        images = _of_archive(path, {name: names[name] for name in chosen})
    return _look(images, len(names), seconds)


def near_duplicate_arrays(
    arrays: Sequence[np.ndarray], entries: Sequence[Entry], *, seconds: float = SECONDS
) -> NearDuplicates:
    """As :func:`near_duplicates`, of arrays.

    Args:
        arrays: pixels (N, H, W[, C]), whose images are the entries, one array after another.
    """
    ends = np.cumsum([len(array) for array in arrays])

    def image(row: int) -> np.ndarray:
        place = int(np.searchsorted(ends, row, side="right"))
        return np.asarray(arrays[place][row - ends[place]])

    images = ((entries[row], image(row)) for row in _choice(len(entries)))
    return _look(images, len(entries), seconds)


def _choice(count: int) -> list[int]:
    return random.Random(SEED).sample(range(count), min(MOST, count))


def _of_archive(path: Path, names: Mapping[str, Entry]) -> Images:
    for file in read_files(path, max_bytes=NO_LIMIT, max_files=NO_LIMIT):
        if file.name in names:
            yield names[file.name], file.read() or b""


def _look(images: Images, of: int, seconds: float) -> NearDuplicates:
    entries: list[Entry] = []
    digests: list[str] = []
    hashes = hash_images(_in_time(images, seconds, entries, digests), workers=WORKERS)
    official = [entry.split or None for entry in entries]
    table = pd.DataFrame({"sha256": digests, "official": official}, dtype=object)
    found = find_near_duplicates(table, hashes.values, hashes.known, DISTANCE)
    pairs = [
        (min(entries[first], entries[second]), max(entries[first], entries[second]))
        for first, second in zip(found["first"], found["second"], strict=True)
    ]
    pairs.sort(key=lambda pair: (pair[0].split == pair[1].split, pair))
    return NearDuplicates(len(entries), of, pairs)


def _in_time(
    images: Images, seconds: float, entries: list[Entry], digests: list[str]
) -> Iterator[RawImage]:
    """The images until the time is over; appends their entries and digests."""
    end = time.monotonic() + seconds
    for entry, content in images:
        entries.append(entry)
        data = content if isinstance(content, bytes) else content.tobytes()
        digests.append(hashlib.sha256(data).hexdigest())
        yield RawImage(entry.id, entry.class_name, entry.split or None, content)
        if time.monotonic() > end:
            return
