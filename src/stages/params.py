"""params.yaml, read and written with its comments."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML, YAMLError

from classifier.support.atomic import atomic_path
from classifier.support.errors import InputError

PARAMS = Path("params.yaml")
# What DVC's and Hydra's command lines, MLflow's registry and every file system take as it is.
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
LONGEST = 64  # characters: a path with the name has to fit into the 260 of Windows
# Numbers and truth values for YAML or Hydra, and devices for Windows, in any case.
TAKEN = {"null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf"}
TAKEN |= {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}

# Groups that change no output, by stage. params.yaml has them beside `pipelines`: DVC looks at the
# sections of a pipeline, and would run the stage again for a change there.
OUTSIDE = {"train": ("logger",)}


def round_trip() -> YAML:
    """A reader and writer that keeps comments, quotes and the order of keys."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 1000
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def _load(yaml: YAML) -> Any:
    if not PARAMS.exists():
        raise InputError(f"no {PARAMS} in {Path.cwd()}: run this in the root of the checkout")
    try:
        params = yaml.load(PARAMS)
    except (YAMLError, ValueError) as error:  # ValueError: bytes that are not UTF-8, a date
        raise InputError(f"{PARAMS} is not YAML: {' '.join(str(error).split())}") from None
    pipelines = params.get("pipelines") if isinstance(params, dict) else None
    if not isinstance(pipelines, dict) or not pipelines:
        raise InputError(f"{PARAMS} has no pipelines: write 'pipelines: {{<name>: {{…}}}}'")
    check_names(list(pipelines))
    for name, sections in pipelines.items():
        if not isinstance(sections or {}, dict):
            raise InputError(
                f"pipelines.{name} of {PARAMS} is '{sections}': must be stages and their sections"
            )
    return params


def check_names(names: Sequence[Any], kind: str = f"{PARAMS} has the pipeline") -> None:
    """Checks the names of pipelines, which become names of DVC stages, folders and MLflow models.

    Args:
        kind: what a message calls a name.

    Raises:
        InputError: a name is not a NAME, is TAKEN or too long, or differs from another in case
            alone.
    """
    lower: dict[str, str] = {}
    for name in names:
        text = " ".join(str(name).split())
        place = f"{kind} '{text}'"
        if not isinstance(name, str) or not NAME.fullmatch(name) or len(name) > LONGEST:
            raise InputError(
                f"{place}: a name is a letter, then letters of A to Z, digits, _ and -, at most "
                f"{LONGEST}: write {_similar(text)}"
            )
        if name.lower() in TAKEN:
            raise InputError(
                f"{place}, a word with a meaning for YAML, Hydra or Windows: write {_similar(text)}"
            )
        other = lower.setdefault(name.lower(), name)
        if other != name:
            raise InputError(f"{place} and '{other}': on some disks these are one folder")


def _similar(name: str) -> str:
    """A valid name like this one."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", name)
    if not re.match("[A-Za-z]", plain) or plain.lower() in TAKEN:
        plain = f"data_{plain.lstrip('_')}"
    return plain.rstrip("_")[:LONGEST]


def pipelines() -> dict[str, Any]:
    """The sections of params.yaml by pipeline, with the values that DVC reads (YAML 1.2).

    Raises:
        InputError: there is no params.yaml here, it is not YAML, or it has no pipelines or one with
            a wrong name.
    """
    return {name: sections or {} for name, sections in _load(YAML(typ="safe"))["pipelines"].items()}


def groups_outside(stage: str) -> dict[str, str]:
    """The stage's groups of OUTSIDE that params.yaml chooses.

    Raises:
        InputError: as :func:`pipelines`, or a choice is no text.
    """
    names = OUTSIDE.get(stage, ())
    params = _load(YAML(typ="safe")) if names else {}
    chosen = {name: params[name] for name in names if name in params}
    for name, choice in chosen.items():
        if not isinstance(choice, str):
            raise InputError(
                f"{name} of {PARAMS} is '{choice}': must be the name of a file in conf/{name}"
            )
    return chosen


def value(sections: Any, *keys: str) -> Any:
    """The value of a key below other keys; None where there is none."""
    for key in keys:
        sections = sections.get(key) if isinstance(sections, dict) else None
    return sections


def used_by(dataset: str) -> list[str]:
    """The pipelines of another name that have the dataset."""
    return [
        name
        for name, sections in pipelines().items()
        if name != dataset and value(sections, "download", "groups", "dataset") == dataset
    ]


def read_params() -> Any:
    """The content of params.yaml with its comments, for :func:`write_params`.

    Raises:
        InputError: as :func:`pipelines`.
    """
    return _load(round_trip())


def params_without(pipeline: str) -> Any:
    """The content of params.yaml without a pipeline's section, for :func:`write_params`.

    The comments right above the section go with it; ruamel.yaml would take those above the next.
    ``pipelines`` is None if there was no other.

    Raises:
        InputError: as :func:`pipelines`, or another part of the file refers to the section.
    """
    params = read_params()
    of_file = params["pipelines"]
    if of_file.fa.flow_style():
        del of_file[pipeline]
        return params
    lines = PARAMS.read_text("utf-8").splitlines(keepends=True)
    start, column = of_file.lc.key(pipeline)
    end = start + 1
    while end < len(lines) and (not lines[end].strip() or _indentation(lines[end]) > column):
        end += 1
    while lines[start - 1].lstrip().startswith("#") and _indentation(lines[start - 1]) == column:
        start -= 1
    try:
        return round_trip().load("".join(lines[:start] + lines[end:]).rstrip() + "\n")
    except YAMLError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{PARAMS} is no YAML without pipelines.{pipeline}: {reason}") from None


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip())


def write_params(params: Any) -> None:
    """Writes the content of :func:`read_params` back, atomically."""
    with atomic_path(PARAMS) as temporary:
        round_trip().dump(params, temporary)
