"""Each row of the table in docs/formats.md: a file of the kind becomes what the row says."""

import base64
import io
import sys
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from PIL import Image

from classifier.formats.image_files import begins_like_an_image, is_image_content, is_image_file
from classifier.images.pixels import ImageError, to_pixels
from classifier.images.ranges import RangeCounts
from classifier.images.truncated import truncated_loaded
from classifier.layouts import survey as module
from classifier.layouts.error import LayoutError
from classifier.layouts.survey import survey
from conftest import ROOT

# A grey PNG of 32 x 32 pixels with three channels of 16 bits, which Pillow does not write.
COLOURS_OF_16_BITS = (
    "iVBORw0KGgoAAAANSUhEUgAAACAAAAAgEAIAAACsiDHgAAAAM0lEQVR42u3PQQ0AAAgAoYtudDP4dGMk"
    "oOm3BAQEBAQEBAQEBAQEBAQEBAQEBAQEBASuFlYpAFuQj3fCAAAAAElFTkSuQmCC"
)
RED, BLUE = (255, 0, 0), (0, 0, 255)
DOCUMENT = ROOT / "docs" / "formats.md"


@dataclass(frozen=True)
class Row:
    """A row of the table, and what shows that it is right."""

    file: str
    becomes: str
    content: Callable[[], bytes]
    expected: tuple[int, int, int] | str  # the upper left pixel, or the message of the error
    options: dict[str, Any] = field(default_factory=dict)  # of to_pixels
    said: str = ""  # the line that normalize prints
    name: str = "photo"  # which has no suffix, unless the suffix matters
    taken: bool = True  # by the download stage

    @property
    def line(self) -> str:
        return f"| {self.file} | {self.becomes} |"


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def picture(size: tuple[int, int] = (32, 32)) -> Image.Image:
    """Red, with blue in the lower right corner."""
    image = Image.new("RGB", size, RED)
    image.paste(BLUE, (size[0] // 2, size[1] // 2, *size))
    return image


def file(kind: str, **options: Any) -> Callable[[], bytes]:
    return lambda: encoded(picture(), kind, **options)


def in_mode(mode: str, kind: str, **options: Any) -> Callable[[], bytes]:
    return lambda: encoded(picture().convert(mode), kind, **options)


def frames(kind: str, **options: Any) -> Callable[[], bytes]:
    blue = Image.new("RGB", (32, 32), BLUE)
    return lambda: encoded(picture(), kind, save_all=True, append_images=[blue], **options)


def turned(kind: str) -> Callable[[], bytes]:
    """Upside down as stored, so that red is above again when it is turned."""

    def content() -> bytes:
        exif = Image.Exif()
        exif[0x0112] = 3
        image = Image.new("RGB", (32, 32), BLUE)
        image.paste(RED, (0, 16, 32, 32))
        return encoded(image, kind, exif=exif)

    return content


def clear(kind: str, mode: str = "RGBA", **options: Any) -> Callable[[], bytes]:
    return lambda: encoded(Image.new(mode, (32, 32)), kind, **options)


def flat(value: float, dtype: Any, kind: str) -> Callable[[], bytes]:
    return lambda: encoded(Image.fromarray(np.full((32, 32), value, dtype)), kind)


def heic() -> bytes:
    from pillow_heif import register_heif_opener

    register_heif_opener()
    return encoded(picture((64, 64)), "HEIF", quality=-1)


def cut(kind: str) -> Callable[[], bytes]:
    """A file of noise whose last part is missing; it begins with red."""

    def content() -> bytes:
        noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
        noise[:96] = RED
        whole = encoded(Image.fromarray(noise), kind)
        return whole[: len(whole) * 2 // 3]

    return content


ROWS = [
    Row("JPEG, under any suffix or none", "its pixels", file("JPEG", quality=100), RED),
    Row(
        "JPEG, PNG, TIFF, WebP or AVIF with an EXIF orientation",
        "upright, as a camera shows it",
        turned("JPEG"),
        RED,
    ),
    Row(
        "JPEG or TIFF in CMYK",
        "red, green and blue by the plain formula: colour profiles are not applied",
        in_mode("CMYK", "JPEG", quality=100),
        RED,
    ),
    Row(
        "JPEG with several pictures (MPO), as of a phone",
        "the first one; their number is printed",
        frames("MPO", quality=100),
        RED,
        said="1 MPO files have several pages or frames: the first is taken",
    ),
    Row("grey, with `channels: 3`", "three equal channels", flat(90, np.uint8, "PNG"), (90,) * 3),
    Row("PNG", "its pixels", file("PNG"), RED),
    Row("PNG or GIF with a palette", "the colours of the palette", in_mode("P", "PNG"), RED),
    Row(
        "transparent pixels, of any format",
        "white, or the colour of `normalize.transparency`; half-transparent ones are blended",
        clear("PNG"),
        (128, 144, 160),
        {"transparency": "#8090a0"},
    ),
    Row(
        "a palette with a transparent colour",
        "the same",
        clear("GIF", "P", transparency=0),
        (255, 255, 255),
    ),
    Row(
        "PNG, TIFF or PGM of 16 bits, grey",
        "0 to 65535 as 0 to 255, or the dataset's `value_range`; their number is printed",
        flat(32768, np.uint16, "PNG"),
        (128,) * 3,
        said="scaled 1 images of 16 bits from [0, 65535] to [0, 255]",
    ),
    Row(
        "PNG or TIFF of 16 bits in each of several channels",
        "the high 8 bits; `value_range` is refused",
        lambda: base64.b64decode(COLOURS_OF_16_BITS),
        (128,) * 3,
        said="scaled 1 images of 16 bits per channel from [0, 65535] to [0, 255]",
    ),
    Row(
        "APNG",
        "the first frame; their number is printed",
        frames("PNG"),
        RED,
        said="1 PNG files have several pages or frames: the first is taken",
    ),
    Row(
        "GIF",
        "the first frame; the number of animated ones is printed",
        frames("GIF"),
        RED,
        said="1 GIF files have several pages or frames: the first is taken",
    ),
    Row("WebP", "its pixels", file("WEBP", lossless=True), RED),
    Row(
        "WebP, animated",
        "the first frame; their number is printed",
        frames("WEBP", lossless=True),
        RED,
        said="1 WEBP files have several pages or frames: the first is taken",
    ),
    Row("TIFF", "its pixels", file("TIFF"), RED),
    Row(
        "TIFF of several pages",
        "the first page; their number is printed",
        frames("TIFF"),
        RED,
        said="1 TIFF files have several pages or frames: the first is taken",
    ),
    Row(
        "TIFF of floats, or of 32 bits, with `value_range`",
        "`value_range` as 0 to 255; their number is printed",
        flat(0.5, np.float32, "TIFF"),
        (128,) * 3,
        {"value_range": (0, 1)},
        said="scaled 1 images of float32 from [0, 1] to [0, 255]",
    ),
    Row(
        "TIFF of floats, or of 32 bits, without it",
        "refused, in a line that says their values",
        flat(0.5, np.float32, "TIFF"),
        "its values are float32, here from 0.5 to 0.5, and their range is not known: declare "
        "value_range",
    ),
    Row("BMP", "its pixels", file("BMP"), RED),
    Row("PPM, PGM or PBM, by its suffix", "its pixels", file("PPM"), RED, name="photo.ppm"),
    Row("AVIF", "its pixels", file("AVIF", quality=100, subsampling="4:4:4"), RED),
    Row("HEIC, with the package `pillow-heif`", "its pixels, upright", heic, RED),
    Row(
        "a truncated file",
        "refused: see `normalize.undecodable`",
        cut("JPEG"),
        r"image file is truncated \(\d+ bytes not processed\)",
    ),
    Row(
        "a truncated file, with `normalize: {truncated: load}`",
        "what there is of it, the rest grey, black or transparent; their number is a warning",
        cut("JPEG"),
        RED,
        {"truncated": "load"},
        said="1 images are truncated or damaged, and loaded as far as they go (truncated: load); "
        "truncated: refuse names them",
    ),
    Row(
        "no image, under the suffix of one",
        "refused: see `normalize.undecodable`",
        lambda: b"<html>404 Not Found</html>",
        "it is not a JPEG, PNG, WebP, GIF, TIFF, BMP, PPM, AVIF or HEIC image",
        name="photo.jpg",
    ),
    Row(
        "more than 100 million pixels",
        "refused, before it is decoded: see `normalize.undecodable`",
        lambda: encoded(Image.new("1", (20_000, 6_000)), "PNG"),
        "20000 x 6000 pixels are more than 100,000,000",
    ),
    Row(
        "a camera's raw file, SVG, PDF, JPEG 2000, a video",
        "passed over by `download`, which names it; convert it to JPEG",
        lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "it is not a JPEG, PNG, WebP, GIF, TIFF, BMP, PPM, AVIF or HEIC image",
        name="drawing.svg",
        taken=False,
    ),
]
named = pytest.mark.parametrize("row", ROWS, ids=[row.file for row in ROWS])


@named
def test_it_becomes_what_its_row_says(row: Row) -> None:
    def decode(counts: RangeCounts | None = None) -> np.ndarray:
        options: dict[str, Any] = {"size": 32, "channels": 3, "fit": "crop"} | row.options
        return to_pixels(row.content(), counts=counts, **options)

    if isinstance(row.expected, str):
        with pytest.raises(ImageError, match=f"^{row.expected}$"):
            decode()
        return
    counts = RangeCounts()
    pixels = decode(counts)
    difference = np.abs(pixels[2, 2].astype(int) - row.expected).max()
    assert difference <= 3, pixels[2, 2]
    np.testing.assert_array_equal(pixels, decode())
    lines = [*counts.in_part(), *counts.scaled(), *counts.warnings()]
    assert lines == ([row.said] if row.said else [])


@named
def test_download_takes_it_by_its_name_or_its_content(row: Row, tmp_path: Path) -> None:
    (tmp_path / row.name).write_bytes(row.content())
    (tmp_path / "other.jpg").touch()
    found = survey(tmp_path, "photos", max_bytes=10**8, max_files=9)
    assert (row.name in found.images) == row.taken


def test_the_document_has_these_rows() -> None:
    lines = DOCUMENT.read_text("utf-8").splitlines()
    start = lines.index("| file | becomes |")
    table = [line for line in lines[start + 2 :] if line.startswith("|")]
    assert table == [row.line for row in ROWS]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
def test_the_orientation_of_each_format_is_applied(kind: str) -> None:
    pixels = to_pixels(turned(kind)(), size=32, channels=3, fit="crop")
    assert np.abs(pixels[2, 2].astype(int) - RED).max() < 20


@pytest.mark.parametrize("suffix", ["heic", "HEIF", "avif", "apng", "mpo", "pgm"])
def test_a_suffix_of_an_image(suffix: str) -> None:
    assert is_image_file(Path(f"a.{suffix}"))


def test_a_heic_photo_under_any_suffix() -> None:
    content = heic()
    assert begins_like_an_image(content[:64])
    assert is_image_content(content)
    film = b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + bytes(40)
    assert not is_image_content(film)
    with pytest.raises(ImageError, match="it is not a JPEG, PNG"):
        to_pixels(film, size=8, channels=3, fit="crop")


@pytest.mark.fault("an EPS or an icon under the suffix of an image", "refused, not decoded")
@pytest.mark.parametrize("kind", ["EPS", "ICO", "TGA"])
def test_no_other_format_is_decoded(kind: str) -> None:
    with pytest.raises(ImageError, match="it is not a JPEG, PNG"):
        to_pixels(encoded(Image.new("RGB", (16, 16)), kind), size=8, channels=3, fit="crop")


@pytest.fixture
def heic_without_package(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A HEIC photo, and pillow-heif as if it were not installed, though Pillow may know it."""
    content = heic()
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    monkeypatch.setattr(Image, "ID", [name for name in Image.ID if name != "HEIF"])
    return content


@pytest.mark.fault("a HEIC photo without its package", "one line, before anything is written")
@pytest.mark.parametrize("name", ["a.heic", "a", "b.zip"])
def test_a_heic_photo_needs_its_package(
    tmp_path: Path, name: str, heic_without_package: bytes
) -> None:
    path = tmp_path / name
    if name == "b.zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.jpg", heic_without_package)
    else:
        path.write_bytes(heic_without_package)
    with pytest.raises(
        LayoutError, match=r"^photos: a\S* is a HEIC photo, which needs the package"
    ):
        survey(path if name == "b.zip" else tmp_path, "photos", max_bytes=10**6, max_files=9)
    with pytest.raises(ImageError, match=r"^a HEIC photo needs the package pillow-heif: pip inst"):
        to_pixels(heic_without_package, size=8, channels=3, fit="crop")


def test_other_threads_refuse_truncated_images() -> None:
    content = cut("PNG")()
    loading, refused = Event(), Event()

    def load() -> None:
        with truncated_loaded():
            loading.set()
            assert refused.wait(10)
            to_pixels(content, size=8, channels=3, fit="crop")

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(load)
        assert loading.wait(10)
        with pytest.raises(ImageError):
            to_pixels(content, size=8, channels=3, fit="crop")
        refused.set()
        future.result(10)
