"""One command makes a pipeline of photos, whatever their layout, or says why not."""

import hashlib
import json
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore

from conftest import CLASSES, PYTHON, ROOT, command, commit_all, png, run_queue
from stages.configuration import validated
from stages.new import main
from stages.params import pipelines, read_params, write_params
from stages.schemas import SCHEMAS

NUMBERS = range(12)
New = Callable[..., tuple[int, str, str]]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the real configuration and params.yaml."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    shutil.copytree(ROOT / "conf", folder / "conf")
    shutil.copy(ROOT / "params.yaml", folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def new(checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> New:
    """Runs the command; gives its exit status, standard error and standard output."""

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["stages.new", *map(str, words)])
        capsys.readouterr()
        message: Any = None
        try:
            main()
        except SystemExit as end:
            message = end.code
        captured = capsys.readouterr()
        if isinstance(message, str):
            return 1, f"{message}\n", captured.out
        return message or 0, captured.err, captured.out

    return run


def write(folder: Path, names: Iterable[str], size: int = 20, grey: bool = False) -> Path:
    """A photo of each class for each name, with ``{}`` for the class."""
    for label, (class_name, colour) in enumerate(CLASSES.items()):
        for number, name in enumerate(names):
            path = folder / name.format(class_name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(colour, seed=1000 * label + number, size=size))
            if grey:
                from PIL import Image

                with Image.open(path) as image:
                    image.convert("L").save(path)
    return folder


def composed(name: str) -> dict[str, Any]:
    """The configurations of all stages, as the stages themselves would compose them."""
    configs: dict[str, Any] = {}
    for stage, section in pipelines()[name].items():
        section = dict(section)
        groups = section.pop("groups", {})
        ConfigStore.instance().store(name="params", node=section, package="_global_")
        overrides = [f"{group}={choice}" for group, choice in groups.items()]
        with initialize_config_dir(str(Path("conf").resolve()), version_base="1.3"):
            config = compose(stage, overrides=[*overrides, f"pipeline={name}"])
        configs[stage] = validated(SCHEMAS[stage], config)
    assert list(configs) == list(SCHEMAS)
    return configs


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


FOLDERS: dict[str, list[str]] = {
    "classes": [f"{{}}/{number}.png" for number in NUMBERS],
    "splits": [f"{s}/{{}}/{s}{n}.png" for s in ("train", "valid", "Test") for n in NUMBERS],
}


@pytest.mark.parametrize("packed", ["folder", "tar", "zip"])
@pytest.mark.parametrize("layout", FOLDERS)
def test_folders_and_archives_become_a_pipeline(
    new: New, tmp_path: Path, layout: str, packed: str
) -> None:
    before = Path("params.yaml").read_text()
    source = write(tmp_path / "photos", FOLDERS[layout])
    (source / "notes.txt").write_text("no image")
    if packed == "tar":
        source = tmp_path / "photos.tar.gz"
        with tarfile.open(source, "w:gz") as tar:
            tar.add(tmp_path / "photos", "photos")
    elif packed == "zip":
        source = Path(shutil.make_archive(str(tmp_path / "photos"), "zip", tmp_path / "photos"))
    status, error, output = new("pets", source)
    assert (status, error) == (0, "")
    files = len(FOLDERS[layout])
    assert f"pets: {3 * files} images in {source}, layout {layout}" in output
    header = (
        ["class", "images"] if layout == "classes" else ["class", "train", "validation", "test"]
    )
    rows = [line.split() for line in output.splitlines()]
    assert header in rows
    assert ["red", *["12"] * (len(header) - 1)] in rows
    assert f"formats      PNG {3 * files}\n" in output
    assert "sizes        20 x 20 pixels, all\n" in output
    assert "colours      colour (" in output
    assert "passed over  1 (no image): " in output
    assert "  dvc repro export@pets\n" in output
    # The rest of the file is as it was.
    assert Path("params.yaml").read_text().startswith(before + "\n  pets:\n")
    configs = composed("pets")
    assert configs["download"].dataset.layout == layout
    assert configs["download"].depends_on == str(source)
    assert configs["split"].test == (None if layout == "splits" else 0.15)
    assert configs["normalize"].image_size == 20
    assert configs["normalize"].channels == 3


@pytest.mark.slow
def test_a_bucket_becomes_a_pipeline(
    new: New, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import boto3
    from moto.server import ThreadedMotoServer

    photos = write(tmp_path / "photos", FOLDERS["classes"])
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    try:
        address = "http://{}:{}".format(*server.get_host_and_port())
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="own")
        for file in sorted(photos.rglob("*.png")):
            key = f"pets/{file.relative_to(photos).as_posix()}"
            client.put_object(Bucket="own", Key=key, Body=file.read_bytes())
        status, _, output = new("pets", "s3://own/pets")
    finally:
        server.stop()
    assert status == 0
    assert "pets: 36 images in s3://own/pets, layout classes" in output
    (source,) = composed("pets")["download"].dataset.sources
    assert (source.kind, source.url) == ("bucket", "s3://own/pets")


@pytest.mark.parametrize("splits", [("train", "t10k"), ("train",)])
def test_idx_files_become_a_pipeline(new: New, tmp_path: Path, splits: tuple[str, ...]) -> None:
    folder = tmp_path / "digits"
    folder.mkdir()
    for split in splits:
        images = np.random.default_rng(1).integers(0, 256, (40, 12, 12), np.uint8)
        labels = np.arange(40, dtype=np.uint8) % 2
        for name, array in (
            (f"{split}-images-idx3-ubyte", images),
            (f"{split}-labels-idx1-ubyte", labels),
        ):
            head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
            (folder / name).write_bytes(head + array.tobytes())
    status, error, output = new("digits", folder)
    assert (status, error) == (0, "")
    assert f"digits: {40 * len(splits)} images in {folder}, arrays x_train, y_train" in output
    configs = composed("digits")
    assert configs["download"].dataset.format == "idx"
    assert configs["split"].test == (None if len(splits) == 2 else 0.15)
    assert configs["normalize"].channels == 1


def test_arrays_of_one_split(new: New, tmp_path: Path) -> None:
    images = np.zeros((40, 12, 12, 3), np.uint8)
    np.savez(tmp_path / "a.npz", data=images, target=np.arange(40) % 2)
    status, error, output = new("squares", tmp_path / "a.npz")
    assert (status, error) == (0, "")
    assert "squares: 40 images in" in output
    assert composed("squares")["split"].test == 0.15


def test_a_table_and_columns_without_usual_names(new: New, tmp_path: Path) -> None:
    folder = write(tmp_path / "photos", [f"images/{{}}{n}.png" for n in NUMBERS])
    rows = [f"images/{name}{n}.png,{name},{n}" for name in CLASSES for n in NUMBERS]
    table = folder / "labels.csv"
    table.write_text("\n".join(["a,b,c", *rows, "images/gone.png,red,1"]))
    status, error, _ = new("pets", table)
    assert (status, error.count("\n")) == (1, 1)
    assert "no column has the usual name of a path" in error
    status, _, output = new("pets", table, "--columns", "path=a", "label=b", "group=c")
    assert status == 0
    assert "layout table labels.csv, columns a, b, c" in output
    assert "looks wrong  labels.csv: paths without an image: 1 (images/gone.png)\n" in output
    dataset = composed("pets")["download"].dataset
    assert (dataset.layout, dataset.table) == ("table", "labels.csv")
    assert dataset.columns == {"path": "a", "label": "b", "group": "c"}
    assert dataset.sources[0].path == str(folder)


def test_a_pattern(new: New, tmp_path: Path) -> None:
    folder = write(tmp_path / "photos", [f"{{}}.{n}.png" for n in NUMBERS])
    pattern = r"(?P<class>[a-z]+)\.\d+\.png"
    status, _, output = new("pets", folder, "--pattern", pattern)
    assert status == 0
    assert "layout pattern" in output
    assert composed("pets")["download"].dataset.pattern == pattern


def test_photos_begin_with_a_pretrained_network(new: New, tmp_path: Path) -> None:
    folder = write(tmp_path / "photos", FOLDERS["classes"], size=70)
    status, _, output = new("pets", folder)
    assert status == 0
    configs = composed("pets")
    assert (configs["normalize"].image_size, configs["normalize"].channels) == (224, 3)
    assert configs["backbone"].backbone.network is not None
    assert configs["train"].batch_size == 16
    # 25 images make 2 batches: 200 steps, and 40 to tune.
    assert (configs["train"].epochs, configs["train"].fine_tune_epochs) == (100, 20)
    assert "train.epochs 100, train.fine_tune_epochs 20" in output


def test_small_grey_pictures_and_arrays_are_learned_from_scratch(new: New, tmp_path: Path) -> None:
    folder = write(tmp_path / "photos", FOLDERS["classes"], size=30, grey=True)
    assert new("digits", folder)[0] == 0
    rng = np.random.default_rng(7)
    x, y = rng.integers(0, 255, (2000, 28, 28), np.uint8), np.arange(2000) % 10
    np.savez(tmp_path / "arrays.npz", x_train=x, y_train=y, x_test=x[:100], y_test=y[:100])
    status, _, output = new("arrays", tmp_path / "arrays.npz")
    assert status == 0
    assert "2,100 images in " in output
    assert "colours      grey (200 images looked at)\n" in output
    for name, size, batch in (("digits", 32, 16), ("arrays", 28, 128)):
        configs = composed(name)
        assert (configs["normalize"].image_size, configs["normalize"].channels) == (size, 1)
        assert configs["backbone"].backbone.network is None
        assert configs["train"].batch_size == batch
    assert composed("arrays")["split"].test is None


def test_an_address(new: New, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "photos", FOLDERS["classes"])
    archive = Path(shutil.make_archive(str(tmp_path / "photos"), "zip", folder))

    def download(url: str, partial: Path, max_bytes: int) -> None:
        partial.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(archive, partial)

    monkeypatch.setattr("stages.new.download", download)
    address = "https://example.org/photos.zip"
    before = contents(Path())
    assert new("pets", address, "--dry-run")[0] == 0
    assert contents(Path()) == before
    status, _, output = new("pets", address)
    assert (status, f"in {address}, layout classes" in output) == (0, True)
    (source,) = composed("pets")["download"].dataset.sources
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert (source.kind, source.url, source.sha256) == ("url", address, digest)
    # The stage download finds it there.
    assert Path(".dvc/tmp/downloads", digest).exists()
    status, error, _ = new("others", "https://me:secret@example.org/photos.zip")
    assert (status, error.count("\n"), "secret" in error) == (1, 1, False)
    assert "has a password" in error


def test_what_looks_wrong_is_said(new: New, tmp_path: Path) -> None:
    folder = write(tmp_path / "photos", FOLDERS["splits"])
    for number in range(3):
        for name in ("train/Red", "test/odd"):
            path = folder / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png((9, 9, 9), seed=100 * len(name) + number))
    (folder / "train" / "red" / "broken.png").write_bytes(b"\x89PNG")
    status, _, output = new("pets", folder, "--dry-run")
    assert status == 0
    wrong = [line[13:] for line in output.splitlines() if line.startswith("looks wrong  ")]
    assert (
        "the classes 'Red', 'red' differ by case or Unicode form alone: are they one class?"
        in wrong
    )
    assert "in the test split alone, of the dataset's own: odd" in wrong
    assert "in the train split alone, of the dataset's own: Red" in wrong
    assert "classes of fewer than 20 images: 2 (Red 3, odd 3)" in wrong
    assert any(line.startswith("images that cannot be read: 1 (") for line in wrong)
    assert any(line.startswith("the stage split will stop: class '") for line in wrong)


def test_a_dry_run_writes_nothing(new: New, checkout: Path, tmp_path: Path) -> None:
    before = contents(checkout)
    status, _, output = new("pets", write(tmp_path / "photos", FOLDERS["classes"]), "--dry-run")
    assert (status, output.splitlines()[-1]) == (0, "a dry run: nothing was written")
    assert contents(checkout) == before


@pytest.mark.fault("a name of a pipeline that exists", "one line; --force replaces it")
def test_a_pipeline_is_replaced_only_by_force(new: New, tmp_path: Path) -> None:
    params = Path("params.yaml")
    text = params.read_text().replace("  flowers:\n", "  # My flowers.\n  flowers:\n")
    params.write_text(text)
    folder = write(tmp_path / "photos", FOLDERS["classes"])
    status, error, _ = new("mnist", folder)
    assert (status, error) == (
        1,
        "new: pipelines.mnist of params.yaml exists: choose another name, or replace it with "
        "--force\n",
    )
    assert params.read_text() == text
    assert new("mnist", folder, "--force")[0] == 0
    assert composed("mnist")["download"].dataset.format == "folders"
    assert "\n  # My flowers.\n  flowers:\n" in params.read_text()
    assert sorted(pipelines()) == ["flowers", "mnist"]


BAD: dict[str, tuple[list[str], str]] = {
    "no such folder": (["nowhere"], "nowhere does not exist: give a folder, an archive"),
    "no dataset": (["{photos}/red/1.png"], "red/1.png is not a folder, an archive (tar, zip)"),
    "a bucket without a driver": (["nonsense://photos"], "nonsense://photos: "),
    "an empty folder": (["{empty}"], "there are no images among 0 files"),
    "one class": (["{photos}/red"], "put the images of each class in a folder"),
    "a pattern without a class": (["{photos}", "--pattern", "x"], "has no group named class"),
    "a layout that does not fit": (
        ["{photos}", "--layout", "table"],
        "layout: table needs a table",
    ),
    "a role of a column": (
        ["{photos}", "--columns", "x=y"],
        "--columns x=y: write <role>=<column>",
    ),
    "arrays that are none": (["{empty}.npz"], "not an .npz of x_train, y_train"),
}


@pytest.mark.fault("a source that is no dataset, for `stages.new`", "one line, nothing written")
@pytest.mark.parametrize("name", BAD)
def test_a_bad_source_is_one_line(new: New, checkout: Path, tmp_path: Path, name: str) -> None:
    words, expected = BAD[name]
    photos, empty = write(tmp_path / "photos", FOLDERS["classes"]), tmp_path / "empty"
    empty.mkdir()
    Path(f"{empty}.npz").write_bytes(b"PK\x03\x04")
    before = contents(checkout)
    status, error, _ = new("pets", *(word.format(photos=photos, empty=empty) for word in words))
    assert (status, error.count("\n"), error.startswith("new: ")) == (1, 1, True), error
    assert expected in error
    assert contents(checkout) == before


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("two words", "new: the name 'two words': a name is a letter, then"),
        ("null", "new: the name 'null', a word with a meaning"),
        ("Mnist", "new: the name 'Mnist' and 'mnist': on some disks these are one folder"),
    ],
)
def test_a_bad_name_is_one_line(new: New, tmp_path: Path, name: str, expected: str) -> None:
    status, error, _ = new(name, tmp_path)
    assert (status, error.count("\n")) == (1, 1)
    assert error.startswith(expected)


@pytest.mark.fault("a full disk while `stages.new` writes", "params.yaml and conf/ as they were")
def test_both_files_or_neither(
    new: New, checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(params: object) -> None:
        raise OSError(28, "No space left on device", "params.yaml")

    monkeypatch.setattr("stages.new.write_params", full)
    before = contents(checkout)
    status, error, _ = new("pets", write(tmp_path / "photos", FOLDERS["classes"]))
    assert (status, error) == (
        1,
        "new: params.yaml: the disk is full: free some space and run it again\n",
    )
    assert contents(checkout) == before


def test_pipelines_stay_in_the_style_of_the_file(new: New, tmp_path: Path) -> None:
    """Another top-level key and a comment follow the pipelines."""
    params = Path("params.yaml")
    params.write_text(params.read_text() + "\n# Mine.\nother: {a: 'b'} # c\n")
    assert new("pets", write(tmp_path / "photos", FOLDERS["classes"]))[0] == 0
    text = params.read_text()
    assert "# Mine.\n" in text
    assert "other: {a: 'b'} # c\n" in text
    assert yaml.safe_load(text)["pipelines"]["pets"]["export"] == {}


@pytest.mark.slow
@pytest.mark.parametrize("layout", FOLDERS)
def test_dvc_runs_the_new_pipeline(
    project: Path, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    photos = write(project.parent / "pets", FOLDERS[layout])
    if layout == "splits":
        with zipfile.ZipFile(project.parent / "pets.zip", "w") as archive:
            for path in sorted(photos.rglob("*.png")):
                archive.write(path, path.relative_to(photos.parent))
        photos = project.parent / "pets.zip"
    commit_all(project)
    # A relative path, which a queued experiment finds too.
    words = ("pets", f"../{photos.name}")
    command(PYTHON, "-m", "stages.new", *words, cwd=project, PYTHONPATH=str(project / "src"))
    params = read_params()
    del params["pipelines"]["tiny"]
    assert params["pipelines"]["pets"]["download"]["depends_on"] == str(photos)
    train = params["pipelines"]["pets"]["train"]
    train["epochs"], train["model"] = 2, {"filters": [8], "convolutions": 1}
    params["pipelines"]["pets"]["export"]["runtimes"] = []
    write_params(params)
    command("dvc", "repro", "export@pets", cwd=project)
    metrics = json.loads((project / "reports" / "pets" / "metrics.json").read_text())
    assert metrics["images"] == (36 if layout == "splits" else 5)
    if layout == "splits":
        return
    command("git", "add", "conf/dataset/pets.yaml", "params.yaml", cwd=project)
    queue = ("dvc", "exp", "run", "--queue", "--name", "other", "download@pets")
    command(*queue, "-S", "pipelines.pets.split.seed=8", cwd=project)
    run_queue(project)
    assert "other" in command("dvc", "exp", "list", "--name-only", cwd=project).stdout
