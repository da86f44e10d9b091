"""split: writes a table with one row per image, which has the split of the image.

And the near-duplicates among the images, where they are looked for.
"""

import json
import logging
from pathlib import Path
from typing import Any

import pandas as pd

from classifier.catalog.assignment import assign_splits
from classifier.catalog.corrections import correct, read_corrections
from classifier.catalog.manifest import (
    DROPPED,
    SPLITS,
    chosen_classes,
    find_conflicts,
    find_duplicates,
    list_images,
    write_manifest,
)
from classifier.catalog.near_duplicates import (
    find_near_duplicates,
    summarize,
    write_near_duplicates,
)
from classifier.catalog.raw import read_raw
from classifier.catalog.several_labels import (
    check_labels_by_split,
    label_counts,
    list_labelled_images,
)
from classifier.formats.contents import CONTENTS
from classifier.formats.label_sets import multi_hot
from classifier.images.perceptual_hash import hash_images
from classifier.support.errors import InputError
from stages.configuration import configured
from stages.depends_on import warn_unless_covered
from stages.layout import located, needed, output
from stages.lock import locked
from stages.schemas import Split

log = logging.getLogger(__name__)


def split(config: Split) -> None:
    source = json.loads(needed("download", config.pipeline, "source.json").read_text("utf-8"))
    file = needed("download", config.pipeline, source["file"])
    if source["format"] == "folders":
        needed("download", config.pipeline, CONTENTS)
    classes = chosen_classes(source["classes"], config.classes)
    separator, has = source.get("separator"), None
    if separator:
        table = labelled(config, source, file, classes)
        has = multi_hot(table["class"].tolist(), classes, separator)
    elif config.corrections is None:
        table = list_images(read_raw(file, source["format"], source["classes"]), classes)
    else:
        path = Path(config.corrections)
        corrections = read_corrections(located(config.corrections))
        every = source["classes"]
        table = list_images(read_raw(file, source["format"], every), every)
        table = correct(table, corrections, path, every, classes)
    warn_unless_covered(config.pipeline, "split", config.depends_on, config.corrections)
    for _, group in find_conflicts(table).groupby("sha256"):
        names = ", ".join(group["id"])
        log.warning(
            "identical images with several classes (%s): %s", config.conflicting_labels, names
        )
    if repeated := len(find_duplicates(table)):
        log.info(
            "images that repeat an earlier one: %s (duplicates: %s)",
            f"{repeated:,}",
            config.duplicates,
        )
    near, found = near_duplicates(config, table, source, file)
    leaking = config.near_duplicates.leaking if config.near_duplicates else "keep"
    table = assign_splits(table, config, near=near, leaking=leaking, has=has)
    if separator:
        check_labels_by_split(table, classes, separator)
    target = output("split", config.pipeline)
    with locked(target):
        write_near_duplicates(output("near_duplicates", config.pipeline), table, near, found)
        write_manifest(target, table)
    counts = table["split"].value_counts()
    log.info("%s", ", ".join(f"{counts.get(name, 0):,} {name}" for name in SPLITS))
    if DROPPED in counts:
        log.info("left out, as the parameters of the split say: %s", f"{counts[DROPPED]:,}")


def labelled(config: Split, source: dict[str, Any], file: Path, classes: list[str]) -> pd.DataFrame:
    """The table of images that may have several labels.

    Raises:
        InputError: something is wanted that is for one label an image.
    """
    refused = {
        "corrections": config.corrections is not None,
        "folds": config.folds is not None,
        f"rare_classes: {config.rare_classes}": config.rare_classes != "fail",
    }
    for key, wanted in refused.items():
        if wanted:
            raise InputError(
                f"{key} is for one label an image, and these may have several: unset it"
            )
    separator = source["separator"]
    images = read_raw(file, source["format"], source["classes"], separator)
    table = list_labelled_images(images, classes, separator)
    counts = label_counts(table["class"], separator)
    log.info(
        "%s labels of %s images: %s; without any label: %s",
        f"{sum(counts.values()):,}",
        f"{len(table):,}",
        ", ".join(f"{name} {counts.get(name, 0):,}" for name in classes),
        f"{(table['class'] == '').sum():,}",
    )
    return table


def near_duplicates(
    config: Split, table: pd.DataFrame, source: dict[str, Any], file: Path
) -> tuple[pd.DataFrame | None, dict[str, Any]]:
    """The pairs of near-duplicates, and what was found in numbers; None where they are not wanted.

    Raises:
        InputError: the memory is not enough to decode an image.
    """
    distance = config.near_duplicates.distance if config.near_duplicates else None
    if distance is None:
        return None, {"distance": None}
    ids = set(table["id"])
    images = read_raw(file, source["format"], source["classes"], source.get("separator"))
    try:
        hashes = hash_images(
            (image for image in images if image.id in ids),
            workers=config.workers,
            value_range=tuple(source["value_range"]) if "value_range" in source else None,
        )
    except MemoryError:
        raise InputError(
            f"not enough memory to decode the images: fewer workers than {config.workers} need less"
        ) from None
    near = find_near_duplicates(table, hashes.values, hashes.known, distance)
    return near, summarize(
        table, near, distance=distance, flat=hashes.flat, undecodable=hashes.undecodable
    )


if __name__ == "__main__":
    configured(split)()
