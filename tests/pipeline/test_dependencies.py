"""The dependencies in dvc.yaml are the library packages that each stage imports."""

import ast
from pathlib import Path

import pytest
import yaml

from conftest import ROOT, command

STAGES = ["download", "split", "normalize", "augment", "backbone", "train", "evaluate", "export"]
# Renaming files, error messages and logging to MLflow do not change the content of an output.
IGNORED = {"support", "tracking"}
# Loaded by Hydra, by the name in a group's file.
BY_TARGET = {"backbones", "models/blocks.py", "models/${item.train.groups.model}.py"}


def imports(file: Path) -> set[str]:
    """The classifier modules that a file imports anywhere, except those for types only."""
    tree = ast.parse(file.read_text("utf-8"))
    tree.body = [node for node in tree.body if not isinstance(node, ast.If)]
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name for name in names if name.startswith("classifier") and path_of(name)}


def path_of(module: str) -> Path | None:
    path = ROOT / "src" / Path(*module.split("."))
    if path.is_dir():
        return path / "__init__.py"
    return path.with_suffix(".py") if path.with_suffix(".py").exists() else None


def closure(file: Path) -> set[str]:
    """The modules that a file imports, directly or indirectly, without those of tracking."""
    modules: set[str] = set()
    waiting = [file]
    while waiting:
        for name in imports(waiting.pop()) - modules:
            if not name.startswith("classifier.tracking"):
                modules.add(name)
                path = path_of(name)
                assert path is not None
                waiting.append(path)
    return modules


@pytest.mark.parametrize("stage", STAGES)
def test_declared_packages_are_those_imported(stage: str) -> None:
    deps = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"][stage]["do"]["deps"]
    script = f"src/stages/{stage}.py"
    modules = closure(ROOT / script)
    packages = {name.split(".")[1] for name in modules if "." in name} - IGNORED
    library = {name for name in deps if name.startswith("src/classifier/")}
    assert script in deps
    assert {name.removeprefix("src/classifier/") for name in library} - BY_TARGET == packages


def test_the_library_dependencies_exist() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    library = [
        name for stage in STAGES for name in stages[stage]["do"]["deps"] if "classifier/" in name
    ]
    assert all((ROOT / name).exists() or "$" in name for name in library)


def test_the_folders_that_stages_depend_on_are_hashed_without_bytecode() -> None:
    assert "__pycache__" in (ROOT / ".dvcignore").read_text().splitlines()


def test_git_ignores_the_outputs_that_dvc_caches_and_no_others() -> None:
    """An output that is in neither would be lost; one in both, DVC refuses."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    outputs = {}
    for name in STAGES:
        for kind in ("outs", "metrics", "plots"):
            for entry in stages[name]["do"].get(kind, []):
                options = entry if isinstance(entry, dict) else {entry: {}}
                for path, chosen in options.items():
                    outputs[path.replace("${key}", "tiny")] = chosen.get("cache", True)
    ignored = {path: is_ignored(path) for path in outputs}
    assert ignored == outputs
    for path in ("models/.tiny.partial/history.csv", "reports/.tiny.lock", "reports/tiny/new.png"):
        assert is_ignored(path)


def is_ignored(path: str) -> bool:
    return command("git", "check-ignore", "-q", path, cwd=ROOT, check=False).returncode == 0


def test_stages_never_import_each_other() -> None:
    for stage in STAGES:
        tree = ast.parse((ROOT / "src" / "stages" / f"{stage}.py").read_text("utf-8"))
        imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not imported & {f"stages.{other}" for other in STAGES}


def test_the_library_imports_neither_stages_nor_hydra_and_only_tracking_imports_mlflow() -> None:
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
