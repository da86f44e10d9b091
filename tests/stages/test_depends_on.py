"""depends_on: the path that a stage reads and dvc.yaml does not name by itself."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from classifier.sources.source import Source
from stages.depends_on import (
    base_file,
    continuable,
    continued_file,
    covers,
    first_folder,
    known_to_dvc,
    local_photos,
    taught_by,
)

Run = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ({"base": "digits"}, "models/digits/model.keras"),
        ({"base": "models/old/model.keras"}, "models/old/model.keras"),
        ({"base": "~/old.keras"}, f"{Path.home()}/old.keras"),
        ({"base": "no_such_pipeline"}, None),
        ({"base": "models:/digits/3"}, None),
        ({"base": 5}, None),
        ({}, None),
    ],
)
def test_the_local_file_of_a_base(model: dict[str, Any], expected: str | None) -> None:
    assert base_file(model, {"digits", "flowers"}) == expected


def test_what_a_training_can_go_on_from() -> None:
    hashed = "0123456789abcdef" * 2
    for source in ("last", hashed, f"runs:/{hashed}", f"md5:{hashed}", "models:/a/3", "a/b.keras"):
        assert continuable(source) == source
    for source in ("latest", "md5:1", hashed[1:], "digits", "old.h5", "s3://a/b.keras"):
        with pytest.raises(ValueError, match="must be last, the id of an MLflow run, models:/"):
            continuable(source)
    assert continued_file("~/old.keras") == f"{Path.home()}/old.keras"
    assert continued_file("models:/a/3") is continued_file("last") is continued_file(None) is None


def test_the_local_path_of_a_teacher() -> None:
    assert taught_by({"source": "digits"}, {"digits"}) == "models/digits/model.keras"
    assert taught_by({"source": "exports/old"}, {"digits"}) == "exports/old"
    assert taught_by({"source": "models:/digits/3"}, {"digits"}) is None
    assert taught_by({"source": None}, ()) is taught_by({}, ()) is None


def test_a_dataset_of_a_folder_that_exists(tmp_path: Path) -> None:
    folder = Source(kind="folder", path=str(tmp_path))
    url = Source(kind="url", url="http://127.0.0.1:9/a.tar")
    assert first_folder([folder, url], "auto") == str(tmp_path)
    assert first_folder([url, folder], "folder") == str(tmp_path)
    # Another source may be the one that has the file.
    assert first_folder([url, folder], "auto") is None
    assert first_folder([Source(kind="folder", path="/nowhere"), url], "auto") is None
    assert first_folder([Source(kind="folder")], "auto") is None
    assert first_folder([], "auto") is None


def test_the_folder_of_merged_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = tmp_path / "photos"
    for part in ("munich/cats", "lyon/cats", ".hidden"):
        (photos / part).mkdir(parents=True)

    def merged(**paths: Path | str) -> list[Source]:
        parts = {name: Source(kind="folder", path=str(path)) for name, path in paths.items()}
        parts["bucket"] = Source(kind="bucket", url="s3://own/photos")
        return [Source(kind="merged", parts=parts)]

    both = merged(munich=photos / "munich", lyon=photos / "lyon")
    assert local_photos(both, "auto") == str(photos)
    assert local_photos(both, "merged") == str(photos)
    assert local_photos(merged(munich=photos / "munich"), "auto") == str(photos / "munich")
    assert local_photos(merged(), "auto") is None
    assert local_photos(merged(all=photos, lyon=photos / "lyon"), "auto") == str(photos)
    (photos / "others").mkdir()  # which DVC would look after, too
    assert local_photos(both, "auto") is None
    assert local_photos([Source(kind="folder", path=str(photos))], "auto") == str(photos)
    (photos / "others").rmdir()
    monkeypatch.chdir(tmp_path)
    parts = merged(munich="photos/munich", lyon="photos/lyon")
    assert local_photos(parts, "auto") == "photos"


def test_a_relative_folder_in_the_copy_of_a_queued_experiment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main, copy = tmp_path / "main", tmp_path / "main" / ".dvc" / "tmp" / "exps" / "copy"
    copy.mkdir(parents=True)
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(copy)
    monkeypatch.setenv("DVC_ROOT", str(main))
    outside, tracked = Source(kind="folder", path="../photos"), Source(kind="folder", path="mine")
    found = first_folder([outside], "auto")
    assert found is not None
    assert Path(found).samefile(tmp_path / "photos")
    assert covers(str(tmp_path / "photos"), found)
    for folder in (main, copy):  # what the copy has is the experiment's
        (folder / "mine").mkdir()
    assert first_folder([tracked], "auto") == "mine"


def test_a_folder_covers_what_is_in_it(project: Path) -> None:
    assert covers("models", "models/tiny/model.keras")
    assert covers("models/tiny/model.keras", str(project / "models" / "tiny" / "model.keras"))
    assert not covers("models/tin", "models/tiny/model.keras")
    assert not covers("conf/train.yaml", "models/tiny/model.keras")


def test_a_home_folder_is_written_out() -> None:
    with pytest.raises(ValueError, match=re.escape(f"write {Path.home()}/photos")):
        known_to_dvc("~/photos")
    with pytest.raises(ValueError, match="must be a path"):
        known_to_dvc("")
    assert known_to_dvc("../photos") == "../photos"


def test_a_folder_that_dvc_does_not_look_after_is_named(run_stage: Run, project: Path) -> None:
    status, _, output = run_stage("download", "pipeline=tiny")
    assert (status, "DVC does not look after" in output) == (0, False)
    status, _, output = run_stage("download", "pipeline=tiny", "depends_on=conf/download.yaml")
    photos = project.parent / "project-photos"
    assert status == 0
    assert (
        f"DVC does not look after {photos}, which download reads: in params.yaml, set "
        f"pipelines.tiny.download.depends_on to {photos} (now conf/download.yaml)" in output
    )


def test_a_home_folder_stops_the_stage(run_stage: Run, project: Path) -> None:
    status, error, _ = run_stage("download", "pipeline=tiny", "depends_on='~/photos'")
    assert (status, error.count("\n")) == (1, 1)
    assert f"depends_on is '~/photos': DVC does not know '~': write {Path.home()}/photos" in error
    assert not (project / "data").exists()
