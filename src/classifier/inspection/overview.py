"""A dataset as a table: classes by split, formats, sizes, colours, what is passed over."""

from collections import Counter
from collections.abc import Sequence

from classifier.formats.contents import Entry
from classifier.inspection.near_duplicates import PAIRS, SMALLEST, NearDuplicates
from classifier.inspection.pictures import Pictures
from classifier.layouts.summary import first_names, summarize

CLASSES = 30  # that the table names
SPLITS = ("train", "validation", "test")


def overview(
    entries: Sequence[Entry], pictures: Pictures, near: NearDuplicates | None
) -> list[str]:
    """The lines of the table.

    Args:
        near: None where near-duplicates are not looked for.
    """
    lines = [*_classes(entries), ""]
    rows = {
        "formats": ", ".join(f"{name} {n:,}" for name, n in pictures.formats.most_common()),
        "sizes": _sizes(pictures.sizes),
        "colours": _colours(pictures),
        "duplicates": _near(near),
    }
    lines += [f"{key:<12} {text}" for key, text in rows.items() if text]
    left_out = summarize(entries).passed_over or ["nothing"]
    lines += [f"{'passed over':<12} {line.removeprefix('passed over ')}" for line in left_out]
    return lines


def _classes(entries: Sequence[Entry]) -> list[str]:
    counts = Counter((e.class_name, e.split) for e in entries if not e.passed_over)
    splits = [split for split in (*SPLITS, "") if any(split == of for _, of in counts)]
    classes = sorted({name for name, _ in counts})
    titles = {"": "no split" if len(splits) > 1 else "images"}
    rows = [["class", *(titles.get(split, split) for split in splits)]]
    for name in classes[:CLASSES]:
        rows.append([" ".join(name.split()), *(f"{counts[name, split]:,}" for split in splits)])
    if len(classes) > CLASSES:
        left = [sum(counts[name, split] for name in classes[CLASSES:]) for split in splits]
        rows.append([f"{len(classes) - CLASSES:,} more", *(f"{count:,}" for count in left)])
    totals = [sum(counts[name, split] for name in classes) for split in splits]
    rows.append([f"all {len(classes):,}", *(f"{count:,}" for count in totals)])
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return [
        "  ".join(
            word.ljust(width) if place == 0 else word.rjust(width)
            for place, (word, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def _sizes(sizes: list[tuple[int, int]]) -> str:
    if not sizes:
        return ""
    named = {"smallest": sizes[0], "median": sizes[len(sizes) // 2], "largest": sizes[-1]}
    if len(set(named.values())) == 1:
        return f"{sizes[0][0]} x {sizes[0][1]} pixels, all"
    return ", ".join(f"{key} {w} x {h}" for key, (w, h) in named.items()) + " pixels"


def _colours(pictures: Pictures) -> str:
    if pictures.grey == pictures.decoded:
        kind = "grey"
    else:
        kind = f"colour, {pictures.grey:,} grey" if pictures.grey else "colour"
    return f"{kind} ({pictures.decoded:,} images looked at)" if pictures.decoded else ""


def _near(near: NearDuplicates | None) -> str:
    if near is None:
        return f"near-duplicates: not looked for in pictures below {SMALLEST} pixels"
    of = f" of {near.of:,}" if near.looked_at < near.of else ""
    text = f"near-duplicates: {len(near.pairs):,} pairs among {near.looked_at:,}{of} images"
    if near.crossing:
        text += f", {len(near.crossing):,} of them across the dataset's own splits"
    return f"{text} ({first_names(near.names(), PAIRS)})" if near.pairs else text
