"""The picture of a model: every family's layers are drawn, the same bytes twice."""

from pathlib import Path

import pytest
from PIL import Image

from classifier import architecture
from conftest import build_model


@pytest.mark.parametrize("family", ["dense", "residual", "inception", "siamese_features"])
def test_every_layer_is_drawn_once(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[str, tuple[float, float]] = {}
    draw = architecture._draw_layer

    def record(axes, layer, x, y) -> None:
        drawn[layer.name] = (x, y)
        draw(axes, layer, x, y)

    monkeypatch.setattr(architecture, "_draw_layer", record)
    model = build_model(family)
    for name in ("one.png", "two.png"):
        architecture.draw_architecture(model, tmp_path / name, title=family)
    assert set(drawn) == {layer.name for layer in model.layers}
    assert len(set(drawn.values())) == len(drawn)
    assert drawn["probabilities"][1] == max(y for _, y in drawn.values())
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    picture = Image.open(tmp_path / "one.png").convert("RGB")
    assert {colour for _, colour in picture.getcolors(1 << 20)} >= {
        (214, 230, 247),
        (241, 243, 245),
    }
