"""An edit reruns exactly the stages that it should, for its pipeline alone."""

import json
import re
import sys
from pathlib import Path

import pytest
import yaml

from conftest import command, commit_all, write_project

STAGES = ["download", "split", "normalize", "augment", "train", "evaluate", "export"]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tiny pipelines that have run: 'first' is edited by the tests, 'second' never."""
    folder = write_project(tmp_path_factory.mktemp("reruns") / "project", ("first", "second"))
    commit_all(folder)
    output = command("dvc", "repro", cwd=folder).stdout
    assert stages_run(output) == [f"{s}@{p}" for s in STAGES for p in ("first", "second")]
    # A copy of the dataset that only one pipeline chooses, so that its file can be edited.
    conf = folder / "conf"
    (conf / "dataset" / "other.yaml").write_text((conf / "dataset" / "tiny.yaml").read_text())
    return folder


def stages_run(output: str) -> list[str]:
    """The stages that dvc repro ran, in the order of the pipeline."""
    names = set(re.findall(r"Running stage '([^']+)'", output))
    return sorted(names, key=lambda name: (STAGES.index(name.split("@")[0]), name))


def edit(folder: Path, file: str, old: str, new: str) -> None:
    path = folder / file
    assert path.read_text().count(old) >= 1, f"{old!r} is not in {file}"
    path.write_text(path.read_text().replace(old, new, 1))


# What is edited, and the stage that it is a parameter of.
SECTIONS = [
    ("download", "download: {groups: {dataset: tiny}}", "download: {groups: {dataset: other}}"),
    ("split", "seed: 7}", "seed: 8}"),
    ("normalize", "image_size: 16", "image_size: 18"),
    ("augment", "augment: {groups: {policy: flowers}}", "augment: {groups: {policy: none}}"),
    ("train", "batch_size: 8", "batch_size: 9"),
    ("evaluate", "mistakes: 4", "mistakes: 3"),
    ("export", "verify_images: 4", "verify_images: 5"),
]
# Of these, what dvc repro runs then.
EXPECTED = {
    "split": STAGES[1:],
    # The other dataset file says the same: its images are the same bytes, source.json as well.
    "download": ["download"],
    # augment's preview differs, and train's weights with the policy.
    "augment": ["augment", "train", "evaluate", "export"],
    "evaluate": ["evaluate"],
}


def changed(folder: Path) -> list[str]:
    """The stages whose own parameters or dependencies differ from dvc.lock."""
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


# A group's file, and the stages that it is an input of.
GROUPS = [
    # Files that no pipeline chose.
    ("conf/optimizer/sgd.yaml", ""),
    ("conf/model/residual.yaml", ""),
    ("conf/mixing/mixup.yaml", ""),
    ("conf/policy/digits.yaml", ""),
    ("conf/dataset/mnist.yaml", ""),
    # Files that the first pipeline alone chose by now, and files that both did.
    ("conf/dataset/other.yaml", "download@first"),
    ("conf/policy/none.yaml", "augment@first"),
    ("conf/policy/flowers.yaml", "augment@second"),
    ("conf/model/convnet.yaml", "train@first train@second"),
    ("conf/optimizer/adam.yaml", "train@first train@second"),
    ("conf/schedule/constant.yaml", "train@first train@second"),
    ("conf/mixing/none.yaml", "train@first train@second"),
]


@pytest.mark.parametrize(("file", "expected"), GROUPS, ids=[row[0] for row in GROUPS])
def test_group_file(repository: Path, file: str, expected: str) -> None:
    path = repository / file
    content = path.read_text()
    path.write_text(f"{content}\n# another\n")
    found = changed(repository)
    path.write_text(content)
    assert found == expected.split()


def test_a_change_without_effect_ends_where_the_bytes_are_the_same(repository: Path) -> None:
    edit(repository, "conf/policy/none.yaml", "No augmentation", "Nothing")
    assert stages_run(command("dvc", "repro", cwd=repository).stdout) == ["augment@first"]
    assert "up to date" in command("dvc", "status", cwd=repository).stdout


def test_recipe(repository: Path) -> None:
    params = repository / "params.yaml"
    section = yaml.safe_load(params.read_text())["pipelines"]["first"]
    recipe = {"first": {"split": section["split"], "train": section["train"] | {"epochs": 1}}}
    (repository / "conf" / "recipe" / "short.yaml").write_text(yaml.safe_dump(recipe))
    python = sys.executable
    printed = command(python, "-m", "stages.recipe", "short", "first", cwd=repository).stdout
    assert printed == "changed pipelines.first.train\n"
    assert changed(repository) == ["train@first"]
    again = command(python, "-m", "stages.recipe", "short", cwd=repository).stdout
    assert again == "nothing to change\n"
