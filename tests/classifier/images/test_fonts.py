"""Text beyond ASCII in pictures: letters in place of boxes, or a warning that names them."""

import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen

from classifier.images import fonts
from classifier.images.grids import write_grid
from classifier.reporting.charts import draw_confusion

UNKNOWN = "\U00013080\U00013081"  # hieroglyphs, which DejaVu Sans does not have


def grid(path: Path, name: str) -> bytes:
    images = np.zeros((1, 8, 8, 1), np.uint8)
    write_grid(path, images, columns=1, captions=[f"{name}\nis {name}"], title=f"{name}: 1 image")
    return path.read_bytes()


def chart(path: Path, name: str) -> bytes:
    counts = pd.DataFrame([[3, 1], [0, 4]], index=[name, "b"], columns=[name, "b"])
    draw_confusion(counts, path, title="test split")
    return path.read_bytes()


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    """The fonts of the machine: none at first."""
    found: list[Path] = []
    monkeypatch.setattr(fonts, "system_fonts", lambda: found)
    monkeypatch.setattr(fonts, "_reported", set())
    fonts.font_of.cache_clear()
    yield found
    fonts.font_of.cache_clear()


def write_font(path: Path, characters: str) -> Path:
    """A font with a shape of its own for each character."""
    builder = FontBuilder(1000)
    names = [".notdef", *(f"glyph{number}" for number in range(len(characters)))]
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord(letter): names[1 + at] for at, letter in enumerate(characters)})
    glyphs = {}
    for number, name in enumerate(names):
        pen = TTGlyphPen(None)
        right, top = 300 + 150 * number, 700 - 150 * number
        corners = (100, 0), (100, top), (right, top), (right, 0)
        pen.moveTo(corners[0])
        for corner in corners[1:]:
            pen.lineTo(corner)
        pen.closePath()
        glyphs[name] = pen.glyph()
    builder.setupGlyf(glyphs)
    builder.setupHorizontalMetrics(dict.fromkeys(names, (1000, 100)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": path.stem, "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)
    return path


@pytest.mark.parametrize("draw", [grid, chart])
def test_names_in_latin_greek_and_cyrillic_are_letters_and_not_boxes(
    draw: Callable[[Path, str], bytes], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = ["łż", "ωγ", "жд"]
    pictures = [draw(tmp_path / f"{number}.png", name) for number, name in enumerate(names)]
    assert len(set(pictures)) == len(names)
    assert draw(tmp_path / "again.png", names[0]) == pictures[0]
    assert not caplog.records


@pytest.mark.parametrize("draw", [grid, chart])
def test_a_font_of_the_system_is_taken_for_other_scripts(
    draw: Callable[[Path, str], bytes],
    tmp_path: Path,
    system: list[Path],
    caplog: pytest.LogCaptureFixture,
) -> None:
    system.append(write_font(tmp_path / "Hieroglyphs.ttf", UNKNOWN))
    one, other = (draw(tmp_path / f"{name}.png", f"a{name}") for name in UNKNOWN)
    assert one != other
    assert not caplog.records


@pytest.mark.fault(
    "class names in a script for which the machine has no font",
    "boxes in pictures, and one line in the log that names the characters",
)
@pytest.mark.parametrize("draw", [grid, chart])
def test_characters_that_no_font_has_are_named_once(
    draw: Callable[[Path, str], bytes],
    tmp_path: Path,
    system: list[Path],
    caplog: pytest.LogCaptureFixture,
    recwarn: pytest.WarningsRecorder,
) -> None:
    for number in range(2):
        draw(tmp_path / f"{number}.png", f"é{UNKNOWN}")
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    expected = ", ".join(f"{letter} (U+{ord(letter):04X})" for letter in UNKNOWN)
    assert record.getMessage().startswith(f"no font has {expected}: ")
    assert not [warning for warning in recwarn if "Glyph" in str(warning.message)]


def test_damaged_fonts_and_fonts_of_bitmaps_are_passed_over(
    tmp_path: Path, system: list[Path]
) -> None:
    damaged = tmp_path / "damaged.ttf"
    damaged.write_bytes(b"no font")
    system += [tmp_path / "gone.ttf", damaged, write_font(tmp_path / "good.ttf", UNKNOWN)]
    assert fonts.font_of(UNKNOWN[0]) == tmp_path / "good.ttf"


def test_matplotlib_is_not_imported_for_its_font() -> None:
    script = (
        "import sys; from PIL import Image, ImageDraw; from classifier.images.fonts import "
        "draw_text; draw = ImageDraw.Draw(Image.new('RGB', (50, 20))); "
        "draw_text(draw, (0, 0), 'żωж', size=12, fill=(0, 0, 0)); "
        "sys.exit('matplotlib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
