"""Images of several sources in one dataset: their names, and how many each has of a class."""

from collections import Counter, defaultdict
from collections.abc import Iterable

from classifier.formats.contents import Entry
from classifier.layouts.error import LayoutError
from classifier.layouts.splits import check_training
from classifier.layouts.summary import CLASSES, first_names


def within_part(entries: Iterable[Entry], part: str) -> list[Entry]:
    """The entries with the name of their part before their files, ids and groups.

    So two parts may have files of one name, and number their groups alike.
    """

    def within(name: str) -> str:
        return name and f"{part}/{name}"

    return [
        entry._replace(file=within(entry.file), id=within(entry.id), group=within(entry.group))
        for entry in entries
    ]


def check_parts(entries: list[Entry], place: str) -> None:
    """Checks what :func:`classifier.layouts.find.find_layout` checks of one source.

    Raises:
        LayoutError: all parts together have one class, or nothing to train on.
    """
    names = {entry.class_name for entry in entries if not entry.passed_over}
    if len(names) < 2:
        raise LayoutError(
            f"{place}: all images of all parts have one class, '{min(names)}': the folders of a "
            "part are its classes, or its splits"
        )
    check_training(entries, place)


def by_part(entries: Iterable[Entry]) -> list[str]:
    """A line for each part: how many images it has, by class."""
    return [
        f"{part} {counts.total():,}: "
        + first_names([f"{name} {count:,}" for name, count in sorted(counts.items())], CLASSES)
        for part, counts in _counts(entries).items()
    ]


def of_one_part(entries: Iterable[Entry]) -> list[str]:
    """A line for each part that has classes alone.

    A network may learn such a part, by its light or its camera, in place of the class.
    """
    counts = _counts(entries)
    parts_of = Counter(name for part in counts.values() for name in part)
    alone = {part: sorted(n for n in counts[part] if parts_of[n] == 1) for part in counts}
    return [
        f"only the part {part} has images of {first_names(names, CLASSES)}: the model may learn to "
        "tell the parts, not the classes"
        for part, names in alone.items()
        if names and len(counts) > 1
    ]


def _counts(entries: Iterable[Entry]) -> dict[str, Counter[str]]:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for entry in entries:
        if not entry.passed_over:
            counts[entry.file.partition("/")[0]][entry.class_name] += 1
    return counts
