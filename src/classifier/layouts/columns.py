"""Which columns of a table have the path, the label, the split and the group of an image."""

import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

from classifier.layouts.error import LayoutError
from classifier.support.errors import nearest

Role = Literal["path", "label", "split", "group"]

# The usual names, the likeliest first.
USUAL: dict[Role, tuple[str, ...]] = {
    "path": (
        *("path", "file_path", "filepath", "image_path", "img_path", "relative_path"),
        *("file", "file_name", "filename", "fname", "image_file", "image_name", "img_name"),
        *("image", "img", "photo", "image_id", "img_id", "file_id", "id", "name"),
    ),
    "label": (
        *("label", "labels", "class", "classes", "class_name", "classname", "label_name"),
        *("category", "target", "species", "breed", "diagnosis", "dx", "tag", "class_id"),
        *("category_name", "label_id", "y"),
    ),
    "split": ("split", "set", "subset", "partition", "data_set", "dataset"),
    "group": ("group", "group_id", "patient", "patient_id", "subject", "subject_id"),
}


class Columns(NamedTuple):
    """The names of the columns in a table."""

    path: str
    label: str
    split: str | None
    group: str | None


def find_columns(table: str, names: list[str], given: Mapping[Role, str]) -> Columns:
    """The columns of a table: those that are given, and others by their usual names.

    Args:
        table: its file, for messages.
        names: of its columns.
        given: the name of a column, by what it has.

    Raises:
        LayoutError: a given column is not there, or there is none for the path or the label.
    """
    for role, name in given.items():
        if name not in names:
            raise LayoutError(f"{table}: no column '{name}' for the {role}: {nearest(name, names)}")
    found = {role: given.get(role) or _usual(role, names, given) for role in USUAL}
    for role in ("path", "label"):
        if not found[role]:
            raise LayoutError(
                f"{table}: no column has the usual name of a {role}, its columns are "
                f"{', '.join(names)}: name it, as columns: {{{role}: ...}}"
            )
    return Columns(str(found["path"]), str(found["label"]), found["split"], found["group"])


def _usual(role: Role, names: list[str], given: Mapping[Role, str]) -> str | None:
    free = {_plain(name): name for name in reversed(names) if name not in given.values()}
    return next((free[usual] for usual in USUAL[role] if usual in free), None)


def _plain(name: str) -> str:
    # fileName and "File Name" are file_name.
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.strip())
    return re.sub(r"[\s_-]+", "_", words).lower()
