"""The key ``depends_on``: one path that a stage reads and that dvc.yaml does not name by itself.

dvc.yaml has no conditions. So the key always has a value: where the stage reads nothing else, its
own conf/<stage>.yaml, which is a dependency anyway.
"""

import logging
import os
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Protocol

from classifier.support.errors import InputError
from stages.layout import located, output

log = logging.getLogger(__name__)
MLFLOW = ("models:/", "runs:/")  # beginnings of the URI of a model in MLflow
TRAINED = (".keras", ".h5", ".hdf5")  # suffixes of a file with a trained model
HASH = "md5:"  # the beginning of a model's name by the hash that DVC has for it
RUN = re.compile(r"(runs:/)?[0-9a-f]{32}")  # the id of an MLflow run


class Place(Protocol):
    """A source of a dataset."""

    kind: Any
    path: str | None
    parts: Any  # of a merged source: places by name


def default(stage: str) -> str:
    """The path of a stage that reads nothing besides what dvc.yaml names."""
    return f"conf/{stage}.yaml"


def known_to_dvc(path: str) -> str:
    """The path as it is.

    Raises:
        ValueError: it is empty, or it begins with ``~``, which DVC takes for a folder's name.
    """
    if not path:
        raise ValueError("must be a path")
    if path.startswith("~"):
        raise ValueError(f"DVC does not know '~': write {Path(path).expanduser()}")
    return path


def first_folder(sources: Sequence[Place], kind: str) -> str | None:
    """The folder or file that a dataset comes from, if its first source is one that exists."""
    first = next((source for source in sources if kind in ("auto", source.kind)), None)
    path = first.path if first and first.kind == "folder" else None
    return located(path).as_posix() if path and located(path).exists() else None


def local_photos(sources: Sequence[Place], kind: str) -> str | None:
    """The path of :func:`first_folder`; for merged sources, the folder of all that are local.

    None for such a folder with anything besides the parts: DVC would look after that, too.
    """
    first = next((source for source in sources if kind in ("auto", source.kind)), None)
    if first is None or not first.parts:
        return first_folder(sources, kind)
    places = [first_folder([part], "auto") for part in first.parts.values()]
    paths = [Path(place).resolve() for place in places if place]
    if len(paths) < 2:
        return paths[0].as_posix() if paths else None
    common = Path(os.path.commonpath(paths))
    parts = {path.relative_to(common).parts[0] for path in paths if path != common}
    others = {entry.name for entry in common.iterdir() if entry.name[0] != "."} - parts
    if others and common not in paths:  # one part may be the folder of the others
        return None
    here = Path.cwd()
    return (common.relative_to(here) if common.is_relative_to(here) else common).as_posix()


def base_file(model: Any, pipelines: Collection[Any]) -> str | None:
    """The file with the weights that a model's configuration names; None for no local file."""
    base = model.get("base")
    if not isinstance(base, str):
        return None
    if base in pipelines:
        return (output("train", base) / "model.keras").as_posix()
    if base.startswith(MLFLOW):
        return None
    return _expanded(base) if Path(base).suffix in TRAINED else None


def continuable(source: str) -> str:
    """The source of a training that is to go on, as it is.

    Raises:
        ValueError: it is none of the kinds that can be continued.
    """
    of_hash = re.fullmatch(rf"{HASH}[0-9a-f]{{32}}", source)
    of_mlflow = source.startswith("models:/") or RUN.fullmatch(source)
    if source == "last" or of_hash or of_mlflow or continued_file(source):
        return source
    raise ValueError(
        "must be last, the id of an MLflow run, models:/<name>/<version>, models:/<name>@<alias>, "
        f"{HASH}<hash>, or a .keras file"
    )


def continued_file(source: Any) -> str | None:
    """The local file with the model that a training goes on from; None for no local file."""
    is_file = isinstance(source, str) and ":/" not in source and source.endswith(".keras")
    return _expanded(source) if is_file else None


def taught_by(teacher: Any, pipelines: Collection[Any]) -> str | None:
    """The local file or folder of a teacher's configuration; None for none."""
    source = teacher.get("source")
    if not isinstance(source, str) or source.startswith(MLFLOW):
        return None
    if source in pipelines:
        return (output("train", source) / "model.keras").as_posix()
    return _expanded(source)


def covers(depends_on: str, path: str) -> bool:
    """Whether ``depends_on`` is the path, or a folder that it is in."""
    return Path(path).resolve().is_relative_to(Path(depends_on).resolve())


def warn_unless_covered(pipeline: str, stage: str, depends_on: str, path: str | None) -> None:
    """Logs a line if the stage reads ``path``, and DVC does not look after it."""
    if path and not covers(depends_on, path):
        log.warning(
            "DVC does not look after %s, which %s reads: in params.yaml, set pipelines.%s.%s."
            "depends_on to %s (now %s), or run 'python -m stages.prepare'",
            path,
            stage,
            pipeline,
            stage,
            path,
            depends_on,
        )


def check_covered(pipeline: str, stage: str, depends_on: str, path: str | None) -> None:
    """Checks that DVC looks after photos of which no copy is kept.

    Raises:
        InputError: it does not, so that a change of them would not be noticed.
    """
    if path and not covers(depends_on, path):
        raise InputError(
            f"in_place needs DVC to look after {path}: in params.yaml, set "
            f"pipelines.{pipeline}.{stage}.depends_on to {path} (now {depends_on}), or run "
            "'python -m stages.prepare'"
        )


def _expanded(path: str) -> str:
    return Path(path).expanduser().as_posix() if path.startswith("~") else path
