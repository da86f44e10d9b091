"""classify over many pictures: outputs that can be gone on with, buckets, bounded memory."""

import contextlib
import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from classifier.apps import classify as command
from classifier.apps import find_images, output, predictions, rows
from classifier.apps.predictions import Prediction, Unreadable, classify
from classifier.images.pixels import ImageError
from classifier.images.preprocessing import Preprocessing
from classifier.serving.loading import SavedClassifier, load_classifier
from classifier.serving.outputs import Answers
from conftest import CLASSES, ROOT, png, write_exported

Run = Callable[..., tuple[int, str, list[str]]]
TEXTS = ["csv", "jsonl"]
RESUMED = [*TEXTS, "parquet"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_exported(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 pictures, two of which cannot be read, in a folder and a folder in it."""
    folder = tmp_path_factory.mktemp("photos") / "holiday"
    (folder / "day 2").mkdir(parents=True)
    for number, colour in enumerate(list(CLASSES.values()) * 8):
        name = f"day 2/{number}.png" if number % 2 else f"{number}.png"
        (folder / name).write_bytes(png(colour, seed=number))
    (folder / "4.png").write_text("no image")
    (folder / "day 2" / "7.png").write_bytes((folder / "8.png").read_bytes()[:100])
    (folder / 'a "quoted",\nname.png').write_bytes(png((200, 40, 40), seed=99))
    (folder / "notes.txt").touch()
    return folder


@pytest.fixture
def run(
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Runs the command in an empty folder: its status, standard output, and lines on the other."""

    def run(*words: str | Path) -> tuple[int, str, list[str]]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["classify", str(model), *map(str, words)])
        with pytest.raises(SystemExit) as end:
            command.main()
        captured = capsys.readouterr()
        return int(end.value.code or 0), captured.out, captured.err.splitlines()

    return run


def content(file: Path) -> object:
    return pd.read_parquet(file).to_csv() if file.is_dir() else file.read_bytes()


def break_off(images: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the next run end by Ctrl-C after so many images."""

    def interrupted(*given: object, **options: object) -> Iterator[object]:
        answers = classify(*given, **options)  # type: ignore[arg-type]
        for _ in range(images):
            yield next(answers)
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "classify", interrupted)


def test_each_format_has_the_same_rows_in_the_order_of_the_files(run: Run, photos: Path) -> None:
    for name in ("a.csv", "a.jsonl", "a.parquet"):
        status, printed, lines = run(photos, "--output", name)
        assert (status, printed) == (1, "")
        assert lines[-1] == f"classify: {name}: 25 images, 2 unreadable"
        assert next(line for line in lines if "cannot be read" in line).startswith(
            f"classify: {photos / '4.png'} cannot be read: it is not a JPEG"
        )
    table = pd.read_csv("a.csv")
    assert list(table) == list(rows.COLUMNS)
    expected = sorted(map(str, photos.rglob("*.png")))
    assert list(table["file"].unique()) == expected
    assert table.groupby("file", sort=False).size().value_counts().to_dict() == {3: 23, 1: 2}
    parquet = pd.read_parquet("a.parquet")
    for column in ("file", "rank", "class", "accepted", "error"):
        same = table[column].fillna("none") == parquet[column].fillna("none")
        assert same.all()
    np.testing.assert_allclose(table["probability"], parquet["probability"], atol=1e-6)
    lines = Path("a.jsonl").read_text().splitlines()
    answers = [json.loads(line) for line in lines]
    assert [answer["file"] for answer in answers] == expected
    for answer in answers:
        of_file = parquet[parquet["file"] == answer["file"]]
        if "error" in answer:
            assert of_file["error"].tolist() == [answer["error"]]
            continue
        assert [guess["class"] for guess in answer["top"]] == of_file["class"].tolist()
        shares = [guess["probability"] for guess in answer["top"]]
        np.testing.assert_allclose(shares, of_file["probability"])


@pytest.mark.fault(
    "`classify` over many pictures is broken off",
    "`--resume` goes on, and the output is that of a run without a break",
)
@pytest.mark.parametrize("format", RESUMED)
def test_a_run_that_is_broken_off_is_gone_on_with(
    run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch, format: str
) -> None:
    names = [f"one.{format}", f"two.{format}"]
    run(photos, "--output", names[0])
    monkeypatch.setattr(rows, "PART", 4)
    for images in (3, 7):
        with monkeypatch.context() as patch:
            break_off(images, patch)
            status, _, lines = run(photos, "--output", names[1], "--resume")
            assert (status, lines[-1]) == (130, "classify: stopped: --resume goes on")
    status, _, lines = run(photos, "--output", names[1], "--resume")
    assert f"classify: {names[1]} has 10 images already: 15 are left" in lines
    assert lines[-1] == f"classify: {names[1]}: 25 images, 2 unreadable"
    assert status == 1
    one, two = map(Path, names)
    assert content(one) == content(two)
    status, _, lines = run(photos, "--output", names[1], "--resume")  # nothing is left
    assert status == 1
    assert content(one) == content(two)
    assert not [line for line in lines if "cannot be read" in line]


@pytest.mark.fault(
    "`classify` dies in the middle of a row", "`--resume` cuts the row off, and goes on"
)
@pytest.mark.parametrize("format", TEXTS)
def test_a_half_written_row_is_cut_off(run: Run, photos: Path, tmp_path: Path, format: str) -> None:
    name, file = f"a.{format}", tmp_path / f"a.{format}"
    run(photos, "--output", name)
    whole = file.read_bytes()
    ends = range(0, len(whole) + 1, len(whole) // 12)
    for end in (*ends, whole.index(b"quoted") + 12):
        file.write_bytes(whole[:end])
        run(photos, "--output", name, "--resume")
        assert file.read_bytes() == whole


@pytest.mark.fault("kill -9 of `classify`", "`--resume` goes on; no image is twice, none is left")
def test_killed_at_once(run: Run, photos: Path, model: Path, tmp_path: Path) -> None:
    for number in range(300):
        tmp_path.joinpath(f"{number:03d}.png").hardlink_to(photos / "0.png")
    words = [str(model), str(tmp_path), "--output", "a.csv", "--resume"]
    process = subprocess.Popen(
        [sys.executable, "-m", "classifier.apps.classify", *words],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        stderr=subprocess.DEVNULL,
    )
    file = tmp_path / "a.csv"
    deadline = time.monotonic() + 60
    while not file.exists() or file.stat().st_size < 2000:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert run(tmp_path, "--output", "a.csv", "--resume")[0] == 0
    table = pd.read_csv(file)
    names = sorted(map(str, tmp_path.glob("*.png")))
    assert table["file"].tolist() == [name for name in names for _ in range(3)]


def test_pictures_that_have_come_since_are_added(run: Run, photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    folder.mkdir()
    for number in (1, 3, 2):
        folder.joinpath(f"{number}.png").hardlink_to(photos / "0.png")
        run(folder, "--output", "a.csv", "--top", "1", "--resume")
    names = [Path(name).stem for name in pd.read_csv("a.csv")["file"].astype(str)]
    assert names == ["1", "3", "2"]


@pytest.mark.fault("an output of `classify` that exists", "one line; it stays as it is")
@pytest.mark.parametrize("format", ["table", *RESUMED])
def test_an_output_that_exists_is_refused(run: Run, photos: Path, format: str) -> None:
    words = (photos / "0.png", "--output", "a", "--format", format)
    assert run(*words)[0] == 0
    before = content(Path("a"))
    status, _, lines = run(*words)
    assert status == 1
    assert lines == ["classify: a exists: --resume goes on with it, else name another file"]
    assert content(Path("a")) == before


@pytest.mark.fault(
    "`classify --resume` with another model or option than before", "one line; nothing is added"
)
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (["--top", "1"], "a.csv was made with top 3, not 1: "),
        (["--fit", "pad"], "a.csv was made with fit None, not pad: "),
        (["--format", "jsonl"], "a.csv was made with format csv, not jsonl: "),
        ([], "a.csv was made with another model: go on as a.csv.json says, or name another file"),
    ],
    ids=["top", "fit", "format", "model"],
)
def test_another_model_or_option_is_refused(
    run: Run,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changed: list[str],
    message: str,
) -> None:
    words = (photos / "0.png", "--output", "a.csv")
    run(*words)
    before = Path("a.csv").read_bytes()
    if not changed:
        other = write_exported(tmp_path / "other", sharpness=0.02)
        monkeypatch.setattr(command, "digest", lambda folder: output.digest(other))
    status, _, lines = run(*words, "--resume", *changed)
    assert status == 1
    assert lines[-1].startswith(f"classify: {message}")
    assert Path("a.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("my,own\n1,2\n", "its columns are not file,rank,"),
        (f"{','.join(rows.COLUMNS)}\na.png,1\nb.png,1,red,1,1,true,\n", "line 2 is no row of 7"),
    ],
)
def test_a_damaged_output_is_refused(run: Run, photos: Path, text: str, reason: str) -> None:
    run(photos / "0.png", "--output", "a.csv")
    Path("a.csv").write_text(text)
    status, _, lines = run(photos / "0.png", "--output", "a.csv", "--resume")
    assert status == 1
    assert lines[-1].startswith(f"classify: a.csv cannot be gone on with ({reason}")
    assert Path("a.csv").read_text() == text
    Path("a.csv.json").unlink()
    lines = run(photos / "0.png", "--output", "a.csv", "--resume")[2]
    assert lines[-1].startswith("classify: a.csv.json, which says what made a.csv, is missing")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--format", "parquet"], "Parquet needs --output"),
        (["--resume"], "--resume needs --output of the format csv, jsonl or parquet"),
        (["--resume", "--output", "a.txt"], "--resume needs --output of the format"),
        (["--top", "0"], "argument --top: invalid positive value: '0'"),
    ],
)
def test_options_that_do_not_go_together(run: Run, words: list[str], message: str) -> None:
    status, _, lines = run("a.png", *words)
    assert status == 2
    assert message in lines[-1]


@pytest.mark.fault("10,000 unreadable pictures for `classify`", "20 lines, and a number")
def test_of_many_unreadable_pictures_the_first_are_named(run: Run, tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"{number:02d}.png").touch()
    status, printed, lines = run(tmp_path, "--format", "csv")
    assert status == 1
    assert len(printed.splitlines()) == 31
    named = [line for line in lines if "cannot be read" in line]
    assert len(named) == 21
    assert named[-1] == "classify: 10 more cannot be read"


def test_a_name_that_is_no_text(run: Run, photos: Path, tmp_path: Path) -> None:
    name = os.fsdecode(b"rose\xff.png")
    tmp_path.joinpath(name).hardlink_to(photos / "0.png")
    for _ in range(2):
        assert run(tmp_path, "--output", "a.jsonl", "--resume")[0] == 0
    (line,) = Path("a.jsonl").read_text("utf-8").splitlines()
    assert json.loads(line)["file"].endswith("/rose\\xff.png")


@pytest.mark.fault("a full disk while `classify` writes", "one line")
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="of Linux")
def test_a_full_disk(run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = Path("/dev/full").open("w")  # noqa: SIM115
    monkeypatch.setattr(sys, "stdout", full)
    status, _, lines = run(photos, "--format", "csv")
    with contextlib.suppress(OSError):
        full.close()
    assert status == 1
    assert lines[-1] == "classify: the disk is full: free some space and run it again"


def classifier_of(answer: Callable[[np.ndarray], Answers], size: int = 16) -> SavedClassifier:
    preprocessing = Preprocessing(image_size=size, channels=3, fit="crop")
    return SavedClassifier((size, size, 3), ["a", "b"], answer, preprocessing)


@pytest.mark.parametrize("size", [16, 224])
def test_few_pictures_are_decoded_ahead_of_the_answers(size: int) -> None:
    lock = threading.Lock()
    read = answered = ahead = largest = 0
    picture = np.zeros((20, 20, 3), np.uint8)

    def reader(file: str) -> np.ndarray:
        nonlocal read, ahead
        with lock:
            read += 1
            ahead = max(ahead, read - answered)
        if int(file) % 50 == 0:
            raise ImageError("no image")
        return picture

    def answer(images: np.ndarray) -> Answers:
        nonlocal largest
        count = len(images)
        largest = max(largest, count)
        return Answers(np.full((count, 2), 0.5, np.float32), np.ones(count), np.ones(count, bool))

    files = [str(number) for number in range(1000)]
    for given in classify(classifier_of(answer, size), iter(files), reader, top=1, workers=2):
        assert given.file == files[answered]
        assert isinstance(given, Unreadable if answered % 50 == 0 else Prediction)
        answered += 1
    assert answered == read == 1000
    assert ahead <= 2 * 16 * 2 + predictions.BATCH
    assert largest == {16: predictions.BATCH - 1, 224: 1}[size]  # one of 64 cannot be read


def test_answers_are_those_of_one_picture_alone(model: Path, photos: Path) -> None:
    classifier = load_classifier(model)
    files = find_images.find_images([str(photos)]).files
    together = classify(classifier, files, find_images.read_encoded, top=3, workers=2)
    for given in together:
        (alone,) = classify(classifier, [given.file], find_images.read_encoded, top=3, workers=1)
        if isinstance(given, Unreadable) or isinstance(alone, Unreadable):
            assert given == alone
            continue
        assert isinstance(given, Prediction) and isinstance(alone, Prediction)
        assert [name for name, _ in given.top] == [name for name, _ in alone.top]
        np.testing.assert_allclose([p for _, p in given.top], [p for _, p in alone.top], atol=1e-6)


@pytest.fixture
def bucket(photos: Path) -> Iterator[str]:
    """The photos at an address of fsspec."""
    memory = MemoryFileSystem()
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]
    memory.put(str(photos), "/own/holiday", recursive=True)
    yield "memory://own/holiday/"
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]


def test_a_folder_in_a_bucket_has_the_answers_of_one_here(
    run: Run, photos: Path, bucket: str
) -> None:
    run(photos, "--output", "here.csv")
    status, _, lines = run(bucket, "--output", "there.csv", "--resume")
    assert status == 1
    assert lines[0] == (
        "classify: skipped files in folders: 1 (hidden or without the suffix of an image)"
    )
    here, there = (pd.read_csv(name).fillna("") for name in ("here.csv", "there.csv"))
    assert there["file"].str.startswith("memory://").all()
    there["file"] = there["file"].str.replace(r"^memory://+own/holiday", str(photos), regex=True)
    pd.testing.assert_frame_equal(here, there)
    one = run(f"{bucket}0.png", "--format", "csv", "--top", "1")[1]
    assert re.fullmatch(r".*\nmemory://.*/0\.png,1,red,.*\n", one)


@pytest.mark.fault(
    "a bucket that breaks off while `classify` reads it", "one line, and `--resume` goes on"
)
def test_a_bucket_that_breaks_off(run: Run, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = MemoryFileSystem.cat_file

    def broken(system: MemoryFileSystem, path: str, *given: object, **options: object) -> bytes:
        if path.endswith("22.png") and broken_off:
            raise TimeoutError("no answer")
        if path.endswith("/10.png"):  # removed since it was listed
            raise FileNotFoundError(path)
        return bytes(whole(system, path, *given, **options))

    monkeypatch.setattr(MemoryFileSystem, "cat_file", broken)
    broken_off = True
    status, _, lines = run(bucket, "--output", "a.jsonl")
    assert status == 1
    assert re.fullmatch(r"classify: memory://.*22\.png: TimeoutError: no answer", lines[-1])
    broken_off = False
    status, _, lines = run(bucket, "--output", "a.jsonl", "--resume")
    assert lines[-1] == "classify: a.jsonl: 25 images, 3 unreadable"
    answers = map(json.loads, Path("a.jsonl").read_text().splitlines())
    errors = {Path(row["file"]).name: row["error"] for row in answers if "error" in row}
    assert errors["10.png"] == "does not exist"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("memory://own/none/", "memory://own/none/: does not exist"),
        ("https://me:secret@example.com/a.jpg", "https://example.com/a.jpg is no folder of a bu"),
        ("nosuch://own/a", "nosuch://own/a: fsspec does not know nosuch://: s3, gs, abfs and hf"),
    ],
)
def test_an_address_that_is_no_bucket(run: Run, url: str, message: str) -> None:
    status, _, lines = run(url)
    assert status == 1
    assert len(lines) == 1 and lines[0].startswith(f"classify: {message}")


def test_a_reader_that_closes_the_output(
    run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", buffering=1) as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        status, _, lines = run(photos, "--format", "csv")
        monkeypatch.undo()
    assert status == 0
    assert not [line for line in lines if "Traceback" in line]


def test_csv_rows_can_be_read_while_they_come(photos: Path, model: Path) -> None:
    stream = io.StringIO()
    writer = rows.TextWriter(stream, "csv", {}, begun=False)
    files = find_images.find_images([str(photos)]).files
    answers = classify(load_classifier(model), files, find_images.read_encoded, top=2, workers=2)
    for number, answer in enumerate(answers, 1):
        writer.write(answer)
        read = list(csv.DictReader(io.StringIO(stream.getvalue())))
        assert len({row["file"] for row in read}) == number
