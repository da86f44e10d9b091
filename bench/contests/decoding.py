"""Photos to arrays of one size: what normalize does, beside Keras's folder reader."""

import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image
from ruamel.yaml import YAML

from checkout import ROOT
from classifier.data.arrays import ArrayWriter
from classifier.data.decoding import decode_all
from classifier.data.raw import RawImage, read_raw
from contest import Contest, at_least


def contests() -> Iterator[Contest]:
    raw = ROOT / "data" / "raw" / "flowers"
    source = json.loads((raw / "source.json").read_text("utf-8"))
    photos = list(read_raw(raw / source["file"], source["format"], source["classes"]))
    yield contest(photos, "photos")
    yield contest([enlarged(photo) for photo in photos[:48]], "photos of a camera, 12 megapixels,")


def enlarged(photo: RawImage) -> RawImage:
    """The photo as a camera would have taken it, by its size."""
    content = io.BytesIO()
    picture = Image.open(io.BytesIO(photo.content))
    picture.resize((4000, 3000), Image.Resampling.BICUBIC).save(content, "JPEG", quality=90)
    return RawImage(photo.id, photo.class_name, content.getvalue())


def contest(images: list[RawImage], what: str) -> Contest:
    import keras

    config = YAML(typ="safe").load(ROOT / "params.yaml")["pipelines"]["flowers"]["normalize"]
    size, channels = config["image_size"], config["channels"]

    def ours() -> float:
        with TemporaryDirectory() as temporary:
            begun = time.perf_counter()
            shape = (size, size, channels)
            with ArrayWriter(Path(temporary, "ours.npy"), shape) as writer:
                for _, pixels in decode_all(
                    images, size=size, channels=channels, fit="crop", workers=2
                ):
                    writer.append(pixels)
            return len(images) / (time.perf_counter() - begun)

    def keras_reader() -> float:
        with TemporaryDirectory() as temporary:
            for image in images:
                file = Path(temporary, "photos", image.class_name, Path(image.id).name)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(image.content)
            begun = time.perf_counter()
            dataset = keras.utils.image_dataset_from_directory(
                Path(temporary, "photos"),
                image_size=(size, size),
                crop_to_aspect_ratio=True,
                verbose=False,
            )
            pixels = np.concatenate([batch.numpy().astype(np.uint8) for batch, _ in dataset])
            np.save(Path(temporary, "keras.npy"), pixels)
            return len(images) / (time.perf_counter() - begun)

    return Contest(
        f"{what} to arrays of {size} pixels",
        "`image_dataset_from_directory`, resized and cropped",
        "images/s",
        ours,
        keras_reader,
        at_least(2),
    )
