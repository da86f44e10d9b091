"""check: what it says before a training, and that it leaves nothing but its chart."""

import re
import shutil
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from classifier.training.feed import evaluation_batches
from classifier.training.fit import fit
from stages import check
from stages.configuration import choice, composed

PARAMS = Path("params.yaml")
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def ready(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what the command reads of a finished project, and the working directory."""
    for name in ("conf", "data/normalized", "data/augmented"):
        shutil.copytree(finished / name, tmp_path / name)
    shutil.copy(finished / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def train_section(text: str) -> None:
    PARAMS.write_text(PARAMS.read_text().replace("      epochs: 2\n", text))


def refused(monkeypatch: pytest.MonkeyPatch, capsys: Capture, *words: str) -> list[str]:
    """The lines on standard error of a command that cannot go on."""
    monkeypatch.setattr(sys, "argv", ["stages.check", *words])
    with pytest.raises(SystemExit) as end:
        check.main()
    captured = capsys.readouterr().err.splitlines()
    if isinstance(end.value.code, str):
        captured.append(end.value.code)
    else:
        assert end.value.code == 2
    return captured


def seconds_of_training() -> float:
    """The seconds that the tiny pipeline's training takes, without outputs."""
    _, model, feed, phases, *_ = setting = check.assembled(composed("tiny", "train"), {})
    validation = evaluation_batches(feed.images[:9], feed.labels[:9], classes=3)
    begin = time.perf_counter()
    with TemporaryDirectory() as folder:
        fit(model, phases, feed, validation, setting.config, Path(folder), lambda *_: None)
    return time.perf_counter() - begin


def test_a_training_that_goes_on_and_has_a_teacher(
    ready: Path, finished: Path, capsys: Capture
) -> None:
    for name in ("last.keras", "model.keras"):
        shutil.copy(finished / "models" / "tiny" / name, ready)
    PARAMS.write_text(PARAMS.read_text().replace("teacher: none", "teacher: model"))
    keys = {"epochs": "2", "continue_from": "last.keras", "teacher": "{source: model.keras}"}
    train_section("".join(f"      {key}: {value}\n" for key, value in keys.items()))
    check.check("tiny", 1.0)
    printed = capsys.readouterr().out
    # The weights of the finished training know the batch: by its labels, whoever teaches.
    assert re.search(r"one batch +learns( slowly)?: the loss of 7 images went from [\d.]+", printed)
    assert re.search(r"a step +all layers: ", printed)
    assert not (ready / "mlflow.db").exists()


def test_it_learns_and_the_time_is_right(ready: Path, capsys: Capture) -> None:
    train_section("      epochs: 15\n      optimizer: {learning_rate: 0.01}\n")
    before = sorted(ready.rglob("*"))
    assert check.check("tiny", 4.0)
    printed = capsys.readouterr().out
    written = sorted(set(ready.rglob("*")) - set(before))
    chart = Path("reports/tiny/check.png")
    assert [path.relative_to(ready) for path in written] == [*reversed(chart.parents[:-1]), chart]
    assert (
        "of download, split, normalize, augment, backbone, train, evaluate, export: va" in printed
    )
    assert "there: normalize, augment; not yet: download, split, backbone, train, eval" in printed
    assert "27 images of 16 x 16 x 3: 4 steps of 7 in an epoch; 9 to validate" in printed
    assert re.search(r"one batch +learns: the loss of 7 images went from [\d.]+ to", printed)
    assert re.search(r"learning rate +all layers: 0\.\d+ (fits|looks)", printed)
    assert re.search(r"limited by (the network's arithmetic|the feed|start-up|saving) \(", printed)
    ratios = []
    for _ in range(3):  # other processes take their time, too
        match = re.search(r"estimate +(?:(\d+) min )?([\d.]+) s for 15 epochs: all la", printed)
        assert match
        told = 60 * float(match[1] or 0) + float(match[2])
        ratios.append(told / seconds_of_training())
        if 0.5 < ratios[-1] < 2:
            break
        check.check("tiny", 4.0)
        printed = capsys.readouterr().out
    assert 0.5 < ratios[-1] < 2, ratios


def test_both_phases_of_a_transfer(ready: Path, finished: Path, capsys: Capture) -> None:
    base = finished / "models" / "tiny" / "model.keras"
    rate = "      optimizer: {learning_rate: 1.0e-9}\n"
    train_section(f"      fine_tune_epochs: 2\n      fine_tune_layers: 1\n{rate}")
    text = PARAMS.read_text().replace("{filters: [8], convolutions: 1}", f"{{base: '{base}'}}")
    PARAMS.write_text(text.replace("model: convnet", "model: transfer"))
    assert not check.check("tiny", 4.0)
    printed = capsys.readouterr().out
    assert re.search(r"one batch +does not learn: the loss of 7 images went from", printed)
    assert "perhaps: the learning rate is too small\n" in printed
    for name in ("head", "top 1 layers"):
        assert re.search(rf"learning rate +{name}: ", printed)
        assert re.search(rf"a step +{name}: ", printed)
    assert re.search(r"for 12 epochs: features .* s, head .* s, top 1 layers .* s\n", printed)


def test_a_batch_that_is_not_learned_is_the_exit_status(
    ready: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(check, "check", lambda pipeline, seconds: False)
    assert refused(monkeypatch, capsys, "tiny") == []


@pytest.mark.fault("several mistakes in params.yaml", "check prints one line for each")
def test_each_mistake_is_a_line(
    ready: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    train_section("      epoch: 2\n")
    PARAMS.write_text(PARAMS.read_text().replace("image_size: 16", "image_size: none"))
    lines = refused(monkeypatch, capsys, "tiny")
    assert len(lines) == 2
    assert lines[0].startswith("check: pipelines.tiny.normalize: image_size is 'none'")
    assert lines[1] == "check: pipelines.tiny.train: unknown key 'epoch': did you mean 'epochs'?"


@pytest.mark.fault("check before normalize has run", "one line: the command that makes the images")
def test_missing_images_are_one_line(
    ready: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    shutil.rmtree(ready / "data")
    (line,) = refused(monkeypatch, capsys, "tiny")
    assert line == (
        "check: data/normalized/tiny and data/augmented/tiny are missing: run 'dvc repro "
        "augment@tiny'"
    )
    assert not Path("reports").exists()
    (line,) = refused(monkeypatch, capsys, "tinny")
    assert line == "check: no pipeline 'tinny' in params.yaml: did you mean 'tiny'?"
    (line,) = refused(monkeypatch, capsys, "tiny", "--seconds", "0")
    assert line == "check: --seconds must be above 0"


def test_outputs_of_other_parameters_are_said(ready: Path) -> None:
    section = "{image_size: 32, channels: 3}"
    Path("dvc.lock").write_text(
        "stages:\n  normalize@tiny:\n    params:\n      params.yaml:\n"
        f"        pipelines.tiny.normalize: {section}\n"
    )
    assert check.outputs("tiny").endswith("; made with other parameters: normalize")
    Path("dvc.lock").write_text(Path("dvc.lock").read_text().replace("32", "16"))
    assert "other parameters" not in check.outputs("tiny")


def test_the_choices_are_those_of_the_stage_that_was_composed(ready: Path) -> None:
    assert composed("tiny", "train").model["filters"] == [8]
    assert choice("model") == "convnet"
    composed("tiny", "augment")
    assert choice("policy") == "flowers"
