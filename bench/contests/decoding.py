"""Photos to arrays of one size: the work of normalize, and Keras's folder reader."""

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
from classifier.catalog.raw import RawImage, read_raw
from classifier.formats.archive import pack_folder
from classifier.formats.contents import CONTENTS, Entry, write_contents
from classifier.images.decoding import decode_all
from classifier.images.pixels import ImageError
from classifier.storage.arrays import ArrayWriter
from classifier.support.limits import sides
from contest import Contest, at_least


def contests() -> Iterator[Contest]:
    raw = ROOT / "data" / "raw" / "flowers"
    source = json.loads((raw / "source.json").read_text("utf-8"))
    photos = list(read_raw(raw / source["file"], source["format"], source["classes"]))
    large = [enlarged(photo) for photo in photos[:48]]
    for what, images in {"photos": photos, "photos of a camera, 12 megapixels,": large}.items():
        with TemporaryDirectory() as temporary:
            yield contest(what, images, Path(temporary))


def enlarged(photo: RawImage) -> RawImage:
    """The photo at the size of a camera's photos."""
    assert isinstance(photo.content, bytes)
    content = io.BytesIO()
    image = Image.open(io.BytesIO(photo.content))
    image.resize((4000, 3000), Image.Resampling.BICUBIC).save(content, "JPEG", quality=90)
    return photo._replace(content=content.getvalue())


def contest(what: str, images: list[RawImage], temporary: Path) -> Contest:
    """The contest on the same images: a folder for Keras, download's archive for this project."""
    import keras

    config = YAML(typ="safe").load(ROOT / "params.yaml")["pipelines"]["flowers"]["normalize"]
    size, channels = sides(config["image_size"]), config["channels"]
    folder, archive = temporary / "photos", temporary / "photos.tar"
    for image in images:
        file = folder / image.class_name / Path(image.id).name
        file.parent.mkdir(parents=True, exist_ok=True)
        assert isinstance(image.content, bytes)
        file.write_bytes(image.content)
    pack_folder(folder, archive)
    names = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*.*"))
    entries = [Entry(name, name, name.partition("/")[0]) for name in names]
    write_contents(temporary / CONTENTS, entries)
    classes = sorted({image.class_name for image in images})

    def ours() -> float:
        begun = time.perf_counter()
        images_in_archive = read_raw(archive, "folders", classes)
        with ArrayWriter(temporary / "ours.npy", (*size, channels)) as writer:
            for _, pixels in decode_all(
                images_in_archive, size=size, channels=channels, fit="crop", workers=2
            ):
                assert not isinstance(pixels, ImageError)
                writer.append(pixels)
        return len(images) / (time.perf_counter() - begun)

    def keras_reader() -> float:
        begun = time.perf_counter()
        dataset = keras.utils.image_dataset_from_directory(
            folder, image_size=size, crop_to_aspect_ratio=True, verbose=False
        )
        pixels = np.concatenate([batch.numpy().astype(np.uint8) for batch, _ in dataset])
        np.save(temporary / "keras.npy", pixels)
        return len(images) / (time.perf_counter() - begun)

    return Contest(
        f"{what} to arrays of {config['image_size']} pixels",
        "`image_dataset_from_directory`, resized and cropped",
        "images/s",
        ours,
        keras_reader,
        at_least(2),
    )
