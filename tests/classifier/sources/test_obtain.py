"""Sources: the first one that has the verified file is used; each failure is one line."""

import gzip
import pickle
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from classifier.formats.archive import pack_folder
from classifier.sources import obtain as module
from classifier.sources.dataset import Dataset, Format
from classifier.sources.fetch import Access
from classifier.sources.obtain import index_in_place, obtain
from classifier.sources.source import Source
from classifier.support.checksum import sha256_of
from classifier.support.errors import InputError
from conftest import write_photos

STATES = ["good", "missing", "cut off", "changed", "no hash", "a class short"]


def dataset(sources: list[Source], *, format: Format = "folders", **options: Any) -> Dataset:
    return Dataset(
        name="any",
        format=format,
        file="a.tar",
        sources=sources,
        max_bytes=10**9,
        max_files=1000,
        **options,
    )


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """An archive of three classes, and one without images of the class red."""
    folder = tmp_path_factory.mktemp("photos")
    photos = write_photos(folder / "photos", per_class=1)
    pack_folder(photos, folder / "whole.tar")
    for image in (photos / "red").iterdir():
        image.unlink()
    pack_folder(photos, folder / "short.tar")
    return (folder / "whole.tar").read_bytes(), (folder / "short.tar").read_bytes()


def prepare(mirror: Path, states: list[str], archives: tuple[bytes, bytes]) -> list[Source]:
    """Writes one file per state into the mirror, and returns their sources."""
    sources = []
    for number, state in enumerate(states):
        file = mirror / f"{number}.tar"
        content = archives[state == "a class short"]
        file.write_bytes(content)
        sha256 = None if state == "no hash" else sha256_of(file)
        sources.append(Source(kind="mirror", path=file.name, sha256=sha256))
        if state == "missing":
            file.unlink()
        elif state == "cut off":
            file.write_bytes(content[: len(content) // 2])
        elif state == "changed":
            file.write_bytes(content[:-1] + b"!")
    return sources


@pytest.mark.fault("any mix of sources (property)", "the first good one, or a line for each")
@settings(max_examples=40, deadline=None)
@given(states=st.lists(st.sampled_from(STATES), min_size=1, max_size=4))
@example(states=STATES[1:])
def test_the_first_good_source_is_used(archives: tuple[bytes, bytes], states: list[str]) -> None:
    with TemporaryDirectory() as temporary:
        mirror, data = Path(temporary, "mirror"), Path(temporary, "data")
        mirror.mkdir()
        data.mkdir()
        sources = prepare(mirror, states, archives)
        photos = dataset(sources, classes=["blue", "green", "red"])
        access = Access(mirror, data)
        if "good" in states:
            used = obtain(photos, "auto", data / "a.tar", access)
            assert used is sources[states.index("good")]
            assert sha256_of(data / "a.tar") == used.sha256
            assert sorted(data.iterdir()) == [data / "a.tar", data / "contents.csv"]
        else:
            with pytest.raises(InputError) as raised:
                obtain(photos, "auto", data / "a.tar", access)
            lines = str(raised.value).splitlines()
            assert len(lines) == len(states) + 2
            assert all(line.startswith("  mirror: ") for line in lines[1:-1])
            assert list(data.iterdir()) == []


@pytest.mark.fault("a pickle without a known hash", "refused, not unpickled")
def test_a_pickle_without_its_hash_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pkl.gz").write_bytes(gzip.compress(pickle.dumps(1)))
    arrays = dataset([Source(kind="folder", path=str(tmp_path / "a.pkl.gz"))], format="npz")
    with pytest.raises(InputError, match=r"a\.pkl\.gz is a pickle, which is only read if its hash"):
        obtain(arrays, "auto", tmp_path / "a.npz", Access(None, tmp_path))


@pytest.mark.fault("a folder that is not in classes", "left out, in one line with its number")
def test_images_of_other_folders_are_left_out_in_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    photos = write_photos(tmp_path / "photos", per_class=2)
    chosen = dataset([Source(kind="folder", path=str(photos))], classes=["blue", "red"])
    obtain(chosen, "auto", tmp_path / "a.tar", Access(None, tmp_path))
    expected = "any: left out 2 images of classes that are not in classes: green"
    assert expected in caplog.messages


def test_what_each_file_is_stands_beside_the_archive(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "photos.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for name in ("LICENSE.txt", "a/1.jpg", "a/._1.jpg", "b/2.jpg", "__MACOSX/b/._2.jpg"):
            archive.writestr(name, "")
    caplog.set_level("INFO")
    photos = dataset([Source(kind="folder", path=str(file))])
    obtain(photos, "auto", tmp_path / "a.tar", Access(None, tmp_path))
    assert caplog.messages[1:] == [
        "any: layout classes",
        "any: images 2: a 1, b 1",
        "any: passed over 2 (hidden): __MACOSX/b/._2.jpg, a/._1.jpg",
        "any: passed over 1 (no image): LICENSE.txt",
        "any: more than 5 % of the files are passed over: see contents.csv",
    ]
    assert (tmp_path / "contents.csv").read_text() == (
        "file,id,class,split,group,passed_over\n"
        "LICENSE.txt,,,,,no image\n"
        "__MACOSX/b/._2.jpg,,,,,hidden\n"
        "a/._1.jpg,,,,,hidden\n"
        "a/1.jpg,a/1.jpg,a,,,\n"
        "b/2.jpg,b/2.jpg,b,,,\n"
    )


@pytest.mark.fault("a folder of photos where a file is needed", "one line")
def test_a_folder_is_no_file_of_arrays(tmp_path: Path) -> None:
    arrays = dataset([Source(kind="folder", path=str(tmp_path))], format="npz")
    with pytest.raises(InputError, match="is a folder: name a file"):
        obtain(arrays, "auto", tmp_path / "a.npz", Access(None, tmp_path))


@pytest.mark.fault("a photo that changes while it is packed", "one line")
@pytest.mark.parametrize("change", ["longer", "shorter", "gone", "other bytes"])
@pytest.mark.parametrize("how", ["copy", "in place", "merged"])
def test_a_photo_that_changes_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, change: str
) -> None:
    photos = write_photos(tmp_path / "photos", per_class=2)
    photo = photos / "green" / "001.png"
    content = photo.read_bytes()

    def change_it() -> None:
        if change == "gone":
            photo.unlink()
        else:
            end = {"longer": content + b"1", "shorter": content[:-9], "other bytes": b"1"}[change]
            photo.write_bytes(end)

    name = {"copy": "pack_folder", "in place": "write_index", "merged": "pack_parts"}[how]
    original = getattr(module, name)

    def reading(*arguments: Any) -> None:
        if change != "other bytes":  # else it has been read already
            change_it()
        original(*arguments)
        if change == "other bytes":
            change_it()

    monkeypatch.setattr(module, name, reading)
    source = Source(kind="folder", path=str(photos))
    if how == "merged":
        source = Source(kind="merged", parts={"a": source})
    wanted = Dataset(
        name="any",
        format="folders",
        file="a.tar",
        sources=[source],
        max_bytes=10**6,
        max_files=100,
    )
    place = index_in_place if how == "in place" else obtain
    target = tmp_path / "data" / "a.tar"
    target.parent.mkdir()
    with pytest.raises(InputError, match="1 files have changed while they were read") as raised:
        place(wanted, "auto", target, Access(None, tmp_path))
    assert "photos: 1 files" in str(raised.value)
    assert "(green/001.png): run it again when nothing writes there" in str(raised.value)
