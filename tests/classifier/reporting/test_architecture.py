"""The picture of a model has every layer, and the same bytes each time."""

from pathlib import Path
from typing import Any

import keras
import pytest
from matplotlib.axes import Axes
from PIL import Image

from classifier.reporting import architecture
from conftest import build_model


@pytest.mark.parametrize(
    ("family", "options"),
    [
        ("dense", {}),
        ("residual", {"filters": [8, 16]}),
        ("inception", {"filters": [8, 16]}),
        ("siamese_features", {}),
    ],
)
def test_every_layer_is_drawn_once(
    family: str, options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    positions: dict[str, tuple[float, float]] = {}
    draw = architecture._draw_layer

    def record(axes: Axes, layer: keras.Layer, x: float, y: float) -> None:
        positions[layer.name] = (x, y)
        draw(axes, layer, x, y)

    monkeypatch.setattr(architecture, "_draw_layer", record)
    model = build_model(family, **options)
    for name in ("one.png", "two.png"):
        architecture.draw_architecture(model, tmp_path / name, title=family)
    assert set(positions) == {layer.name for layer in model.layers}
    assert len(set(positions.values())) == len(positions)
    assert positions["probabilities"][1] == max(y for _, y in positions.values())
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    image = Image.open(tmp_path / "one.png").convert("RGB")
    assert {colour for _, colour in image.getcolors(1 << 20) or []} >= {
        (214, 230, 247),
        (241, 243, 245),
    }
