"""An edit reruns only the stages that depend on it, of its pipeline only."""

import json
import re
from pathlib import Path

import pytest
import yaml

from conftest import PYTHON, command, commit_all, write_project

pytestmark = pytest.mark.slow

STAGES = ["download", "split", "normalize", "augment", "backbone", "train", "evaluate", "export"]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tiny pipelines that have run: tests edit 'first', but not 'second'."""
    folder = write_project(tmp_path_factory.mktemp("reruns") / "project", ("first", "second"))
    commit_all(folder)
    output = command("dvc", "repro", cwd=folder).stdout
    assert stages_run(output) == [f"{s}@{p}" for s in STAGES for p in ("first", "second")]
    # A copy of the dataset's file, for one pipeline only, so that a test can edit it.
    conf = folder / "conf"
    (conf / "dataset" / "other.yaml").write_text((conf / "dataset" / "tiny.yaml").read_text())
    return folder


def stages_run(output: str) -> list[str]:
    """The stages that `dvc repro` ran, in the order of the pipeline."""
    names = set(re.findall(r"Running stage '([^']+)'", output))
    return sorted(names, key=lambda name: (STAGES.index(name.split("@")[0]), name))


def edit(folder: Path, file: str, old: str, new: str) -> None:
    path = folder / file
    assert path.read_text().count(old) >= 1, f"{old!r} is not in {file}"
    path.write_text(path.read_text().replace(old, new, 1))


# A stage, and an edit of its parameters: the old and the new text.
SECTIONS = [
    ("download", "{groups: {dataset: tiny}", "{groups: {dataset: other}"),
    ("split", "seed: 7}", "seed: 8}"),
    ("normalize", "image_size: 16", "image_size: 18"),
    ("augment", "augment: {groups: {policy: flowers}}", "augment: {groups: {policy: none}}"),
    ("backbone", "{backbone: none}}", "{backbone: none}, attempts: 5}"),
    ("train", "batch_size: 8", "batch_size: 9"),
    ("evaluate", "mistakes: 4", "mistakes: 3"),
    ("export", "runtimes: []", "runtimes: [], accept: 0.9"),
]
# The stages that `dvc repro` runs after some of these edits.
EXPECTED = {
    "split": [name for name in STAGES[1:] if name != "backbone"],
    # The other dataset file has the same content: images and source.json are the same bytes.
    "download": ["download"],
    # The policy changes augment's preview and train's weights.
    "augment": ["augment", "train", "evaluate", "export"],
    "evaluate": ["evaluate"],
}


def changed(folder: Path) -> list[str]:
    """The stages with parameters or dependencies that differ from dvc.lock."""
    return sorted(json.loads(command("dvc", "status", "--json", cwd=folder).stdout))


@pytest.mark.parametrize(("stage", "old", "new"), SECTIONS, ids=[row[0] for row in SECTIONS])
def test_section_of_params(repository: Path, stage: str, old: str, new: str) -> None:
    edit(repository, "params.yaml", old, new)
    assert changed(repository) == [f"{stage}@first"]
    if stage not in EXPECTED:
        edit(repository, "params.yaml", new, old)
        return
    output = command("dvc", "repro", cwd=repository).stdout
    assert stages_run(output) == [f"{name}@first" for name in EXPECTED[stage]]
    assert stages_run(command("dvc", "repro", cwd=repository).stdout) == []


# A group's file, and the stages that depend on it.
GROUPS = [
    # Files that no pipeline uses.
    ("conf/optimizer/sgd.yaml", ""),
    ("conf/model/residual.yaml", ""),
    ("conf/mixing/mixup.yaml", ""),
    ("conf/loss/focal.yaml", ""),
    ("conf/policy/digits.yaml", ""),
    ("conf/dataset/mnist.yaml", ""),
    # Files that one of the pipelines uses after the edits above, and files that both use.
    ("conf/dataset/other.yaml", "download@first"),
    ("conf/policy/none.yaml", "augment@first"),
    ("conf/policy/flowers.yaml", "augment@second"),
    ("conf/model/convnet.yaml", "train@first train@second"),
    ("conf/loss/crossentropy.yaml", "train@first train@second"),
    ("conf/optimizer/adam.yaml", "train@first train@second"),
    ("conf/schedule/constant.yaml", "train@first train@second"),
    ("conf/mixing/none.yaml", "train@first train@second"),
    # The defaults of a stage, and packages of the library.
    ("conf/normalize.yaml", "normalize@first normalize@second"),
    ("src/classifier/reporting/charts.py", "evaluate@first evaluate@second"),
    ("src/classifier/apps/app.py", ""),
    ("src/classifier/support/errors.py", ""),
]


@pytest.mark.parametrize(("file", "expected"), GROUPS, ids=[row[0] for row in GROUPS])
def test_group_file(repository: Path, file: str, expected: str) -> None:
    path = repository / file
    content = path.read_text()
    path.write_text(f"{content}\n# another\n")
    stages = changed(repository)
    path.write_text(content)
    assert stages == expected.split()


def test_a_change_without_effect_ends_where_the_bytes_are_the_same(repository: Path) -> None:
    edit(repository, "conf/policy/none.yaml", "No augmentation", "Nothing")
    assert stages_run(command("dvc", "repro", cwd=repository).stdout) == ["augment@first"]
    assert "up to date" in command("dvc", "status", cwd=repository).stdout


def test_recipe(repository: Path) -> None:
    params = repository / "params.yaml"
    section = yaml.safe_load(params.read_text())["pipelines"]["first"]
    recipe = {"first": {"split": section["split"], "train": section["train"] | {"epochs": 1}}}
    (repository / "conf" / "recipe" / "short.yaml").write_text(yaml.safe_dump(recipe))
    python = PYTHON
    printed = command(python, "-m", "stages.recipe", "short", "first", cwd=repository).stdout
    assert printed == "changed pipelines.first.train\n"
    assert changed(repository) == ["train@first"]
    again = command(python, "-m", "stages.recipe", "short", cwd=repository).stdout
    assert again == "nothing to change\n"
