"""The manifest: a table with a row an image, and which split each image falls in.

Columns: id (str, unique), class (str), label (int, the class's place among the classes), sha256
(str, of the image's content), split (train, validation, test or dropped).
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from classifier.atomic import atomic_path
from classifier.errors import InputError, nearest

if TYPE_CHECKING:
    from classifier.data.raw import RawImage

SPLITS = ("train", "validation", "test")
DROPPED = "dropped"


def chosen_classes(classes: list[str], chosen: list[str] | None) -> list[str]:
    """The dataset's classes, or those of them that were chosen, in the order chosen.

    Raises:
        InputError: the dataset has no such class, or fewer than two are left.
    """
    if chosen is None:
        return classes
    for name in chosen:
        if name not in classes:
            raise InputError(
                f"classes: the dataset has no class '{name}': {nearest(name, classes)}"
            )
    if len(set(chosen)) < max(2, len(chosen)):
        raise InputError(f"classes is {chosen}: must be two classes or more, each once")
    return chosen


def list_images(images: "Iterable[RawImage]", classes: list[str]) -> pd.DataFrame:
    """The manifest without its split column, with ``official`` (train, test or None) instead.

    Images of other classes than ``classes`` are left out.

    Raises:
        InputError: two images have one id.
    """
    labels = {name: label for label, name in enumerate(classes)}
    table = pd.DataFrame(
        (
            (image.id, image.class_name, labels[image.class_name], _sha256(image), image.official)
            for image in images
            if image.class_name in labels
        ),
        columns=["id", "class", "label", "sha256", "official"],
    )
    twice = table["id"][table["id"].duplicated()]
    if len(twice):
        raise InputError(
            f"two images are called '{twice.iloc[0]}': names must be unique in a class"
        )
    return table


def _sha256(image: "RawImage") -> str:
    content = image.content
    return hashlib.sha256(content if isinstance(content, bytes) else content.tobytes()).hexdigest()


def find_conflicts(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of images that stand under two classes or more, identical ones together."""
    classes = table.groupby("sha256")["label"].transform("nunique")
    return table[classes > 1].sort_values(["sha256", "id"])


def find_duplicates(table: pd.DataFrame) -> pd.DataFrame:
    """The rows that repeat an earlier row's image and class."""
    return table[table.duplicated(["sha256", "label"])]


def assign_splits(
    table: pd.DataFrame,
    *,
    validation: float,
    test: float | None,
    train: float | None = None,
    seed: int,
    duplicates: str = "keep",
    conflicting_labels: str = "drop",
) -> pd.DataFrame:
    """Fills the split column: stratified by class, seeded, identical images in one split.

    Args:
        table: from :func:`list_images`.
        validation, test, train: below 1 a fraction of the images, from 1 on a number of them.
            ``test`` None keeps the dataset's official test split; ``train`` None takes the rest.
        duplicates: ``keep`` repeats of an image under its class, or ``drop`` all but the first.
        conflicting_labels: ``keep`` or ``drop`` an image that stands under two classes.

    Returns:
        The manifest, in the table's order.

    Raises:
        InputError: there is no official test split, a class has too few images, or the splits
            take more images than there are.
    """
    table = table.assign(split="")
    if conflicting_labels == "drop":
        table.loc[find_conflicts(table).index, "split"] = DROPPED
    if duplicates == "drop":
        # An official test image is the first of its like: that split keeps its images.
        official = (table["official"] == "test") & (test is None)
        ordered = pd.concat([table[official], table[~official]])
        table.loc[find_duplicates(ordered).index, "split"] = DROPPED
    if test is None:
        official = table["official"] == "test"
        if not official.any():
            raise InputError("test is null, but the dataset has no official test split: set test")
        seen = set(table["sha256"][official])
        table.loc[official & (table["split"] == ""), "split"] = "test"
        leaking = (table["split"] == "") & table["sha256"].isin(seen)
        table.loc[leaking, "split"] = DROPPED
    free = table[table["split"] == ""]
    wanted = {
        "validation": _count("validation", validation, len(free)),
        "test": 0 if test is None else _count("test", test, len(free)),
    }
    rest = len(free) - sum(wanted.values())
    wanted["train"] = rest if train is None else _count("train", train, len(free))
    if rest <= 0 or wanted["train"] > rest:
        raise InputError(
            f"{len(free)} images are too few for {wanted['train'] if train else 'some'} to train, "
            f"{wanted['validation']} to validate and {wanted['test']} to test"
        )
    table.loc[free.index, "split"] = _stratify(free, wanted, np.random.default_rng(seed))
    _check_every_class(table)
    return table.drop(columns="official")


def _count(name: str, share: float, total: int) -> int:
    if share >= 1 and share != int(share):
        raise InputError(
            f"{name} is {share}: must be a fraction below 1 or a whole number of images"
        )
    return round(share * total) if share < 1 else int(share)


def _stratify(free: pd.DataFrame, wanted: dict[str, int], rng: np.random.Generator) -> pd.Series:
    """Deals each class's images out, whole groups of identical images at a time."""
    split = pd.Series(DROPPED, index=free.index)
    # An image under two classes counts for the first: its group is dealt out once.
    first = free.drop_duplicates("sha256")
    shares = {name: _apportion(first, count, len(free)) for name, count in wanted.items()}
    place = {}
    for label in sorted(first["label"].unique()):
        content = first["sha256"][first["label"] == label].to_numpy(dtype=str)
        content = rng.permutation(np.sort(content))
        start = 0
        for name in ("test", "validation", "train"):
            end = start + shares[name][label]
            place.update(dict.fromkeys(content[start:end], name))
            start = end
        # Rounding may leave an image over; training takes it unless its size was asked for.
        if wanted["train"] + wanted["validation"] + wanted["test"] == len(free):
            place.update(dict.fromkeys(content[start:], "train"))
    split.update(free["sha256"].map(place))
    return split


def _apportion(first: pd.DataFrame, count: int, total: int) -> dict[int, int]:
    """``count`` images over the classes by size, with the largest remainders rounded up."""
    labels, sizes = np.unique(first["label"].to_numpy(dtype=int), return_counts=True)
    exact = dict(zip(labels.tolist(), (sizes * count / total).tolist(), strict=True))
    shares = {label: int(share) for label, share in exact.items()}
    over = max(0, round(count * len(first) / total) - sum(shares.values()))
    for label in sorted(shares, key=lambda label: shares[label] - exact[label])[:over]:
        shares[label] += 1
    return shares


def _check_every_class(table: pd.DataFrame) -> None:
    counts = pd.crosstab(table["class"], table["split"])
    for split in SPLITS:
        for name in counts.index:
            if split not in counts or counts.loc[name, split] == 0:
                raise InputError(
                    f"class '{name}' has too few images to split: {int(counts.loc[name].sum())}, "
                    f"and none of them falls in {split}; add images or change the split's sizes"
                )


def class_names(table: pd.DataFrame) -> list[str]:
    """The classes of a manifest, in the labels' order."""
    return table.drop_duplicates("label").sort_values("label")["class"].tolist()


def write_manifest(path: Path, table: pd.DataFrame) -> None:
    """Writes the table as CSV, atomically."""
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


def read_manifest(path: Path) -> pd.DataFrame:
    """The manifest at ``path``; ids and classes as text, even where they look like numbers."""
    return pd.read_csv(
        path, dtype={"id": str, "class": str, "sha256": str, "split": str}, keep_default_na=False
    )


def split_digest(table: pd.DataFrame, split: str) -> str:
    """The SHA-256, in hexadecimal, of which images a split has under which classes."""
    rows = table[table["split"] == split].sort_values("id")
    return hashlib.sha256(rows[["sha256", "class"]].to_csv(index=False).encode()).hexdigest()
