"""The accuracy on images that are changed as cameras, storage and chance change them.

Hendrycks and Dietterich, Benchmarking neural network robustness to common corruptions and
perturbations, 2019 (https://arxiv.org/abs/1903.12261). Noise, low contrast, JPEG compression and
low resolution have the strengths 1, 3 and 5 of that paper. The others are not in it, or are meant
for images of one size there.
"""

import io
from collections.abc import Callable
from math import ceil, hypot
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image, ImageFilter
from scipy.stats import binomtest

from classifier.saved.rounding import significant
from classifier.storage.splits import Images

STRENGTHS = ("mild", "medium", "strong")
UNCHANGED = "none"  # the row of the images as they are
COLUMNS = ["corruption", "strength", "amount", "images", "accuracy", "low", "high"]

Change = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]
Predict = Callable[[np.ndarray], np.ndarray]
Right = Callable[[np.ndarray, np.ndarray], np.ndarray]


def most_probable(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Whether the most probable class is the label, bool (N,)."""
    right: np.ndarray = probabilities.argmax(axis=1) == labels
    return right


class Corruption(NamedTuple):
    """A change of an image, uint8 (H, W, C), and by how much at each of the STRENGTHS."""

    change: Change
    amounts: tuple[float, float, float]
    text: str  # of an amount, for a reader


def corruption_table(
    images: Images,
    labels: np.ndarray,
    correct: np.ndarray,
    predict: Predict,
    *,
    count: int,
    batch_size: int,
    seed: int,
    right: Right = most_probable,
) -> pd.DataFrame:
    """The accuracy on a sample of the images, unchanged and under each corruption.

    Args:
        images: uint8 (N, H, W, C), with any number of channels.
        labels: integers (N,), or (N, classes), 0 or 1, where an image may have several.
        correct: whether the unchanged images are predicted right, bool (N,).
        predict: gives the probabilities (B, classes) of uint8 images (B, H, W, C).
        count: images in the sample, see :func:`stratified_sample`; 0 leaves the table empty.
        batch_size: the most images in a call of ``predict``.
        seed: of the sample, and of noise, angles and places. An image gets the same noise at
            each strength, and in batches of any size.
        right: whether answers are right, bool (B,), of probabilities and labels.

    Returns:
        A row for the unchanged images, whose corruption is ``none``, and one per corruption and
        strength: corruption, strength, amount (a text), images, accuracy, and low and high, its
        95 % confidence interval (Wilson, Probable inference, the law of succession, and
        statistical inference, 1927). An accuracy is a number of images divided by their number.
    """
    rows = stratified_sample(labels, correct, count, seed)
    if not len(rows):
        return pd.DataFrame(columns=COLUMNS)
    cases = [(name, at) for name in CORRUPTIONS for at in range(len(STRENGTHS))]
    answers = np.empty(len(rows) * len(cases), bool)  # all cases of an image are in a row
    for start in range(0, len(answers), batch_size):
        numbers = range(start, min(start + batch_size, len(answers)))
        rows_of = [rows[number // len(cases)] for number in numbers]
        pixels = {row: np.asarray(images[row]) for row in dict.fromkeys(rows_of)}
        changed = [
            corrupt(pixels[row], *cases[number % len(cases)], seed=[seed, int(row)])
            for row, number in zip(rows_of, numbers, strict=True)
        ]
        answers[start : numbers.stop] = right(predict(np.stack(changed)), labels[rows_of])
    totals = answers.reshape(len(rows), -1).sum(axis=0)
    table = [_row(UNCHANGED, "", "", int(correct[rows].sum()), len(rows))]
    for (name, at), total in zip(cases, totals.tolist(), strict=True):
        corruption = CORRUPTIONS[name]
        amount = corruption.text.format(corruption.amounts[at])
        table.append(_row(name, STRENGTHS[at], amount, total, len(rows)))
    return pd.DataFrame(table, columns=COLUMNS)


def _row(name: str, strength: str, amount: str, right: int, images: int) -> list[str | float]:
    interval = binomtest(right, images).proportion_ci(method="wilson")
    ends = (significant(end) for end in interval)
    return [name, strength, amount, images, right / images, *ends]


def stratified_sample(labels: np.ndarray, correct: np.ndarray, count: int, seed: int) -> np.ndarray:
    """The rows of at most ``count`` images, in order.

    Each class, and the mistakes among it, have their share of the sample, so that the accuracy of
    the sample is about that of all images: the images are sorted by both, those that are alike in
    random order, and taken at equal distances (systematic sampling: Cochran, Sampling techniques,
    1977, chapter 8).

    Args:
        labels: integers (N,), or (N, classes): a class is then all that have the same labels.
        correct: whether the images are predicted right, bool (N,).
    """
    if labels.ndim == 2:
        labels = np.unique(labels, axis=0, return_inverse=True)[1]
    count = min(count, len(labels))
    order = np.lexsort((np.random.default_rng(seed).random(len(labels)), labels, correct))
    places = (np.arange(count) + 0.5) * len(labels) / max(1, count)
    return np.sort(order[places.astype(int)])


def corrupt(pixels: np.ndarray, name: str, strength: int, *, seed: list[int]) -> np.ndarray:
    """The image, uint8 (H, W, C), under a corruption of CORRUPTIONS.

    Args:
        strength: the index in STRENGTHS.
        seed: of what is random in it.
    """
    corruption = CORRUPTIONS[name]
    rng = np.random.default_rng([*seed, list(CORRUPTIONS).index(name)])
    return corruption.change(pixels, corruption.amounts[strength], rng)


def corrupted_examples(pixels: np.ndarray, seed: list[int]) -> tuple[np.ndarray, list[str]]:
    """An image under each corruption, uint8 (3 * corruptions, H, W, C), and a caption for each.

    The mild ones come first, then the medium, then the strong.
    """
    cases = [(name, at) for at in range(len(STRENGTHS)) for name in CORRUPTIONS]
    images = [corrupt(pixels, name, at, seed=seed) for name, at in cases]
    return np.stack(images), [f"{name}\n{STRENGTHS[at]}" for name, at in cases]


def _blur(pixels: np.ndarray, percent: float, rng: np.random.Generator) -> np.ndarray:
    radius = min(pixels.shape[:2]) * percent / 100
    return _with_pillow(pixels, lambda image: image.filter(ImageFilter.GaussianBlur(radius)))


def _noise(pixels: np.ndarray, deviation: float, rng: np.random.Generator) -> np.ndarray:
    return _to_uint8(pixels + rng.normal(0, deviation, pixels.shape))


def _brightness(pixels: np.ndarray, factor: float, rng: np.random.Generator) -> np.ndarray:
    return _to_uint8(pixels * float(factor))


def _contrast(pixels: np.ndarray, factor: float, rng: np.random.Generator) -> np.ndarray:
    mean = pixels.mean(axis=(0, 1))
    return _to_uint8((pixels - mean) * factor + mean)


def _jpeg(pixels: np.ndarray, quality: float, rng: np.random.Generator) -> np.ndarray:
    def compress(image: Image.Image) -> Image.Image:
        content = io.BytesIO()
        image.save(content, "JPEG", quality=int(quality))
        return Image.open(content)

    return _with_pillow(pixels, compress)


def _rotation(pixels: np.ndarray, degrees: float, rng: np.random.Generator) -> np.ndarray:
    """Rotates to the left or to the right. The corners show the image's reflection."""
    height, width = pixels.shape[:2]
    edge = ceil((hypot(height, width) - min(height, width)) / 2)
    padded = np.pad(pixels, ((edge, edge), (edge, edge), (0, 0)), mode="symmetric")
    angle = degrees * rng.choice([-1, 1])
    turned = _with_pillow(padded, lambda image: image.rotate(angle, Image.Resampling.BILINEAR))
    return turned[edge : edge + height, edge : edge + width]


def _occlusion(pixels: np.ndarray, percent: float, rng: np.random.Generator) -> np.ndarray:
    """Puts a grey box of the image's proportions on a random place."""
    height, width = (max(1, round(side * (percent / 100) ** 0.5)) for side in pixels.shape[:2])
    top, left = (
        rng.integers(size - side + 1)
        for size, side in zip(pixels.shape[:2], (height, width), strict=True)
    )
    covered = pixels.copy()
    covered[top : top + height, left : left + width] = 128
    return covered


def _resolution(pixels: np.ndarray, factor: float, rng: np.random.Generator) -> np.ndarray:
    """Makes the image smaller, and as large as it was."""
    height, width = pixels.shape[:2]
    small = max(1, round(width * factor)), max(1, round(height * factor))
    return _with_pillow(
        pixels,
        lambda image: image.resize(small, Image.Resampling.BOX).resize(
            (width, height), Image.Resampling.BICUBIC
        ),
    )


def _with_pillow(pixels: np.ndarray, change: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    """The changed image: one of three channels as RGB, of other numbers each channel by itself."""
    if pixels.shape[-1] == 3:
        return np.asarray(change(Image.fromarray(pixels)))
    channels = np.moveaxis(pixels, -1, 0)
    return np.stack(
        [np.asarray(change(Image.fromarray(np.ascontiguousarray(one)))) for one in channels],
        axis=-1,
    )


def _to_uint8(values: np.ndarray) -> np.ndarray:
    return np.clip(values.round(), 0, 255).astype(np.uint8)


CORRUPTIONS = {
    "blur": Corruption(_blur, (1, 2, 3), "{:g} % of the shorter side"),
    "noise": Corruption(_noise, (20, 46, 97), "{:g} grey levels"),
    "darkness": Corruption(_brightness, (0.6, 0.3, 0.15), "{:g} of the light"),
    "brightness": Corruption(_brightness, (1.5, 2, 3), "{:g} times the light"),
    "low contrast": Corruption(_contrast, (0.4, 0.2, 0.05), "{:g} of the contrast"),
    "compression": Corruption(_jpeg, (25, 15, 7), "JPEG, quality {:g}"),
    "rotation": Corruption(_rotation, (10, 25, 45), "{:g} degrees"),
    "occlusion": Corruption(_occlusion, (5, 15, 30), "{:g} % covered"),
    "low resolution": Corruption(_resolution, (0.6, 0.4, 0.25), "{:g} of the pixels a side"),
}
