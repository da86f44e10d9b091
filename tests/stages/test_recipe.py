"""A recipe replaces sections of params.yaml, and does not change the rest of the file."""

import shutil
import sys
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore

from classifier.support.errors import InputError
from conftest import ROOT
from stages.configuration import validated
from stages.recipe import apply_recipe, main
from stages.schemas import SCHEMAS

RECIPES = sorted(path.stem for path in (ROOT / "conf" / "recipe").glob("*.yaml"))


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the real configuration and params.yaml."""
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sections(file: Path) -> dict:
    return yaml.safe_load(file.read_text("utf-8"))


def test_params_yaml_is_the_standard_recipe(checkout: Path) -> None:
    before = (checkout / "params.yaml").read_bytes()
    assert apply_recipe("standard", []) == []
    assert (checkout / "params.yaml").read_bytes() == before


def test_another_recipe_and_back_gives_the_same_bytes(checkout: Path) -> None:
    before = (checkout / "params.yaml").read_bytes()
    changed = apply_recipe("best", [])
    assert "pipelines.flowers.train" in changed
    assert "pipelines.flowers.split" not in changed
    pipelines = sections(checkout / "params.yaml")["pipelines"]
    for pipeline, chosen in sections(checkout / "conf" / "recipe" / "best.yaml").items():
        for stage, section in chosen.items():
            reads = stage in ("split", "train")
            added = {"depends_on": f"conf/{stage}.yaml"} if reads else {}
            assert pipelines[pipeline][stage] == section | added
    assert apply_recipe("standard", []) == changed
    assert (checkout / "params.yaml").read_bytes() == before


def test_one_pipeline_and_the_comments_of_the_user(checkout: Path) -> None:
    params = checkout / "params.yaml"
    params.write_text(params.read_text().replace("  mnist:\n", "  mnist: # digits\n", 1))
    mnist = sections(params)["pipelines"]["mnist"]
    assert all(name.startswith("pipelines.flowers.") for name in apply_recipe("smoke", ["flowers"]))
    assert "  mnist: # digits\n" in params.read_text()
    assert sections(params)["pipelines"]["mnist"] == mnist


def test_groups_that_a_recipe_leaves_out_are_the_defaults(checkout: Path) -> None:
    file = checkout / "conf" / "recipe" / "mine.yaml"
    file.write_text("mnist: {train: {groups: {model: lenet}, epochs: 1}, augment: {}}")
    assert apply_recipe("mine", []) == ["pipelines.mnist.train", "pipelines.mnist.augment"]
    pipeline = sections(checkout / "params.yaml")["pipelines"]["mnist"]
    assert pipeline["augment"]["groups"] == {"policy": "none"}
    assert pipeline["train"]["groups"]["model"] == "lenet"
    assert pipeline["train"]["groups"]["strategy"] == "single"
    assert apply_recipe("mine", []) == []


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_section_of_every_recipe_is_a_configuration(recipe: str) -> None:
    for pipeline, chosen in sections(ROOT / "conf" / "recipe" / f"{recipe}.yaml").items():
        for stage, section in chosen.items():
            groups = section.pop("groups", {})
            ConfigStore.instance().store(name="params", node=section, package="_global_")
            overrides = [f"{group}={choice}" for group, choice in groups.items()]
            with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
                config = compose(stage, overrides=[*overrides, f"pipeline={pipeline}"])
            validated(SCHEMAS[stage], config)
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


def failure(monkeypatch: pytest.MonkeyPatch) -> str:
    """The line that ends the command with status 1."""
    monkeypatch.setattr(sys, "argv", ["stages.recipe", "best"])
    with pytest.raises(SystemExit) as end:
        main()
    return str(end.value.code)


@pytest.mark.parametrize("broken", ["pipelines: [", "other: 1", ""])
def test_a_broken_params_file_is_one_line(
    checkout: Path,
    monkeypatch: pytest.MonkeyPatch,
    broken: str,
) -> None:
    (checkout / "params.yaml").write_text(broken)
    error = failure(monkeypatch)
    assert error.startswith("recipe: ")
    assert "\n" not in error
    assert "params.yaml" in error
    assert (checkout / "params.yaml").read_text() == broken


def test_outside_a_checkout_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    error = failure(monkeypatch)
    assert "\n" not in error
    assert "checkout" in error
