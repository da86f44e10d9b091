"""The pictures of a pipeline's test split, as files have them."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from classifier.catalog.manifest import read_manifest
from classifier.catalog.raw import read_raw
from classifier.serving.examples import as_png
from stages.layout import output


def test_pictures(root: Path, pipeline: str) -> Iterator[bytes]:
    """The encoded pictures of the test split, in the order of the dataset; arrays as PNG.

    Args:
        root: a checkout with the pipeline's data.
    """
    raw = root / output("download", pipeline)
    source = json.loads((raw / "source.json").read_text("utf-8"))
    index = read_manifest(root / output("normalize", pipeline) / "index.csv")
    wanted = set(index["id"][index["split"] == "test"])
    for image in read_raw(raw / source["file"], source["format"], source["classes"]):
        if image.id in wanted:
            content = image.content
            yield content if isinstance(content, bytes) else as_png(np.atleast_3d(content))
