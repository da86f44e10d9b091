"""The manifest of images that may have several labels, and how they are divided.

In the manifest, ``class`` is the text of all labels of an image (``daisy;roses``, empty for none),
and ``label`` the number of that text: images with the same labels have the same number.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from classifier.catalog.manifest import DROPPED, SPLITS, list_images
from classifier.formats.label_sets import as_text, multi_hot, names_of
from classifier.support.errors import InputError

if TYPE_CHECKING:
    from classifier.catalog.raw import RawImage


def list_labelled_images(
    images: "Iterable[RawImage]", classes: Sequence[str], separator: str
) -> pd.DataFrame:
    """As :func:`classifier.catalog.manifest.list_images`, of all images.

    Args:
        classes: whose labels are kept; an image with none of them stays.
        separator: between the labels of an image.
    """
    texts: list[str] = []

    def without_labels() -> "Iterator[RawImage]":
        for image in images:
            names = set(names_of(image.class_name, separator)) & set(classes)
            texts.append(as_text(names, separator))
            yield image._replace(class_name="")

    table = list_images(without_labels(), [""])
    table["class"] = texts
    table["label"] = pd.factorize(np.array(texts), sort=True)[0]
    return table


def classes_in(table: pd.DataFrame, classes: Sequence[str], separator: str) -> list[str]:
    """Those of ``classes``, in their order, that an image of the manifest has."""
    used = {name for text in table["class"].unique() for name in names_of(text, separator)}
    return [name for name in classes if name in used]


def label_counts(texts: Iterable[str], separator: str) -> dict[str, int]:
    """The number of images with each label, of the texts of their labels."""
    counts: dict[str, int] = {}
    for text in texts:
        for name in names_of(text, separator):
            counts[name] = counts.get(name, 0) + 1
    return counts


def stratify_labels(
    free: pd.DataFrame, has: np.ndarray, counts: dict[str, int], rng: np.random.Generator
) -> pd.Series:
    """The split of each row: the exact sizes, and of each label about the share that is wanted.

    Iterative stratification: the label with the fewest images left is divided first, each of its
    images to the split that lacks most of this label, then the one that lacks most images
    (Sechidis, Tsoumakas and Vlahavas, On the stratification of multi-label data, 2011,
    https://doi.org/10.1007/978-3-642-23808-6_10). What is bound together is divided as one image;
    the sizes are then met as nearly as that allows.

    Args:
        free: the images, with ``bound``.
        has: whether each has each label, 0 or 1, (N, classes).
        counts: images by split; what they leave is dropped.
    """
    names = np.array(["test", "validation", "train", DROPPED], dtype=object)
    wanted = np.array([counts[name] for name in names[:3]], float)
    lacking = np.append(wanted, len(free) - wanted.sum())  # images, by split
    groups, bound = pd.factorize(free["bound"], sort=True)
    sizes, of_group = np.bincount(groups), np.zeros((len(bound), has.shape[1]))
    np.add.at(of_group, groups, has)
    of_label = np.outer(lacking / len(free), of_group.sum(axis=0))  # lacking, by split and label
    order = rng.permutation(len(bound))
    chosen = np.full(len(bound), -1)
    while (chosen < 0).any():
        left = order[chosen[order] < 0]
        remaining = of_group[left].sum(axis=0)
        label = np.where(remaining > 0, remaining, np.inf).argmin() if remaining.any() else None
        for group in left if label is None else left[of_group[left, label] > 0]:
            room = lacking >= min(sizes[group], lacking.max())
            first = lacking if label is None else of_label[:, label]
            order_of = np.lexsort((rng.random(len(names)), lacking, first, room))
            split = order_of[-1]
            chosen[group] = split
            lacking[split] -= sizes[group]
            of_label[split] -= of_group[group]
    return pd.Series(names[chosen[groups]], index=free.index)


def check_labels_by_split(table: pd.DataFrame, classes: Sequence[str], separator: str) -> None:
    """Checks that each split has images with and without each label.

    Args:
        table: the manifest.

    Raises:
        InputError: a class is on no image of a split, or on all of them: nothing can be learned of
            it, or no figure says how good it is.
    """
    for split in SPLITS:
        texts = table["class"][table["split"] == split].tolist()
        positive = multi_hot(texts, classes, separator).sum(axis=0)
        for name, count in zip(classes, positive.tolist(), strict=True):
            if 0 < count < len(texts):
                continue
            how = "none" if count == 0 else "all"
            total = label_counts(table["class"][table["split"] != DROPPED], separator).get(name, 0)
            raise InputError(
                f"class '{name}' is on {how} of the {len(texts):,} images of {split} (on {total:,} "
                "of all splits), so that it cannot be learned or judged: "
                + ("add images with it" if count == 0 else "add images without it")
                + ", change the sizes of the splits, or leave it out with split.classes"
            )
