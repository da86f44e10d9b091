"""params.yaml: what a pipeline may be called."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from classifier.support.errors import InputError
from conftest import command, write_project
from stages.params import check_names
from stages.prepare import prepare

Run = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        (2024, "write data_2024"),
        ("2024", "write data_2024"),
        (1.5, "write data_1_5"),
        ("two words", "write two_words"),
        ("a\nb", "write a_b"),
        ("a:b", "write a_b"),
        ("a/b", "write a_b"),
        ("..", "write data"),
        ("a.b", "write a_b"),
        ("a@b", "write a_b"),
        ("${a}", "write data_a"),
        ("Blüten", "write Bl_ten"),
        ("_a", "write data_a"),
        ("-a", "write data_-a"),
        ("", "write data"),
        (None, "write None"),
        ("null", "write data_null"),
        (True, "write data_True"),
        ("No", "write data_No"),
        ("NaN", "write data_NaN"),
        ("con", "write data_con"),
        ("Com1", "write data_Com1"),
        ("a" * 65, f"write {'a' * 64}"),
    ],
)
def test_a_name_that_some_tool_refuses(name: object, remedy: str) -> None:
    with pytest.raises(InputError, match=r"^params\.yaml has the pipeline '") as caught:
        check_names([name])
    assert str(caught.value).endswith(remedy)
    assert "\n" not in str(caught.value)
    check_names([remedy.removeprefix("write ")])


def test_names_that_differ_in_case_alone() -> None:
    with pytest.raises(InputError, match="'Pets' and 'pets': on some disks these are one folder"):
        check_names(["pets", "Pets"])
    check_names(["mnist", "my-pets", "low_digits", "p2024", "a" * 64])


@pytest.mark.fault("a pipeline's name that DVC, Hydra, MLflow or a disk refuses", "one line, first")
@pytest.mark.parametrize("name", ["2024", "two words", "'a:b'", "nul"])
def test_every_stage_and_the_first_step_refuse_it(run_stage: Run, project: Path, name: str) -> None:
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("  tiny:", f"  {name}:"))
    status, error, _ = run_stage("train", f"pipeline={name}")
    assert (status, error.count("\n")) == (1, 1)
    assert "params.yaml has the pipeline" in error
    with pytest.raises(InputError, match=r"params\.yaml has the pipeline"):
        prepare()


@pytest.mark.slow
def test_a_name_of_all_that_is_allowed_runs_everywhere(tmp_path: Path) -> None:
    folder = write_project(tmp_path / "project", ("My-pets_2024",))
    command("dvc", "config", "core.no_scm", "true", cwd=folder)
    command("dvc", "repro", cwd=folder)
    metrics = json.loads((folder / "reports" / "My-pets_2024" / "metrics.json").read_text())
    assert metrics["images"] == 9
