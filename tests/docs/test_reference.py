"""The reference of the site: made from the code, so that nothing is left out."""

import dataclasses
import os
import re
import shutil
import subprocess
import sys
from html import unescape
from pathlib import Path
from typing import Any, get_args

import pytest
from ruamel.yaml import YAML

from conftest import ROOT
from stages.schemas import SCHEMAS, Optimizer

sys.path.insert(0, str(ROOT / "docs"))
from reference import commands, library, messages, parameters, targets, types
from reference.commented_yaml import CommentedYaml
from reference.docstrings import markdown
from reference.tables import code, text


@pytest.fixture(scope="module")
def page() -> str:
    return parameters.page()


@pytest.fixture(scope="module")
def found() -> list[messages.Message]:
    return messages.messages()


def keys(schema: Any, place: tuple[str, ...] = ()) -> list[str]:
    """Each key of a dataclass, and of those in it."""
    found = []
    for field in dataclasses.fields(schema):
        inner = [
            kind
            for kind in (field.type, *get_args(field.type))
            if isinstance(kind, type) and dataclasses.is_dataclass(kind)
        ]
        here = (*place, field.name)
        found += keys(inner[0], here) if inner else [".".join(here)]
    return found


@pytest.mark.parametrize("stage", SCHEMAS)
def test_each_key_of_a_stage_has_a_row(stage: str, page: str) -> None:
    section = page.partition(f"\n## {stage}\n")[2].partition("\n## ")[0]
    for key in keys(SCHEMAS[stage]):
        if key in parameters.groups(stage):
            assert f"| `groups.{key}` |" in section  # the keys of the choices have their tables
        else:
            assert f"| `{key}` |" in section


def test_each_key_of_each_choice_has_a_row(page: str) -> None:
    for stage in SCHEMAS:
        for group in parameters.groups(stage):
            for choice in parameters.choices(group):
                section = page.partition(f"\n### {group}: {choice}\n")[2]
                section = re.split(r"\n##+ ", section)[0]
                values = YAML(typ="safe").load(ROOT / "conf" / group / f"{choice}.yaml")
                for key, value in values.items():
                    if not isinstance(value, dict) and key != "_target_":
                        assert f"| `{group}.{key}` |" in section
                if "_target_" in values:
                    assert values["_target_"].rpartition(".")[2] in section
    for key in Optimizer.__annotations__:
        assert f"| `optimizer.{key}` |" in page


def test_the_row_of_a_key(page: str) -> None:
    rows = page.splitlines()
    assert (
        "| `patience` | whole number, at least 1, or `null` | `null` | epochs without a better "
        "monitor before training stops; null: train all epochs |"
    ) in rows
    assert (
        "| `strategy.replicas` | whole number, at least 1, or `null` | `null` | null: one per GPU; "
        "a number: that many GPUs, or logical devices of the CPU |"
    ) in rows
    # A limit of the function, of what it gives its options to, and of the stage's schema.
    for row in (
        "| `schedule.warmup` | number, at least 0, below 1 | `0.1` |",
        "| `model.weight_decay` | number, at least 0 | `0.0` |",
        "| `optimizer.learning_rate` | number, above 0 | `0.0002` |",
        "| `model.base` | text or `null` | `null` |",
    ):
        assert any(line.startswith(row) for line in rows)


def test_a_key_without_a_comment_fails() -> None:
    with pytest.raises(parameters.UnexplainedError, match=r"^conf/train\.yaml: epochs has no comm"):
        parameters.explained(f"{ROOT / 'conf' / 'train.yaml'}: epochs", "")


def test_comments_stand_beside_or_above_a_key(tmp_path: Path) -> None:
    file = tmp_path / "some.yaml"
    file.write_text(
        "# The head,\n# in two lines.\nfirst: 1 # beside\n# above,\n# twice\nsecond: {a: [1, 2]}\n"
        'third: # of the part\n  inner: "a # in it" # too\n  # above the last\n  last: 2\nbare: x\n'
    )
    read = CommentedYaml(file)
    assert read.head == "The head, in two lines."
    assert read.comments == {
        ("first",): "beside",
        ("second",): "above, twice",
        ("second", "a"): "above, twice",
        ("third",): "of the part",
        ("third", "inner"): "too",
        ("third", "last"): "above the last",
        ("bare",): "",
    }
    assert read.texts["third", "inner"] == '"a # in it"'
    assert read.texts["second",] == "{a: [1, 2]}"


def test_types_say_their_limits() -> None:
    hints = {field.name: field.type for field in dataclasses.fields(SCHEMAS["normalize"])}
    assert types.described(hints["window"]) == "whole number, at least 3"
    seed = types.hints_in(SCHEMAS["split"])["seed"]
    assert types.described(seed) == "whole number, at least 0, at most 2,147,483,647"
    assert types.described(hints["fit"]) == "`crop` or `pad`"
    assert types.described(list[str] | None) == "list of text or `null`"
    assert types.described(tuple[float, float]) == "list of 2, each a number"
    assert types.kind_of(True) == "`true` or `false`"


def test_the_comments_of_a_schema() -> None:
    dataset = types.hints_in(SCHEMAS["download"])["dataset"]
    assert parameters.comment_in(dataset, "format").endswith("images, see classifier.layouts")
    assert parameters.comment_in(dataset, "file") == "its name in the stage's output"
    assert parameters.comment_in(dataset, "homepage") == ""  # conf/download.yaml has it


def test_targets_are_read_without_importing_them() -> None:
    adam = targets.target("keras.optimizers.Adam")  # imported there from another module
    assert adam.signature.startswith("Adam(\n    learning_rate=0.001,\n")
    assert adam.summary == "Optimizer that implements the Adam algorithm."
    assert targets.target("classifier.training.strategies.single").signature == (
        "single() -> Workers"
    )
    with pytest.raises(LookupError, match="no import of nothing"):
        targets.target("keras.optimizers.nothing")


def test_each_message_is_found(found: list[messages.Message]) -> None:
    assert len(found) > 250
    for file, text_ in (
        ("stages/layout.py", "<path> is missing: make it with 'dvc repro <stage>@<pipeline>'"),
        ("stages/params.py", "params.yaml is not YAML: <error>"),
        ("classifier/support/errors.py", "not enough memory: a smaller batch_size needs less"),
        ("classifier/sources/http.py", "<named>: <reason> (<attempts> attempts)"),
        ("stages/validation.py", "<key> is <value>: must be above <gt> | at least <ge> | below"),
        ("stages/evaluate.py", "these images are DRAWINGS: the figures say nothing about photo"),
    ):
        assert any(message.file == file and message.text.startswith(text_) for message in found)
    page = unescape(messages.page())
    assert all(message.text in page for message in found)


def test_each_file_that_raises_an_error_has_its_messages(found: list[messages.Message]) -> None:
    files = {message.file for message in found}
    for path in messages.SRC.rglob("*.py"):
        if re.search(
            r"raise \w*(Input|Layout|Archive|Arrays|Download)Error\(\s*f?\"",
            path.read_text("utf-8"),
        ):
            assert path.relative_to(messages.SRC).as_posix() in files


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('raise InputError(f"no {name}: {nearest(name, known)}")', ["no <name>: <nearest>"]),
        ('raise InputError("one" if x else f"two {x}")', ["one", "two <x>"]),
        (
            'raise ValueError(f"{len(images):,} images of {config.split}")',
            ["<images> images of <split>"],
        ),
        ("raise InputError(f\"lost {', '.join(names)}\")", ["lost <names>"]),
        ("raise InputError(str(error)) from None", []),
        ('sys.exit(f"prepare: {error}")', []),
        ('log.warning("%s of %d %%", name, len(rows))', ["<name> of <rows> %"]),
    ],
)
def test_the_text_of_a_message(source: str, expected: list[str], tmp_path: Path) -> None:
    head = "class InputError(Exception):\n    pass\n\ndef work(x, name):\n    "
    tmp_path.joinpath("some.py").write_text(head + source + "\n")
    assert [message.text for message in messages.messages(tmp_path)] == expected


@pytest.mark.slow
def test_each_program_is_among_the_commands() -> None:
    page = commands.page()
    programs = [
        path for path in commands.SRC.rglob("*.py") if "\ndef main(" in path.read_text("utf-8")
    ]
    assert len(programs) > 8
    for path in programs:
        module = ".".join(path.relative_to(commands.SRC).with_suffix("").parts)
        module = module.removesuffix(".__main__")
        assert f"\n### python -m {module}\n" in page
        if "argparse" in path.read_text("utf-8"):
            assert f"$ python -m {module} --help\nusage: " in page
    for stage in SCHEMAS:
        assert f"$ python -m stages.{stage} pipeline=<name>" in page
    for target in re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE):
        assert f"| `make {target}` |" in page


def test_the_navigation_has_every_package() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text("utf-8")
    named = re.findall(r"- classifier\.(\w+): reference/library/\1\.md\n", navigation)
    assert named == library.packages() != []
    for package in named:
        assert f"library/{package}.md" in library.index()
        for module in library.modules(package):
            assert f"::: classifier.{package}.{module}\n" in library.page(package)


def test_text_in_a_table_has_no_markup() -> None:
    assert text("a|b <c> {d}") == "a&#124;b &lt;c&gt; &#123;d&#125;"
    assert text("run `make docs`, https://keras.io/api.") == (
        "run `make docs`, <https://keras.io/api>."
    )
    assert code("a_b") == "`a_b`"
    assert code("a|b_c") == "<code>a&#124;b&#95;c</code>"
    assert markdown("About :func:`a.b`.\n\n$ run\n$ it\n\nEnd.") == (
        "About `a.b`.\n\n```console\n$ run\n$ it\n```\n\nEnd."
    )


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    for name in ("mkdocs.yml", "src", "conf", "Makefile", "dvc.yaml", "params.yaml", "examples"):
        tmp_path.joinpath(name).symlink_to(ROOT / name)
    paths = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    result = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    training = tmp_path / "site" / "reference" / "library" / "training" / "index.html"
    built = training.read_text("utf-8")
    assert 'id="classifier.training.fit.fit"' in built
    # A role of a docstring is a link.
    assert 'href="#classifier.training.phases.plan"' in built
    assert ":func:" not in built
