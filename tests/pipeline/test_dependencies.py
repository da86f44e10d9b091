"""dvc.yaml's dependencies are the library modules that each stage really loads."""

import ast
from pathlib import Path

import pytest
import yaml

from conftest import ROOT

STAGES = ["download", "split", "normalize", "augment", "train", "evaluate", "export"]
# These shape no output: how a file is put in place, how an error reads.
IGNORED = {"classifier", "classifier.atomic", "classifier.errors"}
# Loaded by Hydra, by the name that a group's file gives.
BY_TARGET = {
    "src/classifier/models/blocks.py",
    "src/classifier/models/${item.train.groups.model}.py",
    "src/classifier/schedules.py",
}


def imports(file: Path) -> set[str]:
    """The classifier modules that a file imports, at its top or later, but not for types alone."""
    tree = ast.parse(file.read_text("utf-8"))
    tree.body = [node for node in tree.body if not isinstance(node, ast.If)]
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{name.name}" for name in node.names}
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
    return {name for name in found if name.startswith("classifier") and path_of(name)}


def path_of(module: str) -> Path | None:
    path = ROOT / "src" / Path(*module.split("."))
    if path.is_dir():
        return path / "__init__.py"
    return path.with_suffix(".py") if path.with_suffix(".py").exists() else None


def closure(file: Path) -> set[str]:
    """The modules that a file imports, and those that they import, but for what MLflow is told."""
    found: set[str] = set()
    waiting = [file]
    while waiting:
        for name in imports(waiting.pop()) - found:
            if not name.startswith("classifier.tracking"):
                found.add(name)
                waiting.append(path_of(name))
    return found


def strip_packages(names: set[str]) -> set[str]:
    return {name for name in names if path_of(name).name != "__init__.py"}


@pytest.mark.parametrize("stage", STAGES)
def test_declared_are_imported(stage: str) -> None:
    declared = set(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"][stage]["do"]["deps"])
    script = ROOT / "src" / "stages" / f"{stage}.py"
    modules = strip_packages(closure(script)) - IGNORED
    used = {path_of(name).relative_to(ROOT).as_posix() for name in modules}
    used |= {script.relative_to(ROOT).as_posix()}
    assert {name for name in declared if name.endswith(".py")} - BY_TARGET == used


def test_stages_never_import_each_other() -> None:
    for stage in STAGES:
        tree = ast.parse((ROOT / "src" / "stages" / f"{stage}.py").read_text("utf-8"))
        imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not imported & {f"stages.{other}" for other in STAGES}


def test_library_knows_neither_stages_nor_hydra_and_only_tracking_mlflow() -> None:
    for file in (ROOT / "src" / "classifier").rglob("*.py"):
        names = set()
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.split(".")[0])
            elif isinstance(node, ast.Import):
                names |= {name.name.split(".")[0] for name in node.names}
        assert not names & {"stages", "hydra", "omegaconf", "dvc"}, file
        assert "mlflow" not in names or file.parent.name == "tracking", file


def test_every_stage_has_its_configuration_and_test() -> None:
    for stage in STAGES:
        assert (ROOT / "conf" / f"{stage}.yaml").exists()
        assert (ROOT / "tests" / "stages" / f"test_{stage}.py").exists()
        lines = (ROOT / "src" / "stages" / f"{stage}.py").read_text("utf-8").splitlines()
        assert len(lines) <= 90
