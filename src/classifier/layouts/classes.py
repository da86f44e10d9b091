"""The layout ``classes``: a folder a class, with images at any depth below it."""

from classifier.formats.contents import OUTSIDE, Entry


def by_class_folder(images: list[str], root: str) -> list[Entry]:
    """An entry for each image: its class is the first folder below ``root``.

    Images that lie in no folder below ``root`` are outside the layout.
    """
    entries = []
    for name in images:
        parts = name.removeprefix(root).split("/")
        if name.startswith(root) and len(parts) > 1:
            entries.append(Entry(name, "/".join(parts), parts[0]))
        else:
            entries.append(Entry(name, passed_over=OUTSIDE))
    return entries


def alike_below(entries: list[Entry]) -> list[str]:
    """A line if several class folders have sub-folders of the same names: perhaps the classes.

    It is so where folders of places, years or splits lie above those of the classes.
    """
    below: dict[str, set[str]] = {}
    for entry in entries:
        if not entry.passed_over:
            for folder in entry.id.split("/")[1:-1]:
                below.setdefault(folder, set()).add(entry.class_name)
    common = {folder: above for folder, above in below.items() if len(above) > 1}
    if len(common) < 2:
        return []
    above = ", ".join(sorted(set.union(*common.values()))[:3])
    return [
        f"the class folders {above} have sub-folders of the same names, "
        f"{', '.join(sorted(common)[:3])}: if these are the classes, set pattern: "
        "'(?P<class>[^/]+)/[^/]+$'"
    ]
