"""The examples run, and print the expected numbers."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import PYTHON, ROOT, command


def test_differentiation(tmp_path: Path) -> None:
    script, chart = ROOT / "examples" / "differentiation.py", tmp_path / "error.png"
    output = command(PYTHON, str(script), "--output", str(chart), cwd=tmp_path).stdout
    rows = {}
    for line in output.splitlines():
        if match := re.match(
            r" *(\w+(?: mode)?) +([\d.]+) +([\d.]+) +(\d\.\de[+-]\d+|0\.0e\+00) ", line
        ):
            name, *numbers = match.groups()
            rows[name] = [float(number) for number in numbers]
    assert list(rows) == ["numerical", "symbolic", "forward mode", "reverse mode"]
    for first, second, error in rows.values():
        assert math.isclose(first, 5.5, abs_tol=1e-8)
        assert math.isclose(second, 2 - math.cos(5), abs_tol=1e-8)
        assert error < 1e-8
    assert rows["numerical"][2] > 100 * rows["reverse mode"][2]
    with Image.open(chart) as image:
        assert image.format == "PNG"
        assert len(image.convert("L").getcolors(maxcolors=256) or []) > 20


def test_convolution() -> None:
    output = command(PYTHON, "examples/convolution.py", cwd=ROOT).stdout
    assert "valid: 4 x 4" in output
    assert "same: 6 x 6" in output
    assert "same, strides 2: 3 x 3" in output
    rows = re.findall(r"^ *(\d+) +(\d) +(\d) +(?:valid|same) +(\d+) +(\d+)$", output, re.MULTILINE)
    assert len(rows) == 16
    assert all(rule == keras for *_, rule, keras in rows)
    table = dict(re.findall(r"96 x 96 x 3 +(\w+)\(.*?\) +(\d+)", output))
    assert int(table["Dense"]) == 96 * 96 * 3 * 64 + 64
    assert int(table["Conv2D"]) == 3 * 3 * 3 * 64 + 64
    assert int(table["SeparableConv2D"]) == 3 * 3 * 3 + 3 * 64 + 64


@pytest.mark.parametrize(
    ("script", "option", "committed"),
    [
        ("differentiation.py", "--graph", "graph.png"),
        ("convolution.py", "--picture", "convolution.png"),
    ],
)
def test_pictures_of_the_pages(script: str, option: str, committed: str, tmp_path: Path) -> None:
    picture = tmp_path / committed
    command(PYTHON, str(ROOT / "examples" / script), option, str(picture), cwd=tmp_path)
    with Image.open(picture) as drawn, Image.open(ROOT / "docs" / "learn" / committed) as shown:
        assert drawn.size == shown.size
        # Another version of Matplotlib may draw the letters a little differently.
        assert np.mean(np.asarray(drawn) != np.asarray(shown)) < 0.05


def digits_printed(mirror: Path) -> str:
    """What ``load_digits`` says and returns, without the arrays of the pipeline."""
    code = (
        "import pathlib, examples.digits as d; d.ROOT = pathlib.Path('nowhere'); "
        "x = d.load_digits(1000, 700); print([(a.shape, str(a.dtype)) for a in x], "
        "x.train_images.max(), sorted(set(x.train_labels.tolist())))"
    )
    return command(
        PYTHON, "-c", code, cwd=ROOT, PYTHONPATH=str(ROOT), DATA_MIRROR=str(mirror)
    ).stdout


def test_digits_of_scikit_learn(tmp_path: Path) -> None:
    output = digits_printed(tmp_path)
    assert "scikit-learn's digits: 1000 images to train, 700 to test" in output
    assert "((1000, 28, 28, 1), 'uint8'), ((1000,), 'int64'), ((700, 28, 28, 1)" in output
    assert "255 [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]" in output


def test_digits_of_a_mirror(tmp_path: Path) -> None:
    (tmp_path / "mnist").mkdir()
    images = np.full((1900, 28, 28), 9, np.uint8)
    labels = np.arange(1900, dtype=np.uint8) % 10
    np.savez(tmp_path / "mnist" / "mnist.npz", x_train=images, y_train=labels)
    output = digits_printed(tmp_path)
    assert "MNIST, of DATA_MIRROR: 1000 images to train, 700 to test" in output
    assert "9 [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]" in output


def test_too_many_digits() -> None:
    code = "import examples.digits as d; d.load_digits(1001, 1)"
    output = command(PYTHON, "-c", code, cwd=ROOT, check=False, PYTHONPATH=str(ROOT)).stdout
    assert "train is 1001: must be at most 1000" in output
