"""The images of a downloaded file, in its own order, whatever its format."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from classifier.data.archive import read_images
from classifier.data.npz import read_npz

TRUSTED = 2**63  # the download stage has bounded the archive already


class RawImage(NamedTuple):
    """One image as it was downloaded."""

    id: str  # unique in its dataset
    class_name: str
    official: str | None  # train or test, where the dataset itself says
    content: bytes | np.ndarray  # an encoded picture, or uint8 (H, W[, C]) pixels


def read_raw(file: Path, format: str, classes: list[str]) -> Iterator[RawImage]:
    """The images of ``classes`` in ``file``; those of other classes are passed over.

    Args:
        format: ``npz`` or ``folders``.
        classes: class names in the order of the labels.

    Raises:
        ArchiveError, ArraysError: the file cannot be read.
    """
    if format == "npz":
        arrays = read_npz(file, max_bytes=TRUSTED)
        for official in ("train", "test"):
            images, labels = arrays[f"x_{official}"], arrays[f"y_{official}"]
            for number, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
                if label < len(classes):
                    yield RawImage(f"{official}/{number:05d}", classes[label], official, image)
    else:
        for image in read_images(file, max_bytes=TRUSTED, max_files=TRUSTED):
            if image.class_name in classes:
                yield RawImage(image.id, image.class_name, None, image.content)
