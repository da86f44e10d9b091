"""Answers to many images in their order: the next ones are decoded while the model answers."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

import numpy as np

from classifier.images.decoding import decode_all
from classifier.images.pixels import ImageError
from classifier.serving.loading import SavedClassifier

BATCH = 64  # images, at most
# Numbers of a batch, at most, unless it is one image. More leave the processor's cache: LiteRT
# takes 10.4 ms for each of single images of 224 x 224 x 3, and 12.7 ms in batches of 8 or 32.
VALUES = 1 << 18


class Prediction(NamedTuple):
    """The most probable classes of an image, with their probabilities, in decreasing order; and
    the score, and whether the image is accepted: :class:`classifier.serving.outputs.Answers`."""

    file: str
    top: list[tuple[str, float]]
    score: float
    accepted: bool


class Labelled(NamedTuple):
    """All classes of an image whose probability is at or above their threshold, with their
    probabilities, in decreasing order: any number of them. Else as of :class:`Prediction`."""

    file: str
    labels: list[tuple[str, float]]
    score: float
    accepted: bool


class Unreadable(NamedTuple):
    """An image that cannot be read, and why, in one line."""

    file: str
    reason: str


Answer = Prediction | Labelled | Unreadable


@dataclass(frozen=True)
class _Image:
    """A file that is read in the thread that decodes it."""

    file: str
    read: Callable[[str], bytes | np.ndarray]

    @property
    def content(self) -> bytes | np.ndarray:
        return self.read(self.file)


def classify(
    classifier: SavedClassifier,
    files: Iterable[str],
    read: Callable[[str], bytes | np.ndarray],
    *,
    top: int,
    workers: int,
) -> Iterator[Answer]:
    """Yields an answer to each file, in their order.

    The number of images in memory is bounded: :func:`classifier.images.decoding.decode_all`.

    Args:
        read: returns a file's encoded image, or its pixels uint8 (H, W[, C]), which have no other
            range. It is called in several threads, and raises ``ImageError`` for a file that
            cannot be read.
        top: number of classes per image, of a model that answers one: another one answers all
            that are above their thresholds.
        workers: number of threads that read and decode.
    """
    size = max(1, min(BATCH, VALUES // prod(classifier.shape)))
    decoded = decode_all(
        (_Image(file, read) for file in files),
        **classifier.preprocessing.arguments,
        workers=workers,
    )
    batch: list[tuple[str, np.ndarray | ImageError]] = []
    images = 0
    for image, pixels in decoded:
        batch.append((image.file, pixels))
        images += isinstance(pixels, np.ndarray)
        if images == size or len(batch) == BATCH:
            yield from _answers(classifier, batch, top)
            batch, images = [], 0
    yield from _answers(classifier, batch, top)


def _answers(
    classifier: SavedClassifier, batch: Sequence[tuple[str, np.ndarray | ImageError]], top: int
) -> Iterator[Answer]:
    images = [pixels for _, pixels in batch if isinstance(pixels, np.ndarray)]
    answers = zip(*classifier.answer(np.stack(images)), strict=True) if images else iter(())
    for file, pixels in batch:
        if isinstance(pixels, ImageError):
            yield Unreadable(file, str(pixels))
            continue
        probabilities, score, accepted = next(answers)
        order = np.argsort(-probabilities, kind="stable")
        if (thresholds := classifier.thresholds) is not None:
            above = [at for at in order if probabilities[at] >= thresholds[at]]
            labels = [(classifier.classes[at], float(probabilities[at])) for at in above]
            yield Labelled(file, labels, float(score), bool(accepted))
            continue
        order = order[:top]
        classes = [(classifier.classes[at], float(probabilities[at])) for at in order]
        yield Prediction(file, classes, float(score), bool(accepted))
