"""The examples run, and print the expected numbers."""

import math
import re
from pathlib import Path

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
