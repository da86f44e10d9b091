"""What looks wrong with a dataset, before anything is trained on it."""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence

from classifier.formats.contents import Entry
from classifier.inspection.near_duplicates import PAIRS, NearDuplicates
from classifier.inspection.pictures import Pictures
from classifier.layouts.splits import lacking
from classifier.layouts.summary import first_names, summarize

FEW = 20  # images of a class: fewer leave three or less to test
UNEQUAL = 10  # times as many images in one class as in another
MIXED = 0.1  # share of the pictures: fewer that are grey, or have colours, are exceptions
NAMED = 5  # classes and files that a line names


def what_looks_wrong(
    entries: Sequence[Entry], pictures: Pictures, near: NearDuplicates | None
) -> list[str]:
    """A line for each thing that looks wrong, the worst first.

    Args:
        near: None where near-duplicates are not looked for.
    """
    counts = Counter(entry.class_name for entry in entries if not entry.passed_over)
    lines = [*_alike(counts), *_in_one_split(entries), *_leaking(near), *_few(counts)]
    if counts and max(counts.values()) >= UNEQUAL * min(counts.values()):
        most, least = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
        lines.append(
            f"'{most}' has {counts[most]:,} images, '{least}' {counts[least]:,}: look at the "
            "recall of each class, not at the accuracy alone"
        )
    if pictures.unreadable:
        lines.append(
            f"images that cannot be read: {len(pictures.unreadable):,} "
            f"({first_names(pictures.unreadable, NAMED)}): remove them, or set normalize: "
            "{undecodable: drop}"
        )
    if MIXED <= pictures.grey / max(1, pictures.decoded) <= 1 - MIXED:
        lines.append(
            f"{pictures.grey:,} of {pictures.decoded:,} images that were looked at are grey, the "
            "others have colours: do the classes differ by that?"
        )
    if summarize(entries).too_many:
        lines.append("more than 5 % of the files are passed over")
    return lines


def _alike(counts: Counter[str]) -> list[str]:
    alike: dict[str, list[str]] = defaultdict(list)
    for name in sorted(counts):
        alike[unicodedata.normalize("NFKC", name).casefold().strip()].append(name)
    # Names may look the same: their code points tell them apart.
    return [
        f"the classes {', '.join(map(ascii, names))} differ by case or Unicode form alone: are "
        "they one class?"
        for names in alike.values()
        if len(names) > 1
    ]


def _in_one_split(entries: Sequence[Entry]) -> list[str]:
    """Lines about classes that the dataset's own splits do not all have."""
    splits: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        if not entry.passed_over:
            splits[entry.class_name].add(entry.split)
    if len(set.union(set(), *splits.values())) < 2:
        return []
    alone: dict[str, list[str]] = defaultdict(list)
    for name in sorted(splits):
        if len(splits[name]) == 1:
            alone[min(splits[name])].append(name)
    lines = [
        f"in the {split} split alone, of the dataset's own: {first_names(names, NAMED)}"
        for split, names in sorted(alone.items())
        if split
    ]
    single = {f"'{name}'" for names in alone.values() for name in names}
    missing = [
        line for line in lacking(list(entries)) if line.partition(" of class ")[2] not in single
    ]
    more = len(missing) - NAMED
    return lines + missing[:NAMED] + ([f"and {more:,} more such lines"] if more > 0 else [])


def _leaking(near: NearDuplicates | None) -> list[str]:
    """A line about near-duplicates of two official splits."""
    if near is None or not near.crossing:
        return []
    return [
        f"near-duplicates across the dataset's own splits: {len(near.crossing):,} pairs "
        f"({first_names(near.names(), PAIRS)}): the accuracy will look better than it is; add "
        "leaking: drop to split.near_duplicates"
    ]


def _few(counts: Counter[str]) -> list[str]:
    few = [f"{name} {count:,}" for name, count in sorted(counts.items()) if count < FEW]
    if not few:
        return []
    return [f"classes of fewer than {FEW} images: {len(few):,} ({first_names(few, NAMED)})"]
