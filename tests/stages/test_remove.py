"""A pipeline is taken out of the configuration, and nothing else changes."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from conftest import ROOT
from stages.params import pipelines
from stages.recipe import apply_recipe
from stages.remove import main

Remove = Callable[..., tuple[int, str]]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the real configuration, params.yaml and dvc.lock."""
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    for name in ("params.yaml", "dvc.lock"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def remove(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Remove:
    """Runs the command; gives its exit status, and what it prints."""

    def run(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["stages.remove", *words])
        try:
            main()
        except SystemExit as end:
            return 1, f"{end.code}\n"
        return 0, capsys.readouterr().out

    return run


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def commented() -> str:
    params = Path("params.yaml")
    text = params.read_text().replace("  mnist:\n", "  # The digits.\n  mnist:\n")
    text = text.replace("  flowers:\n", "  # My flowers.\n  flowers: # five\n")
    params.write_text(text)
    return text


def test_a_pipeline_leaves_params_the_dataset_and_the_lock(remove: Remove) -> None:
    text, lock = commented(), yaml.safe_load(Path("dvc.lock").read_text())["stages"]
    status, output = remove("mnist")
    assert status == 0
    head, rest = text.partition("  # The digits.\n")[0], text.partition("  # My flowers.\n")[2]
    assert Path("params.yaml").read_text() == f"{head}  # My flowers.\n{rest}"
    assert not Path("conf/dataset/mnist.yaml").exists()
    left = Path("dvc.lock").read_text()
    assert yaml.safe_load(left)["stages"] == {
        stage: entry for stage, entry in lock.items() if not stage.endswith("@mnist")
    }
    # DVC's style: what stays has the same lines.
    assert set(left.splitlines()) <= set((ROOT / "dvc.lock").read_text().splitlines())
    assert "removed pipelines.mnist of params.yaml\n" in output
    assert "the sections of mnist in the recipes best, quick, smoke, standard stay\n" in output
    assert "MLflow's runs and registered versions of mnist stay\n" in output
    # The recipes, which have it still, work for the others.
    assert all(key.startswith("pipelines.flowers.") for key in apply_recipe("best", []))


def test_the_last_section_leaves_a_file_that_ends_well(remove: Remove) -> None:
    text = commented()
    assert remove("flowers")[0] == 0
    before = text.partition("\n  # My flowers.\n")[0]
    assert Path("params.yaml").read_text() == before


def test_pipelines_in_one_line(remove: Remove) -> None:
    Path("params.yaml").write_text("# Mine.\npipelines: {a: {split: {seed: 7}}, b: {}}\n")
    assert remove("a")[0] == 0
    assert Path("params.yaml").read_text() == "# Mine.\npipelines: {b: {}}\n"


def outputs(name: str) -> list[Path]:
    paths = [Path("data/raw", name, "a.tar"), Path("models", name, "model.keras")]
    paths.append(Path("data/split", f"{name}.csv"))
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("a")
    return paths


def test_outputs_go_only_where_asked_for(remove: Remove) -> None:
    mine, others = outputs("mnist"), outputs("flowers")
    status, output = remove("mnist", "--outputs", "--dry-run")
    assert (status, "would remove data/raw/mnist, " in output) == (0, True)
    assert all(path.exists() for path in mine)
    status, output = remove("mnist", "--outputs")
    assert (status, "removed data/raw/mnist, data/split/mnist.csv, models/mnist; " in output) == (
        0,
        True,
    )
    assert not any(path.exists() for path in (*mine, mine[0].parent, mine[1].parent))
    assert all(path.exists() for path in others)


def test_outputs_stay_and_a_dry_run_removes_nothing(remove: Remove, checkout: Path) -> None:
    outputs("mnist")
    before = contents(checkout)
    assert "would remove conf/dataset/mnist.yaml\n" in remove("mnist", "--dry-run")[1]
    assert contents(checkout) == before
    output = remove("mnist")[1]
    assert "its outputs stay, --outputs removes them: data/raw/mnist, " in output
    assert Path("data/raw/mnist/a.tar").exists()


def test_a_dataset_that_others_use_stays(remove: Remove) -> None:
    params = Path("params.yaml")
    params.write_text(params.read_text() + "\n  even:\n    download: {groups: {dataset: mnist}}\n")
    assert "conf/dataset/mnist.yaml stays: even uses it\n" in remove("mnist")[1]
    assert Path("conf/dataset/mnist.yaml").exists()
    assert sorted(pipelines()) == ["even", "flowers"]


@pytest.mark.fault("a pipeline that cannot be removed", "one line, nothing removed")
@pytest.mark.parametrize(
    ("name", "section", "expected"),
    [
        ("mnits", "", "params.yaml has no pipeline 'mnits': did you mean 'mnist'?"),
        ("mnist", "  even: {train: {model: {base: mnist}}}\n", "even begins with the model of"),
        ("mnist", "  even: {train: {teacher: {source: mnist}}}\n", "even learns from the model of"),
    ],
)
def test_a_refusal_is_one_line(
    remove: Remove, checkout: Path, name: str, section: str, expected: str
) -> None:
    params = Path("params.yaml")
    params.write_text(params.read_text() + section)
    before = contents(checkout)
    status, error = remove(name, "--outputs")
    assert (status, error.count("\n"), expected in error) == (1, 1, True)
    assert contents(checkout) == before


@pytest.mark.fault("the last pipeline, to be removed", "one line, nothing removed")
def test_the_last_pipeline_stays(remove: Remove) -> None:
    assert remove("flowers")[0] == 0
    assert remove("mnist") == (
        1,
        "remove: 'mnist' is the last pipeline of params.yaml, which needs one: add another\n",
    )
    assert list(pipelines()) == ["mnist"]


def test_an_error_gives_back_every_file(
    remove: Remove, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(entries: object) -> None:
        raise OSError(28, "No space left on device", "dvc.lock")

    monkeypatch.setattr("stages.remove._remove_entries", full)
    before = contents(checkout)
    status, error = remove("mnist")
    assert (status, error) == (
        1,
        "remove: dvc.lock: the disk is full: free some space and run it again\n",
    )
    assert contents(checkout) == before
