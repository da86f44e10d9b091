"""normalize: uint8 images of one size, and the statistics of the training split."""

import json
import logging
from contextlib import ExitStack
from functools import partial

from classifier.atomic import atomic_folder, write_json
from classifier.data.arrays import ChannelStatistics
from classifier.data.decoding import decode_all
from classifier.data.images import ImageError
from classifier.data.manifest import SPLITS, class_names, read_manifest, write_manifest
from classifier.data.raw import read_raw
from classifier.data.splits import read_split, write_split
from classifier.errors import InputError
from classifier.pictures import write_class_grids
from stages.configuration import configured
from stages.layout import needed, output
from stages.schemas import Normalize

log = logging.getLogger(__name__)


def normalize(config: Normalize) -> None:
    source = json.loads(needed("download", config.pipeline, "source.json").read_text("utf-8"))
    table = read_manifest(needed("split", config.pipeline))
    classes = class_names(table)
    split_of = dict(zip(table["id"], table["split"], strict=True))
    label_of = dict(zip(table["id"], table["label"], strict=True))
    file = needed("download", config.pipeline, source["file"])
    wanted = (
        image
        for image in read_raw(file, source["format"], source["classes"])
        if split_of.get(image.id) in SPLITS
    )
    shape = (config.image_size, config.image_size, config.channels)
    statistics = ChannelStatistics(config.channels)
    kept: list[str] = []
    with atomic_folder(output("normalize", config.pipeline)) as folder:
        with ExitStack() as stack:
            write = partial(write_split, storage=config.storage, shard_bytes=config.shard_bytes)
            append = {name: stack.enter_context(write(folder, name, shape)) for name in SPLITS}
            for image, pixels in decode_all(
                wanted,
                size=config.image_size,
                channels=config.channels,
                fit=config.fit,
                workers=config.workers,
            ):
                if isinstance(pixels, ImageError):
                    if config.undecodable == "fail":
                        raise InputError(
                            f"{image.id} cannot be decoded: {pixels}; mend it, or set "
                            f"pipelines.{config.pipeline}.normalize.undecodable: drop"
                        )
                    log.warning("dropped %s: it cannot be decoded: %s", image.id, pixels)
                    continue
                kept.append(image.id)
                append[split_of[image.id]](pixels, label_of[image.id])
                if split_of[image.id] == "train":
                    statistics.add(pixels)
        index = table.set_index("id").loc[kept].reset_index()
        write_manifest(folder / "index.csv", index)
        (folder / "classes.txt").write_text("\n".join(classes) + "\n", "utf-8")
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
    log.info("%s images of %s", f"{len(kept):,}", shape)


if __name__ == "__main__":
    configured(normalize)()
