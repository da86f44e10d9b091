"""Finds the folder below which a layout begins.

An archive mostly has one folder around everything, which a folder of the same images has not: both
give the same answer.
"""

from collections.abc import Iterable


def common_folder(names: Iterable[str]) -> str:
    """The deepest folder that all files lie in: empty, or with a slash at its end."""
    common: tuple[str, ...] | None = None
    for name in names:
        parts = tuple(name.split("/")[:-1])
        if common is None:
            common = parts
        length = 0
        for one, other in zip(common, parts, strict=False):
            if one != other:
                break
            length += 1
        common = common[:length]
    return "".join(f"{part}/" for part in common or ())


def root_of_folders(images: list[str], *, keep: Iterable[str] = ()) -> str:
    """The folder whose sub-folders are classes or splits: empty, or with a slash at its end.

    It goes down while one sub-folder alone has images, in sub-folders of its own.

    Args:
        images: names of files.
        keep: names of classes, in lower case, which are never the root.
    """
    kept = set(keep)
    root = ""
    while True:
        below = [name.removeprefix(root).split("/") for name in images]
        deeper = {parts[0] for parts in below if len(parts) > 1}
        if len(deeper) != 1 or deeper & kept:
            return root
        (folder,) = deeper
        inside = [parts for parts in below if parts[0] == folder]
        sub_folders = {parts[1] for parts in inside if len(parts) > 2}
        loose = any(len(parts) == 2 for parts in inside)
        if not sub_folders or (loose and len(sub_folders) == 1):
            return root
        root += f"{folder}/"
        images = [name for name in images if name.startswith(root)]
