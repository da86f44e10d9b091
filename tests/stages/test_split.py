"""split: the table of images, with the split of each."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from classifier.catalog.manifest import read_manifest
from classifier.catalog.near_duplicates import read_near_duplicates
from conftest import CLASSES, png, stage, write_arrays

Run = Callable[..., tuple[int, str, str]]


def test_the_table_has_one_row_per_image(project: Path) -> None:
    stage("download", "pipeline=tiny")
    stage("split", "pipeline=tiny")
    table = read_manifest(project / "data" / "split" / "tiny.csv")
    assert list(table.columns) == ["id", "class", "label", "sha256", "split"]
    assert table["split"].value_counts().to_dict() == {"train": 27, "validation": 9, "test": 9}
    assert set(table["class"][table["label"] == 0]) == {"blue"}


def test_a_class_with_too_few_images_is_named(run_stage: Run, project: Path) -> None:
    photos = project.parent / "project-photos" / "red"
    for path in sorted(photos.iterdir())[2:]:
        path.unlink()
    stage("download", "pipeline=tiny")
    status, error, _ = run_stage("split", "pipeline=tiny")
    assert status == 1
    assert "class 'red' has too few images to split: 2, and none of them is in" in error
    assert not Path("data/split/tiny.csv").exists()


@pytest.mark.slow
@pytest.mark.parametrize("choice", ["drop", "train_only"])
def test_the_stages_after_a_rare_class(run_stage: Run, project: Path, choice: str) -> None:
    photos = project.parent / "project-photos" / "red"
    for path in sorted(photos.iterdir())[2:]:
        path.unlink()
    stage("download", "pipeline=tiny")
    _, _, output = run_stage("split", "pipeline=tiny", f"split.rare_classes={choice}")
    assert "1, with 2 images: red (2, none in " in output
    for name in ("normalize", "augment", "train", "evaluate", "export"):
        status, error, output = run_stage(name, "pipeline=tiny")
        assert status == 0, error
        if name == "evaluate":
            said = "1 of 3 classes have no test image, and no figure: red" in output
            assert said == (choice == "train_only")
    names = Path("data/normalized/tiny/classes.txt").read_text().split()
    metrics = json.loads(Path("reports/tiny/metrics.json").read_text())
    report = " ".join(Path("reports/tiny/report.html").read_text("utf-8").split())
    if choice == "drop":
        assert (names, metrics["untested_classes"]) == (["blue", "green"], 0)
        assert "1 classes with 2 images, too few for each split to have one: red" in report
    else:
        assert (names, metrics["untested_classes"]) == (["blue", "green", "red"], 1)
        assert "1 of 3 classes have no test image: nothing is known of red" in report
    assert "nan" not in report.split("<h2>Results per class")[1].split("<img")[0]
    assert np.isfinite([metrics["balanced_accuracy"], metrics["macro_f1"]]).all()


def test_chosen_classes_in_the_chosen_order(run_stage: Run, project: Path) -> None:
    stage("download", "pipeline=tiny")
    stage("split", "pipeline=tiny", "split.classes=[red,blue]")
    table = read_manifest(Path("data/split/tiny.csv"))
    labels = table[["class", "label"]].drop_duplicates().to_numpy().tolist()
    assert sorted(labels) == [["blue", 1], ["red", 0]]
    stage("normalize", "pipeline=tiny")
    assert Path("data/normalized/tiny/classes.txt").read_text() == "red\nblue\n"


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        ("[red,bleu]", "classes: the dataset has no class 'bleu': did you mean 'blue'?"),
        ("[red]", "must be two or more different classes"),
        ("[red,red]", "must be two or more different classes"),
    ],
)
def test_wrong_classes_are_one_line(
    run_stage: Run, project: Path, classes: str, expected: str
) -> None:
    stage("download", "pipeline=tiny")
    status, error, _ = run_stage("split", "pipeline=tiny", f"split.classes={classes}")
    assert (status, error.count("\n")) == (1, 1)
    assert expected in error
    assert not Path("data/split/tiny.csv").exists()


def test_by_hash_a_photo_more_moves_no_other(run_stage: Run, project: Path) -> None:
    def splits() -> dict[str, str]:
        assert run_stage("download", "pipeline=tiny")[0] == 0
        options = ("split.method=hash", "split.validation=0.3", "split.test=0.3")
        status, _, output = run_stage("split", "pipeline=tiny", *options)
        assert status == 0
        assert output.count("(wanted 40.00 %)") == 1
        table = read_manifest(Path("data/split/tiny.csv"))
        return dict(zip(table["sha256"], table["split"], strict=True))

    before = splits()
    blue = project.parent / "project-photos" / "blue"
    (blue / "a first one.png").write_bytes(png((9, 9, 9), seed=99))
    after = splits()
    assert len(after) == len(before) + 1
    assert after.items() >= before.items()


def test_images_of_no_split_are_counted(run_stage: Run, project: Path) -> None:
    stage("download", "pipeline=tiny")
    options = ("split.train=20", "split.validation=9", "split.test=9")
    _, _, output = run_stage("split", "pipeline=tiny", *options)
    assert "left out, as the parameters of the split say: 7\n" in output


def test_arrays_without_classes_keep_all_labels_in_their_order(project: Path) -> None:
    labels = [1, 2, 10] * 20
    write_arrays(
        project,
        np.zeros((60, 4, 4), np.uint8) + np.arange(60, dtype=np.uint8)[:, None, None],
        labels,
    )
    stage("download", "pipeline=tiny")
    stage("split", "pipeline=tiny")
    table = read_manifest(Path("data/split/tiny.csv"))
    assert len(table) == 120
    labels_of = table.drop_duplicates("label").set_index("class")["label"].to_dict()
    assert labels_of == {"1": 0, "2": 1, "10": 2}


@pytest.mark.fault("a raw file that was damaged after its download", "one line")
def test_a_damaged_raw_file_is_one_line(run_stage: Run, project: Path) -> None:
    stage("download", "pipeline=tiny")
    Path("data/raw/tiny/tiny.tar").write_bytes(b"damaged")
    status, error, _ = run_stage("split", "pipeline=tiny")
    assert (status, error.count("\n")) == (1, 1)
    assert "tiny.tar: cannot be read as an archive" in error


NEAR = ("split.near_duplicates.distance=4",)
PAIRS = Path("data/near_duplicates/tiny")


def photo(seed: int) -> Image.Image:
    """A picture with large shapes, as a photo has: noise, enlarged."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    return Image.fromarray(noise).resize((96, 72), Image.Resampling.BICUBIC)


def write_forms(project: Path, count: int = 10) -> None:
    """Each photo of each class as PNG, as JPEG, as WebP and smaller, in the place of the others."""
    for label, name in enumerate(CLASSES):
        folder = project.parent / "project-photos" / name
        for path in folder.iterdir():
            path.unlink()
        for number in range(count):
            image = photo(100 * label + number)
            image.save(folder / f"{number}.png")
            image.save(folder / f"{number}.jpg", quality=70)
            image.save(folder / f"{number}.webp", quality=70)
            image.resize((48, 36)).save(folder / f"{number}-small.png")


def splits_of_photos() -> dict[str, set[str]]:
    table = read_manifest(Path("data/split/tiny.csv"))
    photos = table["id"].str.extract(r"^(\w+/\d+)")[0]
    return {str(name): set(splits) for name, splits in table.groupby(photos)["split"]}


@pytest.mark.fault("one photo as JPEG, PNG and WebP, and smaller", "all in one split")
def test_a_photo_in_several_forms_is_in_one_split(run_stage: Run, project: Path) -> None:
    write_forms(project)
    stage("download", "pipeline=tiny")
    stage("split", "pipeline=tiny")
    assert max(len(splits) for splits in splits_of_photos().values()) > 1
    _, _, output = run_stage("split", "pipeline=tiny", *NEAR)
    assert "near-duplicates within 4 of 64 bits: " in output
    assert "split by group, 120 images: train 60.00 % (wanted 60.00 %)" in output
    assert {len(splits) for splits in splits_of_photos().values()} == {1}
    pairs, summary = read_near_duplicates(PAIRS)
    assert len(pairs) == summary["pairs"] >= 90
    assert (pairs["first_split"] == pairs["second_split"]).all()
    assert summary["largest"] == 4


@pytest.mark.difference("threads that decode for perceptual hashes", "the files' order is kept")
def test_near_duplicates_are_the_same_bytes_twice(project: Path) -> None:
    write_forms(project, count=6)
    stage("download", "pipeline=tiny")
    written = []
    for workers in (1, 4):
        stage("split", "pipeline=tiny", *NEAR, f"split.workers={workers}")
        files = [Path("data/split/tiny.csv"), *sorted(PAIRS.iterdir())]
        written.append([file.read_bytes() for file in files])
    assert len(written[0]) == 3
    assert written[0] == written[1]


def test_flat_images_join_nothing(run_stage: Run, project: Path) -> None:
    for number, path in enumerate((project.parent / "project-photos").rglob("*.png")):
        Image.new("RGB", (20, 20), (number, number, number)).save(path)
    stage("download", "pipeline=tiny")
    _, _, output = run_stage("split", "pipeline=tiny", *NEAR)
    assert "0 pairs among 0 images, the largest group has 0; passed over: 45 flat" in output
    assert "27 train, 9 validation, 9 test" in output


@pytest.mark.parametrize("leaking", ["keep", "drop"])
def test_official_splits_with_near_duplicates(run_stage: Run, project: Path, leaking: str) -> None:
    def pixels(seeds: range) -> np.ndarray:
        return np.stack([np.asarray(photo(seed).convert("L").resize((28, 28))) for seed in seeds])

    write_arrays(project, pixels(range(60)), [0, 1] * 30)
    file = project.parent / "arrays.npz"
    arrays = dict(np.load(file)) | {"y_test": np.array([0, 1] * 30)}
    arrays["x_test"] = np.clip(pixels(range(50, 110)), 0, 254) + 1  # as 10 of x_train, but lighter
    np.savez(file, **arrays)
    stage("download", "pipeline=tiny")
    options = ("split.official=respect", "split.test=null", f"near_duplicates.leaking={leaking}")
    _, _, output = run_stage("split", "pipeline=tiny", *NEAR, *options)
    assert (
        "the dataset's own test split shares with others: 10 pairs, 10 images of others (leaking: "
        f"{leaking}): train/00050 and test/00000, train/00051 and test/00001, "
    ) in output
    assert ("left out, as the parameters of the split say: 10" in output) == (leaking == "drop")
    pairs, _ = read_near_duplicates(PAIRS)
    assert set(pairs["second_split"]) == {"test"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("-1", "near_duplicates.distance is -1: must be at least 0"),
        ("11", "near_duplicates.distance is 11: must be at most 10"),
        ("1.5", "near_duplicates.distance is 1.5: must be a whole number"),
        ("true", "near_duplicates.distance is True: must be a whole number"),
    ],
)
def test_a_wrong_distance_is_one_line(
    run_stage: Run, project: Path, value: str, expected: str
) -> None:
    status, error, _ = run_stage(
        "split", "pipeline=tiny", f"split.near_duplicates.distance={value}"
    )
    assert (status, error.count("\n")) == (1, 1)
    assert expected in error


@pytest.mark.parametrize("value", ["null", "{distance: null}"])
def test_near_duplicates_that_are_not_looked_for(project: Path, value: str) -> None:
    params = project / "params.yaml"
    text = params.read_text().replace("seed: 7}", f"seed: 7, near_duplicates: {value}}}", 1)
    params.write_text(text)
    stage("download", "pipeline=tiny")
    stage("split", "pipeline=tiny")
    pairs, summary = read_near_duplicates(PAIRS)
    assert (len(pairs), summary) == (0, {"distance": None})


def test_corrections_are_applied_counted_and_shown(run_stage: Run, project: Path) -> None:
    stage("download", "pipeline=tiny")
    stage("split", "pipeline=tiny")
    file = Path("data/split/tiny.csv")
    before, text = read_manifest(file), file.read_text()
    Path("corrections.csv").write_text(
        "id,class\nred/000.png,blue\nblue/001.png,drop\ngreen/002.png,green\n"
    )
    given = "split.corrections=corrections.csv"
    _, _, output = run_stage("split", "pipeline=tiny", given)
    assert "corrections of corrections.csv: 1 relabelled, 1 dropped, 1 kept\n" in output
    assert "pipelines.tiny.split.depends_on to corrections.csv (now conf/split.yaml)" in output
    after = read_manifest(file)
    assert list(after.columns) == [
        *["id", "class", "label", "sha256", "given", "correction", "split"],
    ]
    assert set(after["id"][after["split"] != before["split"]]) == {"blue/001.png"}
    relabelled = after.set_index("id").loc["red/000.png"]
    assert (relabelled["class"], relabelled["given"]) == ("blue", "red")
    stage("normalize", "pipeline=tiny")
    page = " ".join(Path("data/overview/tiny/section.html").read_text("utf-8").split())
    assert "(split.corrections): 1 images have another class than the dataset gives them" in page
    run_stage("split", "pipeline=tiny")
    assert file.read_text() == text


def test_a_correction_of_no_image_is_one_line(run_stage: Run, project: Path) -> None:
    stage("download", "pipeline=tiny")
    Path("corrections.csv").write_text("id,class\nred/none.png,blue\n")
    status, error, _ = run_stage("split", "pipeline=tiny", "split.corrections=corrections.csv")
    assert (status, error.count("\n")) == (1, 1)
    assert "split: pipelines.tiny.split: corrections: corrections.csv: the dataset has no" in error
    assert not Path("data/split/tiny.csv").exists()
