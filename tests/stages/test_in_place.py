"""Photos that are read where they are: no copy, the same outputs, and every change is noticed."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import command, commit_all, png, write_project

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def photos(project: Path) -> Path:
    """The folder of the tiny project's photos, which are read in place."""
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("download: {", "download: {in_place: true, "))
    return project.parent / "project-photos"


def outputs(*stages: str) -> dict[str, bytes]:
    places = {"split": Path("data/split"), "normalize": Path("data/normalized/tiny")}
    files = (file for stage in stages for file in places[stage].rglob("*") if file.is_file())
    return {file.as_posix(): file.read_bytes() for file in files}


def test_the_outputs_are_those_of_a_copy(run_stage: Run, photos: Path) -> None:
    assert run_stage("download", "pipeline=tiny", "in_place=false")[0] == 0
    tar = Path("data/raw/tiny/tiny.tar")
    copied = Path("data/raw/tiny/contents.csv").read_bytes()
    for name in ("split", "normalize"):
        assert run_stage(name, "pipeline=tiny")[0] == 0
    expected = outputs("split", "normalize")

    status, error, output = run_stage("download", "pipeline=tiny")
    assert status == 0, error
    assert f"tiny: no copy is kept: later stages read the photos in {photos}\n" in output
    assert not tar.exists()
    assert Path("data/raw/tiny/contents.csv").read_bytes() == copied
    source = json.loads(Path("data/raw/tiny/source.json").read_text())
    assert source["file"] == "in_place.csv"
    with Path("data/raw/tiny/in_place.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 45
    assert {row["path"] for row in rows} == {str(path) for path in photos.rglob("*.png")}
    for name in ("split", "normalize"):
        assert run_stage(name, "pipeline=tiny")[0] == 0
    assert outputs("split", "normalize") == expected


@pytest.mark.fault("a photo in place that changed since download, or is gone", "one line")
@pytest.mark.parametrize("stage", ["split", "normalize"])
@pytest.mark.parametrize("change", ["changed", "changed at the same size", "missing"])
def test_a_photo_that_changes_is_one_line(
    run_stage: Run, photos: Path, stage: str, change: str
) -> None:
    assert run_stage("download", "pipeline=tiny")[0] == 0
    assert run_stage("split", "pipeline=tiny")[0] == 0
    before = outputs("split")
    photo = photos / "red" / "003.png"
    content = photo.read_bytes()
    if change == "missing":
        photo.unlink()
    else:
        photo.write_bytes(content[:-1] + b"\0" if "same size" in change else png((1, 2, 3), 4))
    status, error, _ = run_stage(stage, "pipeline=tiny")
    assert (status, error.count("\n")) == (1, 1)
    what = "is missing" if change == "missing" else "has changed since download"
    assert f"{photo} {what}: it is read in place: 'dvc repro' lists the photos again" in error
    assert outputs("split") == before
    assert not Path("data/normalized/tiny").exists()


BAD = {
    "an archive": ("{kind: folder, path: PHOTOS.tar}", "PHOTOS.tar is a file"),
    "a URL": ("{kind: url, url: 'http://127.0.0.1:9/a.tar', sha256: '00'}", "a.tar is a url"),
    "a mirror": ("{kind: mirror, path: a.tar, sha256: '00'}", "a.tar is a mirror"),
    "a folder, else a URL": (
        "{kind: folder, path: PHOTOS}\n  - {kind: url, url: 'http://127.0.0.1:9/a.tar'}",
        "a.tar is a url",
    ),
}


@pytest.mark.fault("in_place for what is no local folder", "one line, nothing fetched")
@pytest.mark.parametrize("name", BAD)
def test_what_is_no_local_folder_is_refused(
    run_stage: Run, project: Path, photos: Path, name: str
) -> None:
    shutil.make_archive(f"{photos}", "tar", photos)
    source, expected = (text.replace("PHOTOS", str(photos)) for text in BAD[name])
    (project / "conf" / "dataset" / "tiny.yaml").write_text(
        f"name: tiny\nformat: folders\nfile: tiny.tar\nsources:\n  - {source}\n"
    )
    status, error, _ = run_stage("download", "pipeline=tiny", f"depends_on={photos.parent}")
    assert (status, error.count("\n")) == (1, 1)
    assert "in_place is for a local folder of photos, and " in error
    assert f"{expected}: set in_place: false, or name a folder alone" in error
    assert not Path("data/raw/tiny").exists()


def test_arrays_are_refused(run_stage: Run, project: Path, photos: Path) -> None:
    (project / "conf" / "dataset" / "tiny.yaml").write_text(
        f"name: tiny\nformat: npz\nfile: tiny.npz\nsources:\n  - {{kind: folder, path: {photos}}}\n"
    )
    status, error, _ = run_stage("download", "pipeline=tiny")
    assert (status, error.count("\n")) == (1, 1)
    assert f"{photos} is a folder of npz arrays: set in_place: false" in error


@pytest.mark.fault("photos in place that DVC does not look after", "one line")
def test_a_folder_that_dvc_does_not_look_after_is_refused(run_stage: Run, photos: Path) -> None:
    status, error, _ = run_stage("download", "pipeline=tiny", "depends_on=conf/download.yaml")
    assert (status, error.count("\n")) == (1, 1)
    assert f"in_place needs DVC to look after {photos}: in params.yaml, set pipelines." in error
    assert not Path("data/raw/tiny").exists()


@pytest.mark.slow
def test_dvc_repro_notices_each_change_and_keeps_no_photo(tmp_path: Path) -> None:
    project = write_project(tmp_path / "project")
    photos = tmp_path / "project-photos"
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("download: {", "download: {in_place: true, "))
    commit_all(project)

    def repro() -> str:
        return command("dvc", "repro", "normalize@tiny", cwd=project).stdout

    assert "45 images of 16 x 16 pixels" in repro()
    sizes = {path.stat().st_size for path in photos.rglob("*.png")}
    kept = [path for path in (project / ".dvc" / "cache").rglob("*") if path.is_file()]
    assert len(kept) > 3
    photos_kept = [path for path in kept if path.read_bytes()[:4] == b"\x89PNG"]
    assert all(path.stat().st_size not in sizes for path in photos_kept)  # the grids alone
    assert "Data and pipelines are up to date" in repro()
    photo = photos / "red" / "000.png"
    photo.write_bytes(png((200, 40, 40), seed=77))
    assert "Running stage 'normalize@tiny'" in repro()
    photo.unlink()
    assert "44 images of 16 x 16 pixels" in repro()
    photo.write_bytes(png((200, 40, 40), seed=78))
    assert "45 images of 16 x 16 pixels" in repro()
