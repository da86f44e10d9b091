"""The layout ``pattern``: a regular expression finds the class in the path."""

import re

from classifier.formats.contents import NO_LABEL, Entry
from classifier.layouts.error import LayoutError
from classifier.layouts.root import common_folder
from classifier.layouts.spellings import split_of
from classifier.layouts.splits import splits_of_folders


def compiled(pattern: str) -> re.Pattern[str]:
    """The regular expression, with a group named ``class``.

    Raises:
        LayoutError: it is no regular expression, or has no such group.
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise LayoutError(f"pattern: '{pattern}' is no regular expression: {error}") from None
    if "class" not in expression.groupindex:
        raise LayoutError(
            f"pattern: '{pattern}' has no group named class: write (?P<class>...) around the class"
        )
    return expression


def by_pattern(images: list[str], pattern: str, place: str) -> list[Entry]:
    r"""An entry for each image, by the first match in its path below the folder of all images.

    ``(?P<class>[a-z]+)\.\d+\.jpg`` finds the class in ``cat.17.jpg``. Groups named ``split`` and
    ``group`` are used too; without the first, the split is that of the folder (``train/1.jpg``).
    Images that it does not match have no label.

    Raises:
        LayoutError: the pattern cannot be used, or matches nothing, or its ``split`` is none.
    """
    expression = compiled(pattern)
    root = common_folder(images)
    by_folder = {} if "split" in expression.groupindex else splits_of_folders(images, root)
    entries = []
    for name in images:
        path = name.removeprefix(root)
        match = expression.search(path)
        if match is None or not match["class"]:
            entries.append(Entry(name, passed_over=NO_LABEL))
            continue
        groups = match.groupdict()
        word = groups.get("split") or ""
        split = split_of(word) if word else by_folder.get(name, "")
        if split is None:
            raise LayoutError(f"pattern: finds the split '{word}' in '{path}', which is none")
        entries.append(Entry(name, path, match["class"], split, groups.get("group") or ""))
    if all(entry.passed_over for entry in entries):
        raise LayoutError(
            f"pattern: '{pattern}' matches none of {len(images):,} images of {place}, for example "
            f"'{images[0].removeprefix(root)}': change the pattern"
        )
    return entries
