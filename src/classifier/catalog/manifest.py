"""The manifest: a table with one row per image, and the split of each image.

Columns: id (str, unique), class (str), label (int, the index of the class; -1 for a class that is
left out), sha256 (str, of the image's content), split (train, validation, test or dropped).
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from classifier.support.atomic import atomic_path
from classifier.support.errors import InputError, nearest

if TYPE_CHECKING:
    from classifier.catalog.raw import RawImage


SPLITS = ("train", "validation", "test")
DROPPED = "dropped"
LEFT_OUT = -1  # the label of a class that is left out


def chosen_classes(classes: list[str], chosen: list[str] | None) -> list[str]:
    """The chosen classes in the chosen order, or all ``classes`` if ``chosen`` is None.

    Raises:
        InputError: the dataset does not have a chosen class, or there are fewer than two.
    """
    if chosen is None:
        return classes
    for name in chosen:
        if name not in classes:
            raise InputError(
                f"classes: the dataset has no class '{name}': {nearest(name, classes)}"
            )
    if len(set(chosen)) < max(2, len(chosen)):
        raise InputError(f"classes is {chosen}: must be two or more different classes")
    return chosen


def list_images(images: "Iterable[RawImage]", classes: list[str]) -> pd.DataFrame:
    """Makes the manifest, without ``split``, and with two columns more, which may be None.

    They are ``official`` (train, validation or test) and ``group`` (of what belongs in one split).

    Args:
        images: those of other classes than ``classes`` are left out.
        classes: class names in the order of the labels.

    Raises:
        InputError: two images have the same id.
    """
    labels = {name: label for label, name in enumerate(classes)}
    table = pd.DataFrame(
        (
            (
                image.id,
                image.class_name,
                labels[image.class_name],
                _sha256(image),
                image.official,
                image.group,
            )
            for image in images
            if image.class_name in labels
        ),
        columns=["id", "class", "label", "sha256", "official", "group"],
    )
    repeated = table["id"][table["id"].duplicated()]
    if len(repeated):
        raise InputError(
            f"two images have the id '{repeated.iloc[0]}': names must be unique within a class"
        )
    return table


def _sha256(image: "RawImage") -> str:
    content = image.content
    return hashlib.sha256(content if isinstance(content, bytes) else content.tobytes()).hexdigest()


def find_conflicts(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of images that have two or more classes, sorted so that identical images adjoin."""
    classes = table.groupby("sha256")["label"].transform("nunique")
    return table[classes > 1].sort_values(["sha256", "id"])


def find_duplicates(table: pd.DataFrame) -> pd.DataFrame:
    """The rows that repeat the image and the class of an earlier row."""
    return table[table.duplicated(["sha256", "label"])]


def class_names(table: pd.DataFrame) -> list[str]:
    """The class names of a manifest, in the order of the labels, without those left out."""
    kept = table[table["label"] != LEFT_OUT]
    return kept.drop_duplicates("label").sort_values("label")["class"].tolist()


def left_out(table: pd.DataFrame) -> dict[str, int]:
    """The numbers of images of the classes that are left out."""
    counts = table["class"][table["label"] == LEFT_OUT].value_counts(sort=False)
    return {str(name): int(count) for name, count in counts.items()}


def write_manifest(path: Path, table: pd.DataFrame) -> None:
    """Writes the table as CSV, atomically."""
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


def read_manifest(path: Path) -> pd.DataFrame:
    """Reads a manifest. Ids and classes are text, even if they look like numbers."""
    return pd.read_csv(
        path, dtype={"id": str, "class": str, "sha256": str, "split": str}, keep_default_na=False
    )


def split_digest(table: pd.DataFrame, split: str) -> str:
    """The SHA-256, in hexadecimal, of the images and classes of a split."""
    rows = table[table["split"] == split].sort_values("id")
    return hashlib.sha256(rows[["sha256", "class"]].to_csv(index=False).encode()).hexdigest()
