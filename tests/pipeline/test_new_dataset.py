"""A new dataset needs one YAML file and one section of params.yaml, and no code."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from conftest import command, commit_all, write_project

pytestmark = pytest.mark.slow

DATASET = """\
name: garments
format: folders
file: garments.tar.gz
classes: [bag, boot, shirt]
sources:
  - {{kind: folder, path: {path}}}
"""

SECTION = """\
  garments:
    download: {groups: {dataset: garments}, depends_on: ../garments.tar.gz}
    split: {validation: 0.2, test: 0.2, depends_on: conf/split.yaml}
    normalize: {image_size: 28, channels: 1, method: rescale}
    augment: {groups: {policy: digits}}
    backbone: {groups: {backbone: none}}
    train:
      groups:
        model: convnet
        loss: crossentropy
        optimizer: adam
        schedule: constant
        mixing: none
        views: none
        teacher: none
        strategy: single
      epochs: 60
      batch_size: 16
      model: {filters: [8, 16], convolutions: 1}
      optimizer: {learning_rate: 0.01, ema_momentum: 0.9}
      depends_on: conf/train.yaml
    evaluate: {}
    export: {}
"""

SHAPES = {
    "bag": [(4, 12, 24, 24)],
    "boot": [(6, 4, 12, 24), (6, 18, 24, 24)],
    "shirt": [(9, 4, 19, 26), (2, 4, 26, 10)],
}


def garment(name: str, seed: int) -> bytes:
    """A grey 28 x 28 PNG like those of Fashion-MNIST, at a random position and brightness."""
    rng = np.random.default_rng(seed)
    image = Image.new("L", (28, 28))
    x, y = rng.integers(-2, 3, 2)
    for left, top, right, bottom in SHAPES[name]:
        box = (left + x, top + y, right + x, bottom + y)
        ImageDraw.Draw(image).rectangle(box, fill=int(rng.integers(120, 255)))
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()


def test_archive_of_pngs_becomes_a_classifier(tmp_path: Path) -> None:
    project = write_project(tmp_path / "project", pipelines=())
    archive = tmp_path / "garments.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for label, name in enumerate(SHAPES):
            for number in range(60):
                content = garment(name, seed=1000 * label + number)
                entry = tarfile.TarInfo(f"fashion/{name}/{number}.png")
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    (project / "conf" / "dataset" / "garments.yaml").write_text(DATASET.format(path=archive))
    (project / "params.yaml").write_text(f"pipelines:\n{SECTION}")
    commit_all(project)
    command("dvc", "repro", cwd=project)
    metrics = json.loads((project / "reports" / "garments" / "metrics.json").read_text())
    assert metrics["images"] == 36
    assert metrics["accuracy"] >= 0.8
    assert (project / "exports" / "garments" / "saved_model.pb").exists()
    shown = command("dvc", "metrics", "show", cwd=project).stdout
    assert "reports/garments/metrics.json" in shown
