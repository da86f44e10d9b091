"""What is compared of a picture: the answer to it, and how it looks."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from classifier.images.decoding import decode_all
from classifier.images.pixels import ImageError
from classifier.overview.measures import luma, sharpness, stored_size
from classifier.reporting.slices import colourfulness
from classifier.serving.loading import SavedClassifier
from classifier.serving.outputs import Answers
from classifier.storage.splits import Images, batches

MEASURES = {
    "class": "the predicted class",
    "probability": "of the predicted class, 0 to 1",
    "score": "how unlike the training data, about 1 for a usual picture",
    "accepted": "the share that the model says is of its classes",
    "size": "pixels of the original, width times height",
    "aspect": "width of the original divided by its height",
    "brightness": "mean grey level, 0 to 255",
    "contrast": "standard deviation of the grey levels",
    "sharpness": "variance of the Laplacian",
    "colourfulness": "0 is grey, 100 very colourful",
}
OF_ANSWERS = ("class", "probability", "score", "accepted")
BATCH = 64  # pictures


class NewPicture(NamedTuple):
    """A picture, and the name of its file."""

    file: str
    content: bytes


def observe_split(classifier: SavedClassifier, images: Images, sizes: pd.DataFrame) -> pd.DataFrame:
    """Answers and measures the images of a split.

    Args:
        images: uint8 (N, *shape), as the network gets them.
        sizes: width and height of the N originals.

    Returns:
        A row per image, in their order, with the columns of MEASURES. A grey model has no
        ``colourfulness``, one that was exported without a score neither ``score`` nor
        ``accepted``.
    """
    parts = [_observed(classifier, pixels) for pixels in batches(images, BATCH)]
    table = pd.concat(parts, ignore_index=True)
    return _with_size(table, sizes["width"].to_numpy(), sizes["height"].to_numpy())


def observe_files(
    classifier: SavedClassifier,
    files: Iterable[str],
    read: Callable[[str], bytes],
    unreadable: list[tuple[str, str]],
) -> pd.DataFrame:
    """Answers and measures pictures, with one batch in memory at a time.

    Args:
        read: returns a file's encoded image; raises ``ImageError`` if it cannot be read.
        unreadable: each file that cannot be read is appended, with the reason.

    Returns:
        As :func:`observe_split`, and ``file`` and ``sha256`` of its content. Empty if no file can
        be read.
    """
    decoded = decode_all(
        _pictures(files, read, unreadable),
        **classifier.preprocessing.arguments,
        workers=os.cpu_count() or 1,
    )
    parts: list[pd.DataFrame] = []
    waiting: list[tuple[NewPicture, np.ndarray]] = []
    for picture, pixels in decoded:
        if isinstance(pixels, ImageError):
            unreadable.append((picture.file, str(pixels)))
            continue
        waiting.append((picture, pixels))
        if len(waiting) == BATCH:
            parts.append(_observed_files(classifier, waiting))
            waiting = []
    if waiting:
        parts.append(_observed_files(classifier, waiting))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"file": []})


def _pictures(
    files: Iterable[str], read: Callable[[str], bytes], unreadable: list[tuple[str, str]]
) -> Iterator[NewPicture]:
    for file in files:
        try:
            yield NewPicture(file, read(file))
        except ImageError as error:
            unreadable.append((file, str(error)))


def _observed_files(
    classifier: SavedClassifier, pictures: Sequence[tuple[NewPicture, np.ndarray]]
) -> pd.DataFrame:
    table = _observed(classifier, np.stack([pixels for _, pixels in pictures]))
    contents = [picture.content for picture, _ in pictures]
    width, height = np.array([stored_size(content) for content in contents]).T
    table = _with_size(table, width, height)
    table["file"] = [picture.file for picture, _ in pictures]
    table["sha256"] = [hashlib.sha256(content).hexdigest() for content in contents]
    return table


def _observed(classifier: SavedClassifier, pixels: np.ndarray) -> pd.DataFrame:
    answers = classifier.answer(pixels)
    return pd.DataFrame(answered(answers, classifier.classes) | appearance(pixels))


def _with_size(table: pd.DataFrame, width: np.ndarray, height: np.ndarray) -> pd.DataFrame:
    columns = list(table)
    at = columns.index("brightness")
    table = table.assign(size=width * height, aspect=width / height)
    return table[[*columns[:at], "size", "aspect", *columns[at:]]]


def answered(answers: Answers, classes: Sequence[str]) -> dict[str, np.ndarray]:
    """The columns of OF_ANSWERS; without ``score`` and ``accepted`` of a model that has none."""
    columns = {
        "class": np.array(classes, object)[answers.probabilities.argmax(axis=1)],
        "probability": answers.probabilities.max(axis=1).astype(float),
    }
    if np.isnan(answers.score).all():
        return columns
    return columns | {"score": answers.score.astype(float), "accepted": answers.accepted}


def appearance(pixels: np.ndarray) -> dict[str, np.ndarray]:
    """How images look, by name, float64 (N,): see MEASURES; no ``colourfulness`` of grey ones.

    Contrast is the root mean square one of E. Peli: Contrast in complex images, 1990
    (https://doi.org/10.1364/JOSAA.7.002032), not divided by the mean.

    Args:
        pixels: uint8 (N, H, W, 1 or 3), as the network gets them, so that the size of the
            originals does not count.
    """
    grey = luma(pixels)
    measures = {
        "brightness": grey.mean(axis=(1, 2)),
        "contrast": grey.std(axis=(1, 2)),
        "sharpness": sharpness(grey),
    }
    if pixels.shape[-1] == 3:
        measures["colourfulness"] = colourfulness(pixels)
    return measures
