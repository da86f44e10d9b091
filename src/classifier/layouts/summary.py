"""A short summary of a dataset's files: images by class and split, others by reason."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from classifier.formats.contents import NOT_CHOSEN, TABLE, Entry
from classifier.formats.label_sets import names_of

CLASSES = 10  # that a line names
FILES = 3  # that a line names
PASSED_OVER = 0.05  # the share of files from which on the summary is a warning


class Summary(NamedTuple):
    """Lines of text, and whether they are a warning."""

    images: list[str]
    passed_over: list[str]
    too_many: bool


def summarize(entries: Sequence[Entry], separator: str | None = None) -> Summary:
    """The summary of all files of a dataset.

    Files that ``classes`` leaves out, and the tables of labels, do not count for the warning.

    Args:
        separator: between the labels of an image, which may have several, or none; an image then
            counts for each. None where it has one.
    """
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    reasons: dict[str, list[str]] = defaultdict(list)
    for entry in sorted(entries):
        if not entry.passed_over:
            counts[entry.split][entry.class_name] += 1
        elif entry.passed_over != TABLE:
            reasons[entry.passed_over].append(entry.file)
    order = [split for split in ("train", "validation", "test", "") if split in counts]
    by_class = partial(_by_label, separator=separator) if separator else _by_class
    images = [by_class(split, counts[split]) for split in order]
    left_out = [
        f"passed over {len(files):,} ({reason}): {first_names(files, FILES)}"
        for reason, files in sorted(reasons.items())
    ]
    unwanted = sum(len(files) for reason, files in reasons.items() if reason != NOT_CHOSEN)
    total = unwanted + sum(map(Counter.total, counts.values()))
    return Summary(images, left_out, unwanted > PASSED_OVER * total)


def _by_class(split: str, counts: Counter[str]) -> str:
    classes = [f"{name} {count:,}" for name, count in sorted(counts.items())]
    named = split or "images"
    return f"{named} {counts.total():,}: {first_names(classes, CLASSES)}"


def _by_label(split: str, counts: Counter[str], *, separator: str) -> str:
    of_label: Counter[str] = Counter()
    for text, images in counts.items():
        of_label.update(dict.fromkeys(names_of(text, separator), images))
    shown = _by_class(split, of_label).partition(": ")[2]
    each = of_label.total() / counts.total()
    return (
        f"{split or 'images'} {counts.total():,}, of {each:.2f} labels on average: {shown}; "
        f"without any label: {counts['']:,}"
    )


def first_names(names: Sequence[str], limit: int) -> str:
    """The first ``limit`` names in one line, and how many more there are."""
    more = len(names) - limit
    # A line break in a name would break the line.
    text = ", ".join(" ".join(name.split()) for name in names[:limit])
    return text + (f" and {more:,} more" if more > 0 else "")
