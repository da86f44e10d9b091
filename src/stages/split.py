"""split: a table with a row an image, and which split each falls in."""

import json
import logging

from classifier.data.manifest import (
    DROPPED,
    assign_splits,
    chosen_classes,
    find_conflicts,
    find_duplicates,
    list_images,
    write_manifest,
)
from classifier.data.raw import read_raw
from stages.configuration import configured
from stages.layout import needed, output
from stages.schemas import Split

log = logging.getLogger(__name__)


def split(config: Split) -> None:
    source = json.loads(needed("download", config.pipeline, "source.json").read_text("utf-8"))
    file = needed("download", config.pipeline, source["file"])
    images = read_raw(file, source["format"], source["classes"])
    table = list_images(images, chosen_classes(source["classes"], config.classes))
    for _, group in find_conflicts(table).groupby("sha256"):
        names = ", ".join(group["id"])
        log.warning("one image, several classes (%s): %s", config.conflicting_labels, names)
    log.info("%d images repeat another (%s)", len(find_duplicates(table)), config.duplicates)
    table = assign_splits(
        table,
        train=config.train,
        validation=config.validation,
        test=config.test,
        seed=config.seed,
        duplicates=config.duplicates,
        conflicting_labels=config.conflicting_labels,
    )
    write_manifest(output("split", config.pipeline), table)
    counts = table["split"].value_counts()
    log.info(
        "%s", ", ".join(f"{counts[name]:,} {name}" for name in counts.index if name != DROPPED)
    )


if __name__ == "__main__":
    configured(split)()
