"""The layout ``classes``: a folder a class, with images at any depth below it."""

from pathlib import PurePosixPath

from classifier.formats.contents import OUTSIDE, Entry


def by_class_folder(images: list[str], root: str) -> list[Entry]:
    """An entry for each image: its class is the first folder below ``root``.

    Images that lie in no folder below ``root`` are outside the layout.
    """
    entries = []
    for name in images:
        parts = PurePosixPath(name.removeprefix(root)).parts
        if name.startswith(root) and len(parts) > 1:
            entries.append(Entry(name, "/".join(parts), parts[0]))
        else:
            entries.append(Entry(name, passed_over=OUTSIDE))
    return entries
