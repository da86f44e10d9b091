"""The page of commands: what each prints for --help, and the targets of the Makefile."""

import ast
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from reference.docstrings import markdown
from reference.tables import code, head, keys, row, text
from stages.params import round_trip
from stages.schemas import SCHEMAS

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src"
HEAD = """\
# Commands

Run them in the root of the checkout, in its virtual environment: `source .venv/bin/activate`.

"""
STAGES = """\
## Stages

`dvc repro` runs the stages whose inputs changed. `dvc repro train@flowers` runs one stage of one
pipeline, and the stages before it. DVC calls each stage with one of the commands below. You can
call one yourself, to try a value that is not in `params.yaml`. The stage then writes its output
without DVC's record, and the next `dvc repro` runs it again.

- `pipeline=<name>` is needed: a pipeline of `params.yaml`.
- `<key>=<value>` overrides a key of the stage's [parameters](parameters.md), such as `epochs=3` or
  `optimizer.learning_rate=0.01`. `<group>=<choice>` takes another file of `conf/<group>/`, such as
  `model=residual`.
- `--cfg job` prints the configuration, and runs nothing.
- `--multirun`, with commas between values, runs the stage once for each value:
  `epochs=3,6 optimizer=adam,sgd` makes four runs.
- `--help` prints the groups with their choices, and the configuration. It needs `pipeline=<name>`.

The command line is [Hydra's](https://hydra.cc/docs/advanced/override_grammar/basic/).

"""


def page() -> str:
    """The Markdown page."""
    commands = [module for module in programs() if module.removeprefix("stages.") not in SCHEMAS]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        helps = list(pool.map(help_of, commands))
    sections = [HEAD, make_targets((ROOT / "Makefile").read_text("utf-8")), STAGES, stages()]
    sections.append("## Programs\n\n")
    for module, shown in zip(commands, helps, strict=True):
        name = f"python -m {module}"
        sections += [f"### {name}\n\n", markdown(docstring_of(module)), "\n\n"]
        if shown:
            sections.append(f"```text\n$ {name} --help\n{shown}\n```\n\n")
    return "".join(sections)


def programs(src: Path = SRC) -> list[str]:
    """The modules with a ``main()`` that ``python -m`` runs."""
    found = []
    for path in sorted(src.rglob("*.py")):
        if re.search(r'^if __name__ == "__main__":', path.read_text("utf-8"), re.MULTILINE):
            module = ".".join(path.relative_to(src).with_suffix("").parts)
            found.append(module.removesuffix(".__main__"))
    return found


def source(module: str) -> str:
    place = SRC.joinpath(*module.split("."))
    file = place / "__main__.py" if place.is_dir() else place.with_suffix(".py")
    return file.read_text("utf-8")


def docstring_of(module: str) -> str:
    """The docstring of a module, which is not imported."""
    return ast.get_docstring(ast.parse(source(module))) or ""


def help_of(module: str) -> str:
    """What the program prints for --help; empty if it takes no arguments."""
    if "argparse" not in source(module):
        return ""
    paths = os.pathsep.join([str(SRC), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": paths, "COLUMNS": "80", "NO_COLOR": "1"}
    words = [sys.executable, "-m", module, "--help"]
    result = subprocess.run(
        words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if result.returncode:
        raise RuntimeError(f"{' '.join(words[1:])} failed: {result.stderr}")
    return result.stdout.strip()


def stages() -> str:
    """A section of a line or two for each stage, in the order of dvc.yaml."""
    described = round_trip().load(ROOT / "dvc.yaml")["stages"]
    parts = []
    for stage in SCHEMAS:
        command = described[stage]["do"]["cmd"].replace("${key}", "<name>")
        about = described[stage]["do"]["desc"]
        link = f"Its keys: [parameters](parameters.md#{stage})."
        parts.append(f"### {stage}\n\n{about} {link}\n\n```console\n$ {command}\n```\n\n")
    return "".join(parts)


def make_targets(makefile: str) -> str:
    """A table of the targets for each group: a line ``##@ Group`` begins one."""
    groups: dict[str, list[str]] = {}
    for line in makefile.splitlines():
        if line.startswith("##@ "):
            rows = groups.setdefault(line.removeprefix("##@ "), head("Target", "What it does"))
        elif match := re.match(r"([a-z-]+):.*## (.*)", line):
            rows.append(row(code(f"make {match[1]}"), text(match[2])))
    parts = (f"**{group}**\n\n{keys(rows)}\n" for group, rows in groups.items())
    return "## make\n\n" + "".join(parts)
