"""split: writes a table with one row per image, which has the split of the image."""

import json
import logging

from classifier.catalog.manifest import (
    assign_splits,
    chosen_classes,
    find_conflicts,
    find_duplicates,
    list_images,
    write_manifest,
)
from classifier.catalog.raw import read_raw
from classifier.formats.contents import CONTENTS
from stages.configuration import configured
from stages.layout import needed, output
from stages.lock import locked
from stages.schemas import Split

log = logging.getLogger(__name__)


def split(config: Split) -> None:
    source = json.loads(needed("download", config.pipeline, "source.json").read_text("utf-8"))
    file = needed("download", config.pipeline, source["file"])
    if source["format"] == "folders":
        needed("download", config.pipeline, CONTENTS)
    images = read_raw(file, source["format"], source["classes"])
    table = list_images(images, chosen_classes(source["classes"], config.classes))
    for _, group in find_conflicts(table).groupby("sha256"):
        names = ", ".join(group["id"])
        log.warning(
            "identical images with several classes (%s): %s", config.conflicting_labels, names
        )
    log.info("%d images repeat an earlier one (%s)", len(find_duplicates(table)), config.duplicates)
    table = assign_splits(
        table,
        train=config.train,
        validation=config.validation,
        test=config.test,
        seed=config.seed,
        method=config.method,
        official=config.official,
        folds=config.folds,
        fold=config.fold,
        duplicates=config.duplicates,
        conflicting_labels=config.conflicting_labels,
        rare_classes=config.rare_classes,
    )
    target = output("split", config.pipeline)
    with locked(target):
        write_manifest(target, table)
    counts = table["split"].value_counts()
    log.info("%s", ", ".join(f"{counts[name]:,} {name}" for name in counts.index))


if __name__ == "__main__":
    configured(split)()
