"""Formats, sizes and colours of a dataset's pictures."""

import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from PIL import Image

from classifier.formats.archive import NO_LIMIT, read_files
from classifier.formats.contents import Entry, taken
from classifier.formats.image_files import FORMATS
from classifier.support.errors import is_of_the_system

DECODED = 200  # pictures, at most, whose pixels tell whether there is colour
THUMBNAIL = 64  # pixels: such a picture tells it as well as the whole
# Grey JPEGs that were saved as colour differ by as much between the channels.
NOISE = 8
GREY = {"1", "L", "LA", "La", "I", "F"}  # modes of Pillow


class Pictures(NamedTuple):
    """What the pictures of a dataset are."""

    formats: Counter[str]  # pictures by format
    sizes: list[tuple[int, int]]  # width and height in pixels, sorted by area
    decoded: int  # pictures whose pixels were looked at
    grey: int  # of these
    deep: int  # pictures of floats or of 32 bits: they need a range of values
    unreadable: list[str]  # names

    @property
    def shorter_side(self) -> int:
        """The median of the pictures' shorter sides, in pixels; 0 for no pictures."""
        sides = sorted(min(size) for size in self.sizes)
        return sides[len(sides) // 2] if sides else 0

    @property
    def all_grey(self) -> bool:
        """Whether none of the pictures that were looked at has a colour."""
        return self.grey == self.decoded


def measure(path: Path, entries: list[Entry]) -> Pictures:
    """Measures the images that are taken, by their headers; some of them are decoded.

    Args:
        path: a folder or an archive.
        entries: of :func:`classifier.layouts.find.find_layout`.
    """
    names = taken(entries)
    step = -(-len(names) // DECODED)
    found = Pictures(Counter(), [], 0, 0, 0, [])
    decoded = grey = deep = 0
    for number, (name, stream) in enumerate(_streams(path, names)):
        try:
            with stream, Image.open(stream, formats=FORMATS) as image:
                size, mode = image.size, image.mode
                is_grey = _is_grey(image) if number % step == 0 else None
                found.formats[str(image.format)] += 1
        except MemoryError:
            raise
        except Exception as error:  # Pillow raises many kinds for damaged files
            if is_of_the_system(error):
                raise
            found.unreadable.append(name)
            continue
        found.sizes.append(size)
        deep += mode in ("I", "F")
        if is_grey is not None:
            decoded, grey = decoded + 1, grey + is_grey
    found.sizes.sort(key=lambda size: (size[0] * size[1], size))
    return found._replace(decoded=decoded, grey=grey, deep=deep)


def _streams(path: Path, names: dict[str, Entry]) -> Iterator[tuple[str, IO[bytes]]]:
    for file in read_files(path, max_bytes=NO_LIMIT, max_files=NO_LIMIT):
        if file.name in names:
            # A file of a folder is read as far as its header. One of an archive cannot go back.
            opened = file.open() if path.is_dir() else io.BytesIO(file.read() or b"")
            assert opened is not None
            yield file.name, opened


def _is_grey(image: Image.Image) -> bool:
    if image.mode in GREY or image.mode.startswith("I;"):
        return True
    image.draft("RGB", (THUMBNAIL, THUMBNAIL))
    small = image.convert("RGB")
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    return _without_colour(np.asarray(small))


def _without_colour(pixels: np.ndarray) -> bool:
    """Whether the channels of (..., C) differ by noise alone."""
    channels = pixels[..., :3].astype(np.float64)
    return bool((channels.max(-1) - channels.min(-1)).max() <= NOISE)


def measure_arrays(arrays: dict[str, np.ndarray]) -> Pictures:
    """Measures the images of :func:`classifier.formats.npz.read_npz`."""
    images = [array for name, array in arrays.items() if name.startswith("x")]
    count = sum(map(len, images))
    height, width = images[0].shape[1:3]
    kind = images[0].dtype
    some = images[0][:: -(-len(images[0]) // DECODED)]
    colour = some.ndim == 4 and some.shape[-1] > 2
    grey = sum(map(_without_colour, some)) if colour else len(some)
    deep = count if kind.kind == "f" or (kind.kind in "ui" and kind.itemsize > 2) else 0
    formats = Counter({f"array of {kind}": count})
    return Pictures(formats, [(width, height)] * count, len(some), grey, deep, [])
