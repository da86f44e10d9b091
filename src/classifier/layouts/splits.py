"""The layout ``splits``: split folders above class folders, or below them."""

from classifier.formats.contents import OUTSIDE, Entry
from classifier.formats.label_sets import names_of
from classifier.layouts.error import LayoutError
from classifier.layouts.spellings import split_of


def splits_are_below(images: list[str], root: str) -> bool:
    """Whether all images lie in ``class/split/``, as in ``cats/train/1.jpg``."""
    below = [name.removeprefix(root).split("/") for name in images]
    return all(len(parts) > 2 and split_of(parts[1]) for parts in below) and not any(
        split_of(parts[0]) for parts in below
    )


def by_split_folder(images: list[str], root: str) -> list[Entry]:
    """An entry for each image: its split and its class are the first two folders below ``root``.

    Images that are not in a class folder of a split folder are outside the layout.
    """
    place = (1, 0) if splits_are_below(images, root) else (0, 1)
    entries = []
    for name in images:
        parts = name.removeprefix(root).split("/")
        split = split_of(parts[place[0]]) if name.startswith(root) and len(parts) > 2 else None
        if split:
            entries.append(Entry(name, "/".join(parts), parts[place[1]], split))
        else:
            entries.append(Entry(name, passed_over=OUTSIDE))
    return entries


def splits_of_folders(images: list[str], root: str) -> dict[str, str]:
    """The split of each image by the first folder below ``root``: empty where it is no split.

    It is for images whose class is found elsewhere. Without a folder to train on, it is empty.
    """
    first = {name: split_of(name.removeprefix(root).split("/")[0]) or "" for name in images}
    return first if "train" in first.values() else {}


def without_classes(entries: list[Entry], root: str) -> dict[str, int]:
    """The split folders that have images, but no class folders, with the number of images."""
    below = [(entry.file.removeprefix(root).split("/"), entry) for entry in entries]
    with_classes = {parts[0] for parts, entry in below if not entry.passed_over}
    counts: dict[str, int] = {}
    for parts, _ in below:
        folder = parts[0]
        if len(parts) > 1 and split_of(folder) and folder not in with_classes:
            counts[folder] = counts.get(folder, 0) + 1
    return counts


def lacking(entries: list[Entry], separator: str | None = None) -> list[str]:
    """A line for each class that one of the official splits lacks.

    Args:
        separator: between the labels of an image, which may have several; None where it has one.
    """
    pairs = {
        (entry.split, name)
        for entry in entries
        if entry.split
        for name in (names_of(entry.class_name, separator) if separator else [entry.class_name])
    }
    splits = sorted({split for split, _ in pairs})
    return [
        f"the {split} split has no image of class '{name}'"
        for split in splits
        for name in sorted({name for _, name in pairs})
        if (split, name) not in pairs
    ]


def check_training(entries: list[Entry], place: str) -> None:
    """Checks that there is something to train on.

    Raises:
        LayoutError: all images are in the official test or validation split.
    """
    splits = {entry.split for entry in entries if not entry.passed_over}
    if splits and not splits & {"train", ""}:
        raise LayoutError(
            f"{place}: all images are in the split {' or '.join(sorted(splits))}, and none is left "
            "to train: add a folder 'train' with class folders, or set layout: classes"
        )
