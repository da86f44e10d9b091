"""What `make repro` does first: completes the files that DVC reads, where Hydra has defaults.

$ python -m stages.prepare        # before a bare `dvc repro`, after a new pipeline or model

DVC has no defaults. It needs the name of each group's file in params.yaml, the path of a folder of
photos, of corrections of labels or of a transferred base, and a file with the name of each chosen
model in src/classifier/models, to run a stage again when these files change.
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Collection, Sequence
from importlib.machinery import PathFinder
from os.path import relpath
from pathlib import Path
from typing import Any

from ruamel.yaml.comments import CommentedMap

from classifier.layouts.summary import first_names
from classifier.sources.source import Source
from classifier.support.errors import InputError
from stages import depends_on
from stages.git import is_tracked, not_tracked
from stages.layout import output
from stages.one_line import stops_in_one_line
from stages.params import OUTSIDE, read_params, round_trip, write_params
from stages.schemas import SCHEMAS

MODELS = Path("src", "classifier", "models")
NO_SCM = re.compile(r"^\s*no_scm\s*=\s*true\s*$", re.MULTILINE | re.IGNORECASE)


def prepare() -> list[str]:
    """Completes params.yaml, whose comments stay, and links the models' modules.

    Returns:
        A line for each change.

    Raises:
        InputError: params.yaml cannot be read or completed, or a model has no module.
    """
    params = read_params()
    lines = []
    for pipeline, sections in params["pipelines"].items():
        if sections is None:
            params["pipelines"][pipeline] = sections = CommentedMap()
        for stage in SCHEMAS:
            if isinstance(sections.get(stage) or {}, dict):  # else the stage says what is wrong
                given = sections.get(stage)
                section, added = completed(pipeline, stage, given, params["pipelines"])
                if added:
                    sections[stage] = section
                    lines += added
    links = [link for sections in params["pipelines"].values() for link in link_model(sections)]
    if lines:
        write_params(params)
    return lines + links


def without_git() -> list[str]:
    """Tells DVC, which refuses to run otherwise, that this checkout has no git: a source archive.

    Returns:
        A line, if DVC was not told before.
    """
    root = Path.cwd()
    files = [root / ".dvc" / name for name in ("config", "config.local")]
    told = [file.is_file() and NO_SCM.search(file.read_text("utf-8")) for file in files]
    if any(told) or any((folder / ".git").exists() for folder in (root, *root.parents)):
        return []
    words = ["config", "--local", "core.no_scm", "true"]
    result = subprocess.run([sys.executable, "-m", "dvc", *words], capture_output=True, text=True)
    if result.returncode:
        raise InputError(f"dvc {' '.join(words)}: {' '.join(result.stderr.split())}")
    return [f"no git repository here: 'dvc {' '.join(words)}', which DVC needs to run without one"]


def unknown_to_git() -> list[str]:
    """A line, if git does not track a file of conf/ or src/ yet."""
    files = not_tracked("conf", "src")
    if not files:
        return []
    return [
        f"git does not track {first_names(files, 3)}: 'git add' before 'dvc exp run --queue', "
        "whose copy has only what git tracks"
    ]


def completed(
    pipeline: str, stage: str, section: Any, pipelines: Collection[Any]
) -> tuple[Any, list[str]]:
    """A section of params.yaml with what it left out, and a line for each addition.

    Args:
        pipelines: the names of all pipelines, which a base may be.

    Raises:
        InputError: a group without a default is missing, or DVC cannot look after a path.
    """
    if section is None:
        section = CommentedMap()
        section.fa.set_flow_style()
    place = f"pipelines.{pipeline}.{stage}"
    lines = add_groups(place, stage, section)
    if stage in READS:
        lines += add_dependency(pipeline, stage, section, READS[stage](section, pipelines))
    return section, lines


def add_groups(place: str, stage: str, section: Any) -> list[str]:
    """Adds the missing groups to a section, as the defaults of conf/<stage>.yaml."""
    given = section.get("groups") or {}
    if not isinstance(given, dict):
        return []  # the stage says what is wrong
    groups: Any = given or CommentedMap()
    wanted = {
        key: choice
        for key, choice in default_groups(stage).items()
        if key not in OUTSIDE.get(stage, ())
    }
    missing = {key: choice for key, choice in wanted.items() if key not in groups}
    if not missing:
        return []
    for group, choice in missing.items():
        if choice == "???":
            choices = sorted(path.stem for path in Path("conf", group).glob("*.yaml"))
            raise InputError(f"{place}.groups has no {group}: choose {' | '.join(choices)}")
    if not groups:
        groups.fa.set_flow_style()
    groups.update(missing)
    section["groups"] = groups
    words = ", ".join(f"{group}: {choice}" for group, choice in missing.items())
    return [f"params.yaml: {place}.groups: added the default {words}"]


def add_dependency(pipeline: str, stage: str, section: Any, paths: Sequence[str]) -> list[str]:
    """Sets ``depends_on`` of a section to the path that the stage reads, or to the default.

    A value that covers the paths stays, and so does any other where the stage reads no such path. A
    relative value does not cover an absolute path in the copy of a queued experiment.

    Raises:
        InputError: a path is of the pipeline itself, or DVC cannot look after all paths.
    """
    place, given = f"pipelines.{pipeline}.{stage}", section.get("depends_on")
    for read in paths:
        if stage == "train" and Path(read).parent == output("train", pipeline):
            key = key_of(read, section)
            other = "'last'" if key == "continue_from" else "another one"
            raise InputError(f"{place}.{key} is the pipeline itself: name {other}")
    path = paths[0] if paths else None
    try:
        if given is None and len(paths) < 2:
            section["depends_on"] = depends_on.known_to_dvc(path or depends_on.default(stage))
            return [f"params.yaml: {place}: added depends_on: {section['depends_on']}"]
        stays = not isinstance(given, str) or all(_stays(given, read) for read in paths)
        if given is not None and stays:
            depends_on.known_to_dvc(str(given))
            return []
    except ValueError as error:
        raise InputError(f"{place}.depends_on is '{given}': {error}") from None
    if len(paths) > 1:
        raise InputError(
            f"{place} reads {' and '.join(paths)}, and DVC looks after one path more: set "
            "depends_on to a folder with both and nothing else, or name one of them by its version "
            "in MLflow (models:/<name>/<version>)"
        )
    section["depends_on"] = path
    return [f"params.yaml: {place}: changed depends_on from {given} to {path}"]


def key_of(path: str, section: Any) -> str:
    """The key of a train section that names the model in a path of the pipeline itself."""
    if depends_on.continued_file(section.get("continue_from")) == path:
        return "continue_from"
    return "teacher.source" if (section.get("teacher") or {}).get("source") else "model.base"


def _stays(given: str, path: str) -> bool:
    everywhere = Path(given).is_absolute() or not Path(path).is_absolute()
    return everywhere and depends_on.covers(given, path)


def read_by_download(section: Any, pipelines: Collection[Any]) -> list[str]:
    """The local folder or file that the section's dataset comes from, or the folder of its parts.

    It is absolute where git does not track it: the copy of a queued experiment does not have it.
    """
    dataset = _chosen("dataset", section)
    sources = dataset.get("sources")
    try:
        places = [Source(**source) for source in sources or []]
    except (TypeError, ValueError):
        return []  # the stage says what is wrong
    path = depends_on.local_photos(places, section.get("source") or "auto")
    if path is None:
        return []
    return [path if is_tracked(path) else Path(path).resolve().as_posix()]


def read_by_split(section: Any, pipelines: Collection[Any]) -> list[str]:
    """The file with the corrections of labels."""
    path = section.get("corrections")
    return [path] if isinstance(path, str) else []


def read_by_train(section: Any, pipelines: Collection[Any]) -> list[str]:
    """The local files of the models that the section's model begins with and learns from."""
    found = [
        depends_on.base_file(_chosen("model", section), pipelines),
        depends_on.continued_file(section.get("continue_from")),
        depends_on.taught_by(_chosen("teacher", section), pipelines),
    ]
    return list(dict.fromkeys(path for path in found if path))


READS = {"download": read_by_download, "split": read_by_split, "train": read_by_train}


def _chosen(group: str, section: Any) -> dict[str, Any]:
    """The YAML file of the group's choice, with what the section says instead."""
    groups = section.get("groups")
    choice = groups.get(group) if isinstance(groups, dict) else None
    file = Path("conf", group, f"{choice}.yaml")
    parts = [round_trip().load(file) if file.is_file() else None, section.get(group)]
    first, second = (part if isinstance(part, dict) else {} for part in parts)
    return {**first, **second}


def default_groups(stage: str) -> dict[str, str]:
    """The choice of each group of the stage in its defaults list; ``???`` for no default."""
    groups: dict[str, str] = {}
    for entry in round_trip().load(Path("conf", f"{stage}.yaml"))["defaults"]:
        if isinstance(entry, dict):
            groups |= entry
    return groups


def link_model(sections: dict[str, Any]) -> list[str]:
    """Links src/classifier/models/<model>.py to the module that conf/model/<model>.yaml builds.

    A family has a module of its name. A YAML file that reuses a family, or a module elsewhere, has
    none: DVC looks after the file that the link leads to.

    Returns:
        A line, if there was no such link.

    Raises:
        InputError: there is no such module, or another module has the model's name.
    """
    name = sections["train"]["groups"]["model"] if _has_model(sections) else ""
    conf = Path("conf", "model", f"{name}.yaml")
    if not conf.is_file():
        return []  # the stage names the nearest model
    target = (round_trip().load(conf) or {}).get("_target_")
    module = module_file(target) if isinstance(target, str) else None
    link = MODELS / f"{name}.py"
    if module is None:
        raise InputError(f"{conf}: no module of _target_ {target}: put it into src/")
    if link.exists() and link.samefile(module):
        return []
    if link.exists() and not link.is_symlink():
        raise InputError(
            f"{conf} builds {target}, but {link} is another module: rename one of the two"
        )
    inside = module.is_relative_to(Path.cwd())
    try:
        link.unlink(missing_ok=True)
        link.symlink_to(relpath(module, MODELS.resolve()) if inside else module)
    except OSError as error:  # Windows: links need the developer mode
        raise InputError(f"{link} cannot be made a link to {module}: {error.strerror}") from error
    return [f"{link}: linked to {link.readlink()}, which {conf} builds"]


def _has_model(sections: dict[str, Any]) -> bool:
    train = sections.get("train")
    groups = train.get("groups") if isinstance(train, dict) else None
    return isinstance(groups, dict) and isinstance(groups.get("model"), str)


def module_file(target: str) -> Path | None:
    """The file of the module in ``target``, such as ``package.module.function``; None for none.

    Nothing is imported: a module of the checkout's src/ comes first.
    """
    folders: Any = [str(Path("src").resolve()), *sys.path]
    origin, words = None, target.split(".")
    for number in range(1, len(words)):
        spec = PathFinder.find_spec(".".join(words[:number]), folders)
        if spec is None:
            break
        origin = spec.origin
        folders = spec.submodule_search_locations
        if folders is None:
            break
    return Path(origin) if origin and Path(origin).is_file() else None


def main() -> None:
    argparse.ArgumentParser(
        prog="python -m stages.prepare",
        description="Completes params.yaml with what DVC needs, and prints what it changed",
    ).parse_args()
    with stops_in_one_line("prepare"):
        for line in [*prepare(), *without_git(), *unknown_to_git()]:
            print(line)


if __name__ == "__main__":
    main()
