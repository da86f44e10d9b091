"""The page of the data: data.html, which opens from disk without a network."""

import base64
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from classifier.formats.label_sets import names_of
from classifier.images.grids import write_grid
from classifier.support.templates import templates

PAGE, SECTION, IMAGES = "data.html", "section.html", "images.csv"
STRIP = 8  # images of each kind
CLASSES = 20  # with a strip
ROWS = 100  # of the table of classes
PAIRS = 32  # in the picture
BINS = 40
NO_LABEL = "(no label)"
HISTOGRAMS = {
    "longer": "longer side in pixels",
    "aspect": "aspect ratio, width / height",
    "brightness": "brightness, mean grey level from 0 to 255",
    "sharpness": "sharpness, variance of the Laplacian",
}
# What is unusual, by the column and whether small or large.
UNUSUAL = {
    "darkest": ("brightness", True),
    "brightest": ("brightness", False),
    "least sharp": ("sharpness", True),
    "sharpest": ("sharpness", False),
    "smallest": ("pixels", True),
    "largest": ("pixels", False),
    "widest": ("aspect", False),
    "tallest": ("aspect", True),
}

Read = Callable[[str], np.ndarray]  # the pixels of an image by its id, uint8 (H, W, 1 or 3)


class Bar(NamedTuple):
    """A bar of a histogram: its ends, and its number of images."""

    low: float
    high: float
    images: int


def write_overview(
    folder: Path,
    *,
    title: str,
    images: pd.DataFrame,
    splits: pd.DataFrame,
    pairs: pd.DataFrame,
    near: Mapping[str, Any],
    read: Read,
    separator: str | None = None,
) -> None:
    """Writes to ``folder``: data.html, its body section.html for other pages, the pictures of
    both, and images.csv.

    Args:
        images: id, class, split, and the columns of
            :meth:`classifier.overview.measures.Measures.table`.
        splits: class and split of every image, those of no split too; and ``correction``, if labels
            were corrected.
        pairs, near: of :func:`classifier.catalog.near_duplicates.read_near_duplicates`.
        separator: between the labels of an image in ``class``, which may have several, or none:
            it is shown with each. None where it has one.
    """
    images.to_csv(folder / IMAGES, index=False, lineterminator="\n")
    images = images.assign(
        pixels=images["width"] * images["height"],
        longer=images[["width", "height"]].max(axis=1),
        aspect=(images["width"] / images["height"]).round(3),
    )
    of_class = a_row_a_label(images, separator) if separator else images
    shown = of_class.drop_duplicates("class")["class"][:CLASSES]
    pages = templates("classifier.overview")
    pages.filters["value"] = lambda value: f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"
    section = pages.get_template("section.html.jinja").render(
        classes=class_table(a_row_a_label(splits, separator) if separator else splits),
        rows=ROWS,
        total=len(images),
        sizes=size_text(images),
        histograms={
            name: histogram(images[column], log=column == "sharpness")
            for column, name in HISTOGRAMS.items()
            if images[column].nunique() > 1
        },
        unusual=unusual_strips(folder, images, read),
        pairs=pair_grid(folder, images, pairs, read),
        most_pairs=PAIRS,
        crossing=count_crossing(pairs),
        near=near,
        strips=[class_strip(folder, of_class, name, read) for name in shown],
        class_count=of_class["class"].nunique(),
        corrections=correction_counts(splits),
        labels=label_text(images, separator) if separator else "",
    )
    (folder / SECTION).write_text(section, "utf-8")
    page = pages.get_template("data.html.jinja").render(title=title, section=section)
    (folder / PAGE).write_text(page, "utf-8")


def class_table(splits: pd.DataFrame) -> pd.DataFrame:
    """The number of images of each class by split, and of all; at most ROWS, the smallest first.

    Up to ROWS classes keep the order of the labels.
    """
    counts = pd.crosstab(splits["class"], splits["split"])
    columns = [*("train", "validation", "test"), *(["dropped"] if "dropped" in counts else [])]
    counts = counts.reindex(splits["class"].unique(), columns=columns, fill_value=0)
    counts["all"] = counts.sum(axis=1)
    return counts if len(counts) <= ROWS else counts.sort_values("all", kind="stable")[:ROWS]


def a_row_a_label(table: pd.DataFrame, separator: str) -> pd.DataFrame:
    """The rows as often as their images have labels, with one of them as ``class``, sorted by it.

    An image without any label has one row, with NO_LABEL.
    """
    names = [names_of(text, separator) or [NO_LABEL] for text in table["class"]]
    rows = table.copy()
    rows["class"] = names
    rows = rows.explode("class", ignore_index=True)
    last = (rows["class"] == NO_LABEL).to_numpy()
    return rows.iloc[np.lexsort((rows["class"].to_numpy(str), last))].reset_index(drop=True)


def label_text(images: pd.DataFrame, separator: str) -> str:
    """One line about the number of labels of an image."""
    counts = images["class"].map(lambda text: len(names_of(text, separator))).value_counts()
    named = [f"{images:,} with {number}" for number, images in sorted(counts.items())]
    return f"Images by their number of labels: {', '.join(named)}."


def correction_counts(splits: pd.DataFrame) -> dict[str, int] | None:
    """The numbers of images relabelled, dropped and kept by corrections; None without any."""
    if "correction" not in splits:
        return None
    return {
        name: int((splits["correction"] == name).sum())
        for name in ("relabelled", "dropped", "kept")
    }


def size_text(images: pd.DataFrame) -> str:
    """One line about the sizes of the originals."""
    names = images["width"].astype(str) + " x " + images["height"].astype(str)
    counts = names.value_counts(sort=False)
    if len(counts) == 1:
        return f"All {len(images):,} images are {names.iloc[0]} pixels."
    ordered = names.loc[images.sort_values(["pixels", "width"], kind="stable").index].tolist()
    return (
        f"{len(counts):,} sizes, from {ordered[0]} to {ordered[-1]} pixels, median "
        f"{ordered[len(ordered) // 2]}; most often {counts.idxmax()} ({counts.max():,} images)."
    )


def histogram(values: pd.Series, *, log: bool = False) -> list[Bar]:
    """Numbers of images by value; ``log``: bars of equal ratios, values below 1 in the first."""
    numbers = values.to_numpy(float)
    if log:
        numbers = np.maximum(numbers, 1)
        ends = np.geomspace(numbers.min(), max(numbers.max(), numbers.min() * 1.01), BINS + 1)
        ends[-1] = max(ends[-1], numbers.max())  # which rounding leaves below it
        ends[0] = numbers.min()
    else:
        ends = np.linspace(numbers.min(), max(numbers.max(), numbers.min() + 1e-3), BINS + 1)
    counts, _ = np.histogram(numbers, ends)
    return [
        Bar(float(low), float(high), int(count))
        for low, high, count in zip(ends[:-1], ends[1:], counts, strict=True)
    ]


def unusual_strips(folder: Path, images: pd.DataFrame, read: Read) -> list[dict[str, Any]]:
    """A strip of the most extreme images of each kind; none of a kind that all are alike in.

    What half of the images or more are is not unusual.
    """
    strips = []
    for name, (column, smallest) in UNUSUAL.items():
        order = images[column] if smallest else -images[column]
        order = order[order < order.median()].sort_values(kind="stable")  # of equal ones the first
        if len(order):
            rows = images.loc[order.index[:STRIP]]
            captions = [_value(row, column) for row in rows.to_dict("records")]
            strips.append(
                {
                    "name": name,
                    "ids": list(zip(rows["id"], rows["split"], captions, strict=True)),
                    "picture": _grid(
                        folder / f"{name.replace(' ', '-')}.png", rows, read, captions
                    ),
                }
            )
    return strips


def _value(row: Mapping[Any, Any], column: str) -> str:
    if column in ("pixels", "aspect"):
        return f"{row['width']} x {row['height']}"
    return f"{row[column]:.1f}"


def class_strip(folder: Path, images: pd.DataFrame, name: str, read: Read) -> dict[str, Any]:
    """Images of a class, evenly spaced among all of it."""
    of_class = images[images["class"] == name]
    rows = of_class.iloc[np.linspace(0, len(of_class) - 1, STRIP).round().astype(int)]
    rows = rows.drop_duplicates("id")
    label = images["class"].unique().tolist().index(name)
    picture = _grid(folder / f"class-{label}.png", rows, read, None)
    return {"name": name, "images": len(of_class), "picture": picture}


def count_crossing(pairs: pd.DataFrame) -> int:
    """The number of pairs of two splits. An image that is dropped is in none."""
    used = (pairs[["first_split", "second_split"]] != "dropped").all(axis=1)
    return int((used & (pairs["first_split"] != pairs["second_split"])).sum())


def pair_grid(folder: Path, images: pd.DataFrame, pairs: pd.DataFrame, read: Read) -> str | None:
    """Near-duplicates two by two, those of two splits first, then those most alike last.

    Images that are in no split, or cannot be decoded, are not shown.
    """
    known = images.set_index("id")
    pairs = pairs[pairs["first"].isin(known.index) & pairs["second"].isin(known.index)]
    if not len(pairs):
        return None
    crossing = pairs["first_split"] != pairs["second_split"]
    pairs = pairs.assign(crossing=crossing).sort_values(
        ["crossing", "distance"], ascending=False, kind="stable"
    )[:PAIRS]
    ids = pairs[["first", "second"]].to_numpy().ravel()
    rows = known.loc[ids].reset_index()
    captions = [
        f"{bits} bits, {split}\n{class_name[:16]}"
        for bits, split, class_name in zip(
            np.repeat(pairs["distance"], 2), rows["split"], rows["class"], strict=True
        )
    ]
    return _grid(folder / "near-duplicates.png", rows, read, captions)


def _grid(path: Path, rows: pd.DataFrame, read: Read, captions: list[str] | None) -> str:
    """Writes a grid, and gives the PNG file in base64."""
    pixels = np.stack([read(name) for name in rows["id"]])
    write_grid(path, pixels, columns=STRIP, captions=captions)
    return base64.b64encode(path.read_bytes()).decode("ascii")
