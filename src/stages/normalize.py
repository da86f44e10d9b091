"""normalize: writes uint8 images of one size, and the statistics of the training split.

And a page of the data, to look at before training.
"""

import json
import logging
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from classifier.catalog.manifest import SPLITS, class_names, read_manifest, write_manifest
from classifier.catalog.near_duplicates import read_near_duplicates
from classifier.catalog.raw import RawImage, read_raw
from classifier.catalog.several_labels import check_labels_by_split, classes_in
from classifier.formats.label_sets import multi_hot
from classifier.images.decoding import decode_all
from classifier.images.grids import write_class_grids
from classifier.images.pixels import ImageError, UnknownRangeError
from classifier.images.preprocessing import PREPROCESSING, Preprocessing
from classifier.images.ranges import RangeCounts
from classifier.overview.measures import Measures
from classifier.overview.page import write_overview
from classifier.overview.reader import reader
from classifier.storage.arrays import ChannelStatistics
from classifier.storage.splits import read_split, write_split
from classifier.support.atomic import atomic_folder, write_json
from classifier.support.errors import InputError
from stages.configuration import configured
from stages.layout import needed, output
from stages.lock import locked
from stages.schemas import Normalize

Decoded = tuple[RawImage, np.ndarray | ImageError]

log = logging.getLogger(__name__)


def normalize(config: Normalize) -> None:
    source = json.loads(needed("download", config.pipeline, "source.json").read_text("utf-8"))
    table = read_manifest(needed("split", config.pipeline))
    separator = source.get("separator")
    if separator:  # an image may have several labels
        classes = classes_in(table, source["classes"], separator)
        labels: Any = multi_hot(table["class"].tolist(), classes, separator)
    else:
        classes, labels = class_names(table), table["label"]
    split_of = dict(zip(table["id"], table["split"], strict=True))
    label_of = dict(zip(table["id"], labels, strict=True))
    file = needed("download", config.pipeline, source["file"])
    images = (
        image
        for image in read_raw(file, source["format"], source["classes"], separator)
        if split_of.get(image.id) in SPLITS
    )
    preprocessing = Preprocessing(
        image_size=config.image_size,
        channels=config.channels,
        fit=config.fit,
        transparency=config.transparency,
        value_range=tuple(source["value_range"]) if "value_range" in source else None,
    )
    shape = preprocessing.shape
    statistics = ChannelStatistics(config.channels)
    counts = RangeCounts()
    measures = Measures()
    kept: list[str] = []
    target = output("normalize", config.pipeline)
    pages = output("overview", config.pipeline)
    pairs, near = read_near_duplicates(needed("near_duplicates", config.pipeline))
    with locked(target), atomic_folder(target) as folder, atomic_folder(pages) as overview:
        with ExitStack() as stack:
            write = partial(write_split, storage=config.storage, shard_bytes=config.shard_bytes)
            append = {name: stack.enter_context(write(folder, name, shape)) for name in SPLITS}
            decoded = decode_all(
                images,
                workers=config.workers,
                counts=counts,
                truncated=config.truncated,
                **preprocessing.arguments,
            )
            for image, pixels in _until_memory_is_short(decoded, config):
                if isinstance(pixels, UnknownRangeError):  # no damage of one image
                    raise InputError(
                        f"{image.id} cannot be decoded: {pixels}: [low, high] in "
                        f"conf/dataset/{source['dataset']}.yaml"
                    )
                if isinstance(pixels, ImageError):
                    if config.undecodable == "fail":
                        raise InputError(
                            f"{image.id} cannot be decoded: {pixels}; replace it, or set "
                            f"pipelines.{config.pipeline}.normalize.undecodable: drop"
                        )
                    log.warning("dropped %s: it cannot be decoded: %s", image.id, pixels)
                    continue
                kept.append(image.id)
                measures.add(image.content, pixels)
                append[split_of[image.id]](pixels, label_of[image.id])
                if split_of[image.id] == "train":
                    statistics.add(pixels)
        index = table.set_index("id").loc[kept].reset_index()
        if separator:
            check_labels_by_split(index, classes, separator)
        else:
            _check_every_class(index, classes, table[table["split"].isin(SPLITS)])
        write_manifest(folder / "index.csv", index)
        (folder / "classes.txt").write_text("\n".join(classes) + "\n", "utf-8")
        preprocessing.write(folder / PREPROCESSING)
        write_json(
            folder / "statistics.json",
            {
                "method": config.method,
                "mean": statistics.mean,
                "standard_deviation": statistics.standard_deviation,
                "window": config.window,
            },
        )
        write_class_grids(folder, *read_split(folder, "train"), classes)
        write_overview(
            overview,
            title=f"{config.pipeline}: the data",
            images=pd.concat([index[["id", "class", "split"]], measures.table()], axis=1),
            splits=table,
            pairs=pairs,
            near=near,
            read=reader(folder, index),
            separator=separator,
        )
    for line in [*counts.in_part(), *counts.scaled()]:
        log.info("%s", line)
    for line in counts.warnings():
        log.warning("%s", line)
    log.info("%s images of %d x %d pixels, channels: %d", f"{len(kept):,}", *shape)


def _check_every_class(index: pd.DataFrame, classes: list[str], assigned: pd.DataFrame) -> None:
    """Refuses a split that lost all images of a class, when images were dropped."""
    wanted, left = (
        set(zip(table["split"], table["class"], strict=True)) for table in (assigned, index)
    )
    for split in SPLITS:
        for name in classes:
            if (split, name) in wanted - left:
                raise InputError(
                    f"no image of class '{name}' is left in {split}: "
                    f"{len(assigned) - len(index):,} of {len(assigned):,} images cannot be decoded "
                    "and were dropped; replace them"
                )


def _until_memory_is_short(decoded: Iterator[Decoded], config: Normalize) -> Iterator[Decoded]:
    last = "none"
    try:
        for image, pixels in decoded:
            yield image, pixels
            last = image.id
    except MemoryError:
        raise InputError(
            f"not enough memory to decode the images after {last}: fewer workers than "
            f"{config.workers} need less"
        ) from None


if __name__ == "__main__":
    configured(normalize)()
