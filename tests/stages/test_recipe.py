"""A recipe replaces sections of params.yaml, and nothing else of the file."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore

from classifier.errors import InputError
from conftest import ROOT
from stages.recipe import apply_recipe
from stages.schemas import SCHEMAS

RECIPES = sorted(path.stem for path in (ROOT / "conf" / "recipe").glob("*.yaml"))


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The real recipes and params.yaml, and the working directory."""
    shutil.copytree(ROOT / "conf" / "recipe", tmp_path / "conf" / "recipe")
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sections(file: Path) -> dict:
    return yaml.safe_load(file.read_text("utf-8"))


def test_a_clone_has_the_standard_recipe(checkout: Path) -> None:
    before = (checkout / "params.yaml").read_bytes()
    assert apply_recipe("standard", []) == []
    assert (checkout / "params.yaml").read_bytes() == before


def test_there_and_back_leaves_the_same_bytes(checkout: Path) -> None:
    before = (checkout / "params.yaml").read_bytes()
    changed = apply_recipe("best", [])
    assert "pipelines.flowers.normalize" in changed
    assert "pipelines.flowers.train" in changed
    assert "pipelines.flowers.split" not in changed
    found = sections(checkout / "params.yaml")["pipelines"]
    for pipeline, chosen in sections(checkout / "conf" / "recipe" / "best.yaml").items():
        for stage, section in chosen.items():
            assert found[pipeline][stage] == section
    assert apply_recipe("standard", []) == changed
    assert (checkout / "params.yaml").read_bytes() == before


def test_one_pipeline_and_comments_of_the_user_s(checkout: Path) -> None:
    params = checkout / "params.yaml"
    params.write_text(params.read_text().replace("  mnist:\n", "  mnist: # digits\n", 1))
    mnist = sections(params)["pipelines"]["mnist"]
    assert all(name.startswith("pipelines.flowers.") for name in apply_recipe("smoke", ["flowers"]))
    assert "  mnist: # digits\n" in params.read_text()
    assert sections(params)["pipelines"]["mnist"] == mnist


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_section_of_every_recipe_is_a_configuration(recipe: str) -> None:
    for pipeline, chosen in sections(ROOT / "conf" / "recipe" / f"{recipe}.yaml").items():
        for stage, section in chosen.items():
            store = ConfigStore.instance()
            store.store(name=f"{stage}_schema", node=SCHEMAS[stage])
            groups = section.pop("groups", {})
            store.store(name="params", node=section, package="_global_")
            overrides = [f"{group}={choice}" for group, choice in groups.items()]
            with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
                config = compose(stage, overrides=[*overrides, f"pipeline={pipeline}"])
            assert {key: config[key] for key in section if key not in groups} == {
                key: value for key, value in section.items() if key not in groups
            }


@pytest.mark.parametrize(
    ("recipe", "pipelines", "expected"),
    [
        ("bset", [], "no recipe 'bset': did you mean 'best'?"),
        ("best", ["flower"], "params.yaml has no pipeline 'flower': did you mean 'flowers'?"),
        ("best", ["pets"], "recipe best has no pipeline 'pets'"),
    ],
)
def test_a_mistake_changes_nothing(
    checkout: Path, recipe: str, pipelines: list[str], expected: str
) -> None:
    params = checkout / "params.yaml"
    params.write_text(params.read_text() + "\n  pets:\n    download: {}\n")
    before = params.read_bytes()
    with pytest.raises(InputError) as caught:
        apply_recipe(recipe, pipelines)
    assert expected in str(caught.value)
    assert params.read_bytes() == before


@pytest.mark.parametrize("broken", ["pipelines: [", "other: 1", ""])
def test_a_broken_params_file_is_one_line(checkout: Path, broken: str) -> None:
    (checkout / "params.yaml").write_text(broken)
    words = [sys.executable, "-m", "stages.recipe", "best"]
    result = subprocess.run(words, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.startswith("recipe: ")
    assert result.stderr.count("\n") == 1
    assert "params.yaml" in result.stderr
    assert (checkout / "params.yaml").read_text() == broken


def test_outside_a_checkout_is_one_line(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "stages.recipe", "best"]
    result = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path)
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert "checkout" in result.stderr
