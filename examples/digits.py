"""A few handwritten digits, for examples that train within seconds: python examples/digits.py

They come from the first of these that is there: the arrays of the pipeline ``mnist``, MNIST in the
folder that ``DATA_MIRROR`` names, or the 1,797 small digits that scikit-learn brings.
"""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
SHAPE = (28, 28, 1)
TRAIN = 1000  # images from which the training images are taken


class Digits(NamedTuple):
    """Images, uint8 (N, 28, 28, 1), 0 (black) to 255; labels, int64 (N,), 0 to 9."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


def load_digits(train: int, test: int, seed: int = 7) -> Digits:
    """Random digits to train with, and others to test with; says where they come from.

    Args:
        train: number of images to train with, at most 1,000.
        test: number of images to test with; scikit-learn's digits have 797 at most.

    Raises:
        ValueError: more than 1,000 images to train: those after them are for the test.
    """
    if train > TRAIN:
        raise ValueError(f"train is {train}: must be at most {TRAIN}")
    source, images, labels = _all_digits()
    order = np.random.default_rng(seed).permutation(len(images))
    learn, ask = order[:train], order[TRAIN : TRAIN + test]
    print(f"{source}: {len(learn)} images to train, {len(ask)} to test")
    return Digits(images[learn], labels[learn], images[ask], labels[ask])


def _all_digits() -> tuple[str, np.ndarray, np.ndarray]:
    normalized = ROOT / "data" / "normalized" / "mnist"
    if (normalized / "train.npy").is_file() and (normalized / "train_labels.npy").is_file():
        images = np.load(normalized / "train.npy", mmap_mode="r")
        labels = np.load(normalized / "train_labels.npy")
        if images.shape[1:] == SHAPE:
            return "MNIST, of the pipeline", images, labels.astype(np.int64)
    mirrored = Path(os.environ.get("DATA_MIRROR") or ROOT) / "mnist" / "mnist.npz"
    if mirrored.is_file():
        with np.load(mirrored) as arrays:
            images, labels = arrays["x_train"], arrays["y_train"]
        return "MNIST, of DATA_MIRROR", images[..., None], labels.astype(np.int64)
    return "scikit-learn's digits", *_small_digits()


def _small_digits() -> tuple[np.ndarray, np.ndarray]:
    """Eight pixels wide, values 0..16: three times as large, with MNIST's empty border."""
    import sklearn.datasets

    bunch = sklearn.datasets.load_digits()
    large = np.kron(bunch.images * 255 / 16, np.ones((1, 3, 3)))
    framed = np.pad(large.round().astype(np.uint8), ((0, 0), (2, 2), (2, 2)))
    return framed[..., None], bunch.target.astype(np.int64)


def main() -> None:
    digits = load_digits(train=10, test=10)
    for image, label in zip(digits.train_images[:2], digits.train_labels[:2], strict=True):
        print(f"\na {label}:")
        for row in image[::2, :, 0]:
            print("".join(" .+#"[value // 64] for value in row))


if __name__ == "__main__":
    main()
