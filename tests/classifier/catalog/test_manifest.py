"""The manifest: one row per image, written and read."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from classifier.catalog.manifest import list_images, read_manifest, write_manifest
from classifier.catalog.raw import RawImage
from classifier.support.errors import InputError

CLASSES = ["cat", "dog", "owl"]


def test_two_images_with_the_same_id() -> None:
    image = RawImage("cat/1", "cat", None, b"")
    with pytest.raises(InputError, match="two images have the id 'cat/1'"):
        list_images([image, image], CLASSES)


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    images = [RawImage("007", "1", None, np.zeros((2, 2), np.uint8))]
    written = list_images(images, ["1"]).assign(split="train").drop(columns=["official", "group"])
    write_manifest(tmp_path / "a.csv", written)
    pd.testing.assert_frame_equal(read_manifest(tmp_path / "a.csv"), written, check_dtype=False)
