"""Hostile bytes: each reader returns a result or raises its own error of one line."""

import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image
from pillow_heif import register_heif_opener

from classifier.formats.archive import ArchiveError, read_files
from classifier.formats.npz import ArraysError, read_npz, read_pickle, write_npz
from classifier.formats.tables import TableError, read_table
from classifier.images.pixels import ImageError, Truncated, to_pixels
from classifier.layouts.survey import survey
from classifier.support.errors import InputError

FUZZED = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def contents(path: Path, **limits: int) -> dict[str, bytes | None]:
    return {file.name: file.read() for file in read_files(path, **limits)}


IMAGE = Image.effect_noise((40, 30), 90)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def tar() -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name in ("a/1.png", "b/2.png"):
            entry = tarfile.TarInfo(name)
            entry.size = 300
            archive.addfile(entry, io.BytesIO(bytes(range(100)) * 3))
    return content.getvalue()


def packed(compression: int) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as archive:
        for name in ("a/1.png", "b/2.png"):
            archive.writestr(name, bytes(range(100)) * 3)
    return content.getvalue()


def arrays() -> bytes:
    content = io.BytesIO()
    images = np.arange(32, dtype=np.uint8).reshape(2, 4, 4)
    labels = np.zeros(2, np.uint8)
    np.savez(content, x_train=images, y_train=labels, x_test=images, y_test=labels)
    return content.getvalue()


register_heif_opener()
KINDS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "HEIF")
IMAGES = {kind: encoded(IMAGE, kind) for kind in KINDS}
ARCHIVES = {
    "tar": tar(),
    "stored zip": packed(zipfile.ZIP_STORED),
    "deflated zip": packed(zipfile.ZIP_DEFLATED),
    "bzip2 zip": packed(zipfile.ZIP_BZIP2),
}


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """The bytes with some of them changed, cut off or repeated."""
    content = bytearray(whole)
    for place, value in draw(
        st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)), max_size=8)
    ):
        content[place] = value
    start = draw(st.integers(0, len(content)))
    end = draw(st.integers(start, len(content)))
    return bytes(draw(st.sampled_from([content, content[start:], content[:end], content * 2])))


def succeeds_or_raises(read: Callable[[], object], error: type[Exception]) -> None:
    """``read`` has no other error than ``error``, and its message is one line."""
    try:
        read()
    except error as raised:
        assert str(raised)
        assert "\n" not in str(raised)


@pytest.mark.fault("damaged image (fuzzed)", "pixels or one line")
@pytest.mark.parametrize("truncated", ["refuse", "load"])
@pytest.mark.parametrize("kind", IMAGES)
@FUZZED
@given(data=st.data())
def test_a_damaged_image(kind: str, truncated: Truncated, data: st.DataObject) -> None:
    content = data.draw(damaged(IMAGES[kind]))

    def read() -> None:
        pixels = to_pixels(content, size=8, channels=3, fit="crop", truncated=truncated)
        assert (pixels.shape, pixels.dtype) == ((8, 8, 3), np.uint8)

    succeeds_or_raises(read, ImageError)


@pytest.mark.fault("any bytes for an image (fuzzed)", "pixels or one line")
@FUZZED
@given(content=st.binary(max_size=300))
@example(b"P6 99999 99999 255\n")
@example(b"GIF89a\xff\xff\xff\xff")
def test_any_bytes_as_an_image(content: bytes) -> None:
    succeeds_or_raises(lambda: to_pixels(content, size=8, channels=1, fit="pad"), ImageError)


@pytest.mark.fault("damaged archive (fuzzed)", "images or one line, no file written")
@pytest.mark.parametrize("kind", ARCHIVES)
@FUZZED
@given(data=st.data())
def test_a_damaged_archive(tmp_path: Path, kind: str, data: st.DataObject) -> None:
    path = tmp_path / "archive"
    path.write_bytes(data.draw(damaged(ARCHIVES[kind])))
    succeeds_or_raises(lambda: contents(path, max_bytes=10_000, max_files=10), ArchiveError)
    succeeds_or_raises(lambda: survey(path, "any", max_bytes=10_000, max_files=10), InputError)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.fault("any bytes for a table of labels (fuzzed)", "rows or one line")
@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
@FUZZED
@given(content=st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_bytes_as_a_table(suffix: str, content: bytes) -> None:
    succeeds_or_raises(lambda: read_table(f"a.{suffix}", content), TableError)


@pytest.mark.fault("damaged arrays (fuzzed)", "arrays or one line")
@FUZZED
@given(data=st.data())
def test_damaged_arrays(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "arrays.npz"
    path.write_bytes(data.draw(damaged(arrays())))
    succeeds_or_raises(lambda: read_npz(path, max_bytes=10**9), ArraysError)


@pytest.mark.fault("arrays that unpack to too much", "one line before they unpack")
@pytest.mark.parametrize("read", [read_npz, read_pickle])
def test_arrays_are_bounded(tmp_path: Path, read: Callable[..., object]) -> None:
    path = tmp_path / "arrays"
    path.write_bytes(arrays() if read is read_npz else gzip.compress(bytes(501)))
    with pytest.raises(ArraysError, match="unpacks to more than max_bytes 500"):
        read(path, max_bytes=500)


def animated() -> bytes:
    frames = [Image.new("L", (9, 9), shade) for shade in (0, 255)]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])


HOSTILE = {
    "of one pixel": encoded(Image.new("RGB", (1, 1), "red"), "PNG"),
    "animated": animated(),
    "CMYK": encoded(Image.new("CMYK", (9, 9)), "JPEG"),
    "of 16 bits": encoded(Image.fromarray(np.full((9, 9), 60_000, np.uint16)), "PNG"),
    "with transparent palette": encoded(Image.new("P", (9, 9)), "GIF", transparency=0),
    "very wide": encoded(Image.new("L", (20_000, 1)), "PNG"),
}


@pytest.mark.fault("image", "pixels")
@pytest.mark.parametrize("kind", HOSTILE)
def test_an_unusual_image_becomes_pixels(kind: str) -> None:
    pixels = to_pixels(HOSTILE[kind], size=8, channels=3, fit="crop")
    assert (pixels.shape, pixels.dtype) == ((8, 8, 3), np.uint8)


@pytest.mark.fault("image bomb", "one line before it is decoded")
def test_an_image_bomb_is_refused_before_decoding() -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    # A PNG of 30,000 x 30,000 black pixels, one bit each.
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 1, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(30_000 * (1 + 30_000 // 8)))
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels)
    bomb += chunk(b"IEND", b"")
    assert len(bomb) < 200_000
    with pytest.raises(ImageError, match="900000000 pixels"):
        to_pixels(bomb, size=8, channels=1, fit="crop")


def write_zip(path: Path, names: list[str], content: bytes = b"x") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name), content)
    return path


@pytest.mark.fault("zip bomb", "one line before it unpacks")
def test_a_zip_bomb_is_refused_before_it_unpacks(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/b.png", bytes(50_000_000))
    assert path.stat().st_size < 100_000
    with pytest.raises(ArchiveError, match="unpacks to more than max_bytes 1,000,000"):
        contents(path, max_bytes=1_000_000, max_files=10)


@pytest.mark.fault("zip that lies about a size", "one line")
def test_a_zip_that_lies_about_a_size_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", ["a/b.png"], bytes(5000))
    content = path.read_bytes()
    path.write_bytes(content.replace((5000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    with pytest.raises(ArchiveError):
        contents(path, max_bytes=1_000_000, max_files=10)


@pytest.mark.fault("zip with an empty name", "one line")
def test_an_empty_name_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", ["a/b.png"])
    path.write_bytes(path.read_bytes().replace(b"a/b.png", b"\0/b.png"))
    with pytest.raises(ArchiveError, match=r"a\.zip: "):
        contents(path, max_bytes=10_000, max_files=10)


@pytest.mark.fault("encrypted zip", "one line")
def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", ["a/b.png"])
    content = bytearray(path.read_bytes())
    content[6] |= 1  # the flag in the header of the file
    content[content.index(b"PK\x01\x02") + 8] |= 1  # the flag in the central directory
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match="encrypted"):
        contents(path, max_bytes=10_000, max_files=10)


@pytest.mark.fault("unusual name in an archive", "only a name: no file is written")
@pytest.mark.parametrize("name", ["a/b\u202egnp.png", "ä/日本.png", "a/" + "n" * 300 + ".png"])
def test_an_unusual_name_is_only_a_name(tmp_path: Path, name: str) -> None:
    path = write_zip(tmp_path / "a.zip", [name])
    assert list(contents(path, max_bytes=10_000, max_files=10)) == [name]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.slow
@pytest.mark.fault("100,000 entries", "refused by their number, or read")
def test_a_hundred_thousand_entries_are_refused_by_their_number(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", [f"a/{number}.png" for number in range(100_000)])
    with pytest.raises(ArchiveError, match="more than max_files 50,000 files"):
        contents(path, max_bytes=10**9, max_files=50_000)
    assert len(contents(path, max_bytes=10**9, max_files=100_000)) == 100_000


def test_written_arrays_come_back(tmp_path: Path) -> None:
    (tmp_path / "raw.npz").write_bytes(arrays())
    written = read_npz(tmp_path / "raw.npz", max_bytes=10**9)
    write_npz(tmp_path / "again.npz", written)
    for name, array in read_npz(tmp_path / "again.npz", max_bytes=10**9).items():
        np.testing.assert_array_equal(array, written[name])
