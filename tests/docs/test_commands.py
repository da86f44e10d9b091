"""The commands on README.md and in docs/ run, or name what exists with options that exist.

Each command of a ``console`` block, of a sentence (in backticks) and of a bench's docstring is
checked in one project with the repository's own configuration: ``stages.new`` and Python's one-line
programs run; the overrides of a stage compose, and are validated; another program of the project
reads its options; DVC and make read theirs, and have the stage or the target. An output on a page
is compared, or the page says that it was measured, on which machine and at which commit:
``<!-- measured on <machine>, commit <hash> -->`` before the block. The commit is the first that
shows the output.
"""

import argparse
import ast
import contextlib
import difflib
import importlib.util
import io
import json
import os
import re
import runpy
import shlex
import shutil
import sys
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML

from classifier.images.preprocessing import Preprocessing
from conftest import PYTHON, ROOT, command, commit_all
from stages.configuration import configured
from stages.schemas import SCHEMAS

PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
COMPONENTS = ROOT / "docs" / "how-to" / "components.md"
BENCHES = sorted((ROOT / "bench").glob("*.py"))
PARSERS = ("parse_args", "parse_intermixed_args")  # methods of ArgumentParser
PROGRAMS = {"python", "make", "dvc", "classify"}  # that the project brings, or knows the stages of
# What is not checked, by how a command begins, and why. Each has to be on a page still.
NOT_CHECKED = {
    "(printf ": "of the system",
    "/tmp/serve/bin/": "of another virtual environment",
    "awk ": "of the system",
    "base64 ": "of the system",
    "cd ": "of the shell",
    "curl ": "of the system",
    "docker compose": "tests/pipeline/test_services.py runs what compose.yaml starts",
    "du ": "of the system",
    "export ": "of the shell",
    "git ": "git's own options",
    "grep ": "of the system",
    "mkdir ": "of the system",
    "mlflow models serve": "a server of minutes; tests/pipeline/test_services.py has MLflow's",
    "python -m stages.new pets https:": "needs a network; tests/stages/test_new.py has a server",
    "mv ": "of the system",
    "printf ": "of the system",
    "python --version": "Python's own",
    "python3 -m venv ": "Python's own",
    "python tests/promises.py": "tests/pipeline/test_promises.py compares what it prints",
    "rm -rf": "of the system",
    "saved_model_cli": "TensorFlow's; tests/stages/test_export.py reads the same SavedModel",
    "sort ": "of the system",
    "source ": "of the shell",
    "tar ": "of the system",
    "tensorboard ": "a server; tests/classifier/tracking/test_loggers.py reads what it shows",
}
MEASURED = re.compile(r"<!-- measured on [^>]*, commit [0-9a-f]{7}[^>]* -->\n\n$")
BLOCK = re.compile(r"^(?P<indent> *)```console\n(?P<text>.*?)^ *```$", re.DOTALL | re.MULTILINE)


class Command(NamedTuple):
    """A command on a page: its words, and the lines that the page shows after it."""

    place: str  # page and line
    words: list[str]
    shown: str
    measured: bool

    @property
    def text(self) -> str:
        return " ".join(self.words)


def simple_commands(line: str) -> Iterator[list[str]]:
    """The words of each command that a shell would run for the line, without redirections.

    Raises:
        ValueError: the line is not whole.
    """
    lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;>")
    lexer.whitespace_split = True
    words: list[str] = []
    tokens = list(lexer)
    for token, before in zip([*tokens, ";"], ["", *tokens], strict=True):
        if token in ("&&", "&", "|", ";"):
            while words and re.match(r"[A-Z_]+=", words[0]):  # variables of this command
                words.pop(0)
            if words:
                yield words
            words = []
        elif token != ">" and before != ">":
            words.append(token)


def commands_of_block(text: str, place: str, measured: bool) -> Iterator[Command]:
    arrays: dict[str, str] = {}
    lines: list[str] = []
    commands: list[list[str]] = []
    shown = ""
    for line in [*text.splitlines(), "$ true"]:
        if lines or line.startswith("$ "):
            if not lines and commands:
                yield from (Command(place, words, "", measured) for words in commands[:-1])
                yield Command(place, commands[-1], shown, measured)
            lines.append(line.removeprefix("$ ") if not lines else line)
            whole, shown = "\n".join(lines), ""
            if line.endswith("\\"):
                continue
            for name, words in arrays.items():
                whole = whole.replace(f'"${{{name}[@]}}"', words)
            if match := re.fullmatch(r"([A-Z]+)=\((.*)\)", whole):
                arrays[match[1]], lines, commands = match[2], [], []
                continue
            with contextlib.suppress(ValueError):  # a quotation goes on in the next line
                commands, lines = list(simple_commands(whole.replace("\\\n", " "))), []
        elif not line.startswith("# "):
            shown += f"{line}\n"


def commands() -> Iterator[Command]:
    """The commands of all pages."""
    for page in PAGES:
        text = page.read_text("utf-8")
        name = page.relative_to(ROOT).as_posix()
        for match in BLOCK.finditer(text):
            place = f"{name}:{text.count(chr(10), 0, match.start()) + 1}"
            measured = bool(MEASURED.search(text[: match.start()]))
            block = re.sub(f"^{match['indent']}", "", match["text"], flags=re.MULTILINE)
            yield from commands_of_block(block, place, measured)
        if "learn" in page.parts or name == "docs/promises.md":
            continue  # prose about Python
        prose = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.DOTALL | re.MULTILINE)
        for span in re.findall(r"`([^`\n]+)`", prose):
            if re.match(rf"({'|'.join(PROGRAMS)}) \S", span) and "…" not in span:
                line = re.sub(r"<(pipeline|name)>", "mnist", span)
                for words in simple_commands(line):
                    # A sentence names the command alone: its options may be needed.
                    alone = all(re.fullmatch(r"-m|[a-z_.]+", word) for word in words[1:])
                    help_ = ["--help"] if alone and words[0] in ("python", "dvc") else []
                    yield Command(name, [*words, *help_], "", False)
    for bench in BENCHES:
        about = ast.get_docstring(ast.parse(bench.read_text("utf-8"))) or ""
        for line in re.findall(r"^\$ (.*)$", about, re.MULTILINE):
            for words in simple_commands(line):
                yield Command(f"bench/{bench.name}", words, "", False)


COMMANDS = list(commands())


def draw(file: Path, seed: int, channels: int = 3) -> None:
    """A picture of 227 x 227 pixels, unlike those of other seeds."""
    file.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, channels), np.uint8)
    Image.fromarray(coarse.squeeze()).resize((227, 227), Image.Resampling.BICUBIC).save(
        file, "JPEG"
    )


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The repository's configuration and code, its reader's photos, and a few outputs."""
    folder = tmp_path_factory.mktemp("checkout")
    home, project = folder / "home", folder / "project"
    project.mkdir()
    shutil.copytree(ROOT / "conf", project / "conf")
    shutil.copytree(ROOT / "reports", project / "reports", ignore=shutil.ignore_patterns("*.*g"))
    for name in ("params.yaml", "dvc.yaml", "Makefile", "README.md"):
        shutil.copy(ROOT / name, project)
    for name in ("src", "bench", "docs", "examples"):
        project.joinpath(name).symlink_to(ROOT / name)
    (project / ".dvc" / "tmp").mkdir(parents=True)
    shutil.copy(ROOT / ".dvc" / "config", project / ".dvc" / "config")

    flowers = ("daisy", "dandelion", "roses", "sunflowers", "tulips")
    for seed in range(100):
        draw(
            home / "photos" / "garden" / flowers[seed % 5] / f"{seed}.jpg",
            seed,
            1 if seed < 2 else 3,
        )
    rows = ["path,label"]
    for seed in range(24):
        name = f"{('cats', 'dogs')[seed % 2]}/{seed}.jpg"
        draw(home / "photos" / "pets" / name, 200 + seed)
        rows.append(f"pets/{name},{name[:3]}")
    (home / "photos" / "labels.csv").write_text("\n".join(rows))
    rows = ["image,labels"]
    for seed in range(40):
        draw(project / "photos" / "mosaics" / f"{seed}.jpg", 300 + seed)
        rows.append(f"{seed}.jpg,{';'.join(flowers[seed % 5 : seed % 5 + 2])}")
    (project / "photos" / "mosaics" / "labels.csv").write_text("\n".join(rows))
    shutil.make_archive(str(home / "photos" / "pets"), "zip", home / "photos" / "pets")
    (home / "data").mkdir()
    images = np.random.default_rng(7).integers(0, 256, (40, 28, 28), np.uint8)
    x, y = images, np.arange(40) % 10
    file = home / "data" / "digits.npz"
    np.savez(file, x_train=x[:30], y_train=y[:30], x_test=x[30:], y_test=y[30:])

    assets = project / "exports" / "flowers" / "assets"
    assets.mkdir(parents=True)
    Preprocessing(image_size=8, channels=3, fit="crop").write(assets / "preprocessing.json")
    (assets / "classes.txt").write_text("\n".join(flowers))
    (project / "data" / "normalized" / "mnist").mkdir(parents=True)
    np.save(project / "data" / "normalized" / "mnist" / "test.npy", images)
    draw(project / "rose.jpg", 1)
    for block in re.findall(r"```yaml\n(.*?)```", COMPONENTS.read_text("utf-8"), re.DOTALL):
        if "wide" in block:
            text = textwrap.dedent(f"    {block}")
            (project / "conf" / "model" / "wide.yaml").write_text(text)
    commit_all(project)

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        patch.setenv("HOME", str(home))
        for name in ("garden", "pets"):
            run_program("stages.new", [name, str(home / "photos" / name)])
        labels = ["photos/mosaics/labels.csv", "--separator", ";"]
        run_program("stages.new", ["mosaics", *labels])
        yield project


def run_program(module: str, words: list[str]) -> str:
    """What ``python -m <module>`` prints, on both streams."""
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [module, *words])
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            runpy.run_module(module, run_name="__main__")
    return printed.getvalue()


class OptionsAreReadError(Exception):
    """The program has read its options, and would begin its work."""


def read_options(main: Any, words: list[str]) -> None:
    """Lets a program read its options, and no more."""
    parsers = {name: getattr(argparse.ArgumentParser, name) for name in PARSERS}

    def reading(parse: Any) -> Any:
        def parse_args(parser: argparse.ArgumentParser, *given: Any, **options: Any) -> None:
            parse(parser, *given, **options)
            raise OptionsAreReadError

        return parse_args

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["program", *words])
        for name, parse in parsers.items():
            patch.setattr(argparse.ArgumentParser, name, reading(parse))
        with pytest.raises((OptionsAreReadError, SystemExit)) as end:
            main()
        assert not getattr(end.value, "code", None), f"the program does not take {words}"


def compose(stage: str, words: list[str]) -> str:
    """Composes and validates a stage's configuration as its program does; what that prints."""

    def nothing(config: Any) -> float:
        return 0.5  # of a trial

    nothing.__name__ = stage
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [f"stages.{stage}", *words])
        patch.setattr("stages.configuration.announced", lambda *given: contextlib.nullcontext())
        patch.setattr("stages.search.report", lambda *given: None)  # plots of trials
        patch.setattr(sys, "stdout", printed)
        patch.setattr(sys, "stderr", printed)
        with contextlib.suppress(SystemExit):
            configured(nothing)()
    return printed.getvalue()


def check_python(words: list[str]) -> str | None:
    if words[0] == "-c":
        exec(compile(words[1], "<page>", "exec"), {"__name__": "__main__"})
        return None
    if words[0] != "-m":
        script, source = ROOT / words[0], (ROOT / words[0]).read_text("utf-8")
        if "argparse" not in source:
            assert len(words) == 1, f"{words[0]} takes no options"
            return None
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(str(script.parent))
            read_options(lambda: runpy.run_path(str(script), run_name="__main__"), words[1:])
        return None
    module, words = words[1], words[2:]
    stage = module.removeprefix("stages.")
    if stage in SCHEMAS:
        # The launcher would start Ray: tests/pipeline/test_ray.py does.
        words = [re.sub(r"n_trials=\d+", "n_trials=1", word) for word in words]
        printed = compose(stage, [word for word in words if word != "hydra/launcher=ray"])
        return None if printed.startswith("pipeline: ") else printed
    if module == "stages.new":
        home = os.environ["HOME"]
        words = [word.replace("~", home, 1) for word in words]
        return run_program(module, [*words, "--force"]).replace(home, "/home/me")
    spec = importlib.util.find_spec(module)
    if spec is not None and spec.submodule_search_locations:
        spec = importlib.util.find_spec(f"{module}.__main__")
    if "argparse" not in Path(str(spec and spec.origin)).read_text():
        assert words in ([], ["--help"]), f"{module} takes no options"
        return None
    read_options(lambda: runpy.run_module(module, run_name="__main__"), words)
    return None


def check_make(words: list[str]) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for word in words:
        variable, equals, _ = word.partition("=")
        pattern = rf"\$\((if \$\()?{variable}\)|^{variable} \?=" if equals else rf"^{word}:.*## "
        assert re.search(pattern, makefile, re.MULTILINE), f"the Makefile has no {word}"


def check_dvc(words: list[str]) -> str | None:
    from dvc.cli.parser import get_main_parser
    from dvc.utils.hydra import apply_overrides, get_hydra_sweeps

    parser = get_main_parser()
    if words[-1] == "--help":
        with contextlib.redirect_stdout(io.StringIO()), pytest.raises(SystemExit, match="0"):
            parser.parse_args(words)
        return None
    arguments = parser.parse_args(words)
    stages = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
    pipelines = YAML(typ="safe").load(Path("params.yaml"))["pipelines"]
    for target in [*(getattr(arguments, "targets", None) or ())]:
        if "@" in target:
            stage, _, pipeline = target.partition("@")
            assert stage in stages and pipeline in pipelines, f"there is no stage {target}"
    given = getattr(arguments, "set_param", None) or []
    for overrides in get_hydra_sweeps({"params.yaml": given}) if given else []:
        before = Path("params.yaml").read_bytes()
        apply_overrides("params.yaml", overrides["params.yaml"])
        refused = ""
        for override in overrides["params.yaml"]:
            _, pipeline, stage, *_ = override.split("=")[0].split(".")
            refused += compose(stage, [f"pipeline={pipeline}"])
        Path("params.yaml").write_bytes(before)
        assert not refused
    if words == ["metrics", "show"]:
        from dvc.repo import Repo

        with Repo() as repo:
            return json.dumps(repo.metrics.show(), default=str)
    return None


@cache
def check(program: str, *given: str) -> str | None:
    """Checks a command in the working directory; gives what it printed, if it ran."""
    words = list(given)
    if program == "python":
        return check_python(words)
    if program == "make":
        check_make(words)
        return None
    if program == "classify":
        from classifier.apps.classify import main

        read_options(main, words)
        return None
    assert program == "dvc", "say in NOT_CHECKED why it is not checked"
    return check_dvc(words)


def those_columns(shown: str, printed: str) -> str:
    """The table of ``dvc metrics show`` with the columns that the page shows."""
    (_, *keys), *rows = (line.split() for line in shown.splitlines())
    there = json.loads(printed)[""]["data"]
    lines = ["  ".join(["Path", *keys])]
    for path in (row[0] for row in rows):
        values = (there[path]["data"][key] for key in keys)
        texts = (f"{value:.5g}" if isinstance(value, float) else str(value) for value in values)
        lines.append("  ".join([path, *texts]))
    return "\n".join(lines)


@pytest.mark.parametrize("place", dict.fromkeys(shown.place for shown in COMMANDS))
def test_commands_exist_and_print_what_the_page_shows(place: str, checkout: Path) -> None:
    for given in (each for each in COMMANDS if each.place == place):
        if f"{given.text} ".startswith(tuple(NOT_CHECKED)):
            assert given.measured or not given.shown, f"{place}: not marked as measured"
            continue
        printed = check(*given.words)
        if not given.shown or given.measured:
            continue
        assert printed is not None, f"{place}: {given.text} did not run: mark it as measured"
        shown = given.shown
        if "metrics show" in given.text:
            shown = "\n".join("  ".join(line.split()) for line in shown.splitlines())
            printed = those_columns(given.shown, printed)
        page, found = (text.strip().splitlines() for text in (shown, printed))
        difference = "\n".join(difflib.unified_diff(page, found, "page", "printed", lineterm=""))
        assert not difference, f"{place}: {given.text}\n{difference}"


def test_what_is_not_checked_is_on_a_page() -> None:
    texts = [f"{given.text} " for given in COMMANDS]
    for begin, why in NOT_CHECKED.items():
        assert why
        assert any(text.startswith(begin) for text in texts), f"no page has '{begin}'"
    assert len(COMMANDS) > 150


@pytest.mark.slow
def test_the_model_that_is_added_in_ten_lines(tmp_path: Path) -> None:
    """The function of the page takes what its YAML file has, and answers with probabilities."""
    text = COMPONENTS.read_text("utf-8")
    code = textwrap.dedent(
        re.findall(r"^( *)```python\n(.*?)^ *```$", text, re.DOTALL | re.M)[0][1]
    )
    tmp_path.joinpath("wide.py").write_text(
        f"{code}\n\nimport numpy as np\n"
        "model = wide((8, 8, 3), 5, keras.layers.Rescaling(1 / 255), filters=4)\n"
        "answer = model(np.zeros((2, 8, 8, 3), np.uint8)).numpy()\n"
        "print(answer.shape, answer.sum(axis=1).round(3).tolist())\n"
    )
    assert "(2, 5) [1.0, 1.0]" in command(PYTHON, "wide.py", cwd=tmp_path).stdout
