"""The examples run, and print what they say they print."""

import math
import re
import sys
from pathlib import Path

from PIL import Image

from conftest import ROOT, command


def test_differentiation(tmp_path: Path) -> None:
    script, picture = ROOT / "examples" / "differentiation.py", tmp_path / "error.png"
    output = command(sys.executable, str(script), "--output", str(picture), cwd=tmp_path).stdout
    found = {}
    for line in output.splitlines():
        if match := re.match(
            r" *(\w+(?: mode)?) +([\d.]+) +([\d.]+) +(\d\.\de[+-]\d+|0\.0e\+00) ", line
        ):
            name, *numbers = match.groups()
            found[name] = [float(number) for number in numbers]
    assert list(found) == ["numerical", "symbolic", "forward mode", "reverse mode"]
    for first, second, error in found.values():
        assert math.isclose(first, 5.5, abs_tol=1e-8)
        assert math.isclose(second, 2 - math.cos(5), abs_tol=1e-8)
        assert error < 1e-8
    assert found["numerical"][2] > 100 * found["reverse mode"][2]
    with Image.open(picture) as image:
        assert image.format == "PNG"
        assert len(image.convert("L").getcolors(maxcolors=256)) > 20


def test_convolution() -> None:
    output = command(sys.executable, "examples/convolution.py", cwd=ROOT).stdout
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
