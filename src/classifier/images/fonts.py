"""Fonts for the text of pictures, in any script.

Matplotlib's wheel has DejaVu Sans, for Latin, Greek and Cyrillic. For other scripts, one of the
system's fonts that has the character is taken: such a picture differs from machine to machine.
"""

import logging
import unicodedata
from functools import cache, lru_cache
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path

from PIL import ImageDraw, ImageFont

log = logging.getLogger(__name__)


def bundled_font() -> Path:
    """DejaVu Sans in Matplotlib's package, which is not imported: it would take a second."""
    spec = find_spec("matplotlib")
    assert spec is not None and spec.origin is not None, "Matplotlib is a dependency"
    return Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"


def fonts_for(text: str) -> list[Path | None]:
    """The font of each character of the text; None for one that no font has.

    A warning in the log names the characters that no font has, once for each of them.
    """
    fonts = [font_of(character) for character in text]
    missing = [letter for letter, font in zip(text, fonts, strict=True) if font is None]
    if unseen := sorted(set(missing) - _reported):
        _reported.update(unseen)
        names = ", ".join(f"{letter} (U+{ord(letter):04X})" for letter in unseen)
        log.warning("no font has %s: boxes in pictures; install one, such as Noto Sans", names)
    return fonts


_reported: set[str] = set()


@cache
def font_of(character: str) -> Path | None:
    """The first font that has the character: the bundled one, then the system's."""
    bundled = bundled_font()
    # What is not drawn needs no glyph: line feeds, joiners.
    if unicodedata.category(character) in ("Cc", "Cf") or ord(character) in _characters(bundled):
        return bundled
    return next((font for font in system_fonts() if ord(character) in _characters(font)), None)


@lru_cache(maxsize=1)
def system_fonts() -> list[Path]:
    """The fonts of this machine, the regular ones first."""
    from matplotlib.font_manager import findSystemFonts

    paths = sorted(map(Path, findSystemFonts()))
    return sorted(paths, key=lambda path: "regular" not in path.name.lower())


@cache
def _characters(font: Path) -> frozenset[int]:
    """The characters that the font has as outlines: none for a font of bitmaps."""
    from fontTools.ttLib import TTFont, TTLibError

    try:
        with TTFont(font, fontNumber=0, lazy=True) as tables:
            outlines = {"glyf", "CFF ", "CFF2"} & set(tables.keys())
            return frozenset(tables.getBestCmap() or () if outlines else ())
    except (TTLibError, OSError):
        return frozenset()


def draw_text(
    draw: ImageDraw.ImageDraw,
    position: tuple[int, int],
    text: str,
    *,
    size: int,
    fill: tuple[int, int, int],
    spacing: int = 4,
) -> None:
    """Draws lines of text, each character in a font that has it; ASCII in Pillow's own font.

    Args:
        position: of the upper left corner, pixels.
        size: of the font, pixels.
        spacing: between lines, pixels, as in ``ImageDraw.text``.
    """
    if text.isascii():
        draw.text(position, text, fill=fill, font=ImageFont.load_default(size), spacing=spacing)
        return
    bundled = bundled_font()
    ascent, descent = _load(bundled, size).getmetrics()
    for number, line in enumerate(text.split("\n")):
        x = float(position[0])
        baseline = position[1] + ascent + number * (ascent + descent + spacing - 2)
        fonts = fonts_for(line)
        for path, run in groupby(zip(fonts, line, strict=True), lambda pair: pair[0]):
            letters = "".join(letter for _, letter in run)
            font = _load(path or bundled, size)
            draw.text((x, baseline), letters, fill=fill, font=font, anchor="ls")
            x += font.getlength(letters)


@cache
def _load(path: Path, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, size)
