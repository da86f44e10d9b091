"""Photos to arrays of one size: what normalize does, beside Keras's folder reader."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from ruamel.yaml import YAML

from checkout import ROOT
from classifier.data.arrays import ArrayWriter
from classifier.data.decoding import decode_all
from classifier.data.raw import read_raw
from contest import Contest, at_least


def contests() -> Iterator[Contest]:
    import keras

    raw = ROOT / "data" / "raw" / "flowers"
    source = json.loads((raw / "source.json").read_text("utf-8"))
    config = YAML(typ="safe").load(ROOT / "params.yaml")["pipelines"]["flowers"]["normalize"]
    size, channels = config["image_size"], config["channels"]
    images = list(read_raw(raw / source["file"], source["format"], source["classes"]))

    with TemporaryDirectory() as temporary:
        photos = Path(temporary, "photos")
        for image in images:
            file = photos / image.class_name / Path(image.id).name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(image.content)

        def ours() -> float:
            begun = time.perf_counter()
            found = read_raw(raw / source["file"], source["format"], source["classes"])
            shape = (size, size, channels)
            with ArrayWriter(Path(temporary, "ours.npy"), shape) as writer:
                for _, pixels in decode_all(
                    found, size=size, channels=channels, fit="crop", workers=2
                ):
                    writer.append(pixels)
            return len(images) / (time.perf_counter() - begun)

        def keras_reader() -> float:
            begun = time.perf_counter()
            dataset = keras.utils.image_dataset_from_directory(
                photos, image_size=(size, size), crop_to_aspect_ratio=True, verbose=False
            )
            pixels = np.concatenate([batch.numpy().astype(np.uint8) for batch, _ in dataset])
            np.save(Path(temporary, "keras.npy"), pixels)
            return len(images) / (time.perf_counter() - begun)

        yield Contest(
            f"photos to arrays of {size} pixels",
            "`image_dataset_from_directory`, resized and cropped",
            "images/s",
            ours,
            keras_reader,
            at_least(2),
        )
