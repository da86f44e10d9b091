"""An edit reruns exactly the stages that it should, for its pipeline alone."""

import re
import sys
from pathlib import Path

import pytest
import yaml

from conftest import command, commit_all, write_project

STAGES = ["download", "split", "normalize", "augment", "train", "evaluate", "export"]
LATER_THAN = {stage: STAGES[place:] for place, stage in enumerate(STAGES)}


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


# What is edited, and the first stage that it changes; each stage after it sees other inputs.
SECTIONS = [
    ("download", "download: {groups: {dataset: tiny}}", "download: {groups: {dataset: other}}"),
    ("split", "seed: 7}", "seed: 8}"),
    ("normalize", "image_size: 16", "image_size: 18"),
    ("augment", "augment: {groups: {policy: flowers}}", "augment: {groups: {policy: none}}"),
    ("train", "batch_size: 8", "batch_size: 9"),
    ("evaluate", "mistakes: 4", "mistakes: 3"),
    ("export", "verify_images: 4", "verify_images: 5"),
]
EXPECTED = {
    **{stage: LATER_THAN[stage] for stage in ("split", "normalize", "train")},
    # The other dataset file says the same: its images are the same bytes, source.json as well.
    "download": ["download"],
    # augment's preview differs, and train's weights with the policy.
    "augment": ["augment", "train", "evaluate", "export"],
    "evaluate": ["evaluate"],
    "export": ["export"],
}


@pytest.mark.parametrize(("stage", "old", "new"), SECTIONS, ids=[row[0] for row in SECTIONS])
def test_section_of_params(repository: Path, stage: str, old: str, new: str) -> None:
    edit(repository, "params.yaml", old, new)
    output = command("dvc", "repro", cwd=repository).stdout
    assert stages_run(output) == [f"{name}@first" for name in EXPECTED[stage]]
    assert stages_run(command("dvc", "repro", cwd=repository).stdout) == []


GROUPS = [
    # Files that no pipeline chose.
    ("conf/optimizer/sgd.yaml", "momentum: 0.9", "momentum: 0.8", ""),
    ("conf/model/residual.yaml", "blocks: 1", "blocks: 2", ""),
    ("conf/mixing/mixup.yaml", "alpha: 0.2", "alpha: 0.4", ""),
    ("conf/policy/digits.yaml", "shear: 0.15", "shear: 0.1", ""),
    ("conf/dataset/mnist.yaml", "name: mnist", "name: digits", ""),
    # Files that the first pipeline alone chose by now, and files that both did. A new homepage
    # changes source.json, but no image; a new comment changes no output at all.
    (
        "conf/dataset/other.yaml",
        "format",
        "homepage: elsewhere\nformat",
        "download@first split@first normalize@first train@first evaluate@first export@first",
    ),
    ("conf/policy/none.yaml", "No augmentation", "Nothing", "augment@first"),
    ("conf/model/convnet.yaml", "dropout: 0.1", "dropout: 0.2", "train evaluate export"),
    (
        "conf/optimizer/adam.yaml",
        "ema_momentum: 0.99",
        "ema_momentum: 0.9",
        "train evaluate export",
    ),
    ("conf/schedule/constant.yaml", "The same", "One", "train"),
]


@pytest.mark.parametrize(("file", "old", "new", "expected"), GROUPS, ids=[row[0] for row in GROUPS])
def test_group_file(repository: Path, file: str, old: str, new: str, expected: str) -> None:
    edit(repository, file, old, new)
    output = command("dvc", "repro", cwd=repository).stdout
    both = [
        name
        for stage in expected.split()
        for name in ([stage] if "@" in stage else [f"{stage}@first", f"{stage}@second"])
    ]
    assert stages_run(output) == both
    assert "up to date" in command("dvc", "status", cwd=repository).stdout


def test_recipe(repository: Path) -> None:
    params = repository / "params.yaml"
    section = yaml.safe_load(params.read_text())["pipelines"]["first"]
    recipe = {"first": {"split": section["split"], "train": section["train"] | {"epochs": 1}}}
    (repository / "conf" / "recipe" / "short.yaml").write_text(yaml.safe_dump(recipe))
    python = sys.executable
    printed = command(python, "-m", "stages.recipe", "short", "first", cwd=repository).stdout
    assert printed == "changed pipelines.first.train\n"
    output = command("dvc", "repro", cwd=repository).stdout
    assert stages_run(output) == [f"{stage}@first" for stage in LATER_THAN["train"]]
    again = command(python, "-m", "stages.recipe", "short", cwd=repository).stdout
    assert again == "nothing to change\n"
