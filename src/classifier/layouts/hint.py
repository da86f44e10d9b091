"""Says what a layout with fewer than two classes looks like, and which was probably meant."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from classifier.formats.contents import Entry
from classifier.layouts.survey import Survey

# A word before a number, as in cat.17.jpg, cat_17.jpg and cat17.jpg.
NUMBERED = re.compile(r"^([A-Za-z]+(?:[ _-][A-Za-z]+)*)[ ._-]*\d+$")
SUGGESTED = r"(?P<class>[A-Za-z][A-Za-z _-]*?)[ ._-]*\d+\.\w+$"


def hint(layout: str, entries: Sequence[Entry], files: Survey, refused: Sequence[str]) -> str:
    """One line: what there is, why it is too little, and what to do.

    Args:
        refused: why each table that is there is not used.
    """
    images = [entry for entry in entries if not entry.passed_over]
    if images:
        one = images[0]
        seen = (
            f"{files.place}: all {len(images):,} images that are taken have one class, "
            f"'{one.class_name}' (layout: {layout}, as in {one.file})"
        )
    else:
        seen = (
            f"{files.place}: no image has a class (layout: {layout}): the images lie in no class "
            f"folder, as {files.images[0]}"
        )
    return f"{seen}; {_meant(files, refused)}"


def _meant(files: Survey, refused: Sequence[str]) -> str:
    if refused:
        return f"probably meant is layout: table, but {refused[0]}"
    return (
        suggested_pattern(files)
        or "put the images of each class in a folder of its own, or add a table of labels beside "
        "them (labels.csv, with the columns path and label)"
    )


def suggested_pattern(files: Survey) -> str | None:
    """Part of a message, where the names of the images tell the class; None where they do not."""
    words = [NUMBERED.match(PurePosixPath(name).stem) for name in files.images]
    classes = {match[1] for match in words if match}
    if not 1 < len(classes) <= sum(match is not None for match in words) // 2:
        return None
    named = ", ".join(sorted(classes)[:3])
    return (
        f"probably meant is layout: pattern with pattern: '{SUGGESTED}', which finds {named} in "
        "the names"
    )
