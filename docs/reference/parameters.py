"""The page of parameters: each key of a stage and of the choices of its groups.

Types and limits come from the schemas and from the signatures of the functions; defaults and
meanings come from the YAML files in conf/ and their comments.
"""

import dataclasses
import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, get_args

from reference.commented_yaml import CommentedYaml, Key
from reference.docstrings import markdown
from reference.tables import code, head, keys, reference, row, text
from reference.targets import target
from reference.types import described, hints_in, kind_of
from stages.params import OUTSIDE
from stages.schemas import SCHEMAS

ROOT = Path(__file__).parents[2]
CONF = ROOT / "conf"
HEAD = """\
# Parameters

`params.yaml` has a section for each pipeline, and in it a section for each stage. What you do not
set there has the default below, which stands in `conf/<stage>.yaml`. For example, `epochs` in the
table of [train](#train) is `pipelines.<name>.train.epochs` in `params.yaml`:

```yaml
pipelines:
  flowers:
    train:
      groups: {model: residual} # a file of conf/model/
      epochs: 20 # a key of the stage
      model: {dropout: 0.3} # a key of that file
```

A key under `groups` chooses a file of `conf/<group>/`. The keys of the chosen file are those of
its own table, further down this page, and stand under the name of the group: `model.dropout`.
After you choose another file, delete the keys of the old one that the new one does not have. An
unknown key, a value of another type and a value outside its limits stop the stage before it works.

"""
NEEDED = "none: give one"


class Row(NamedTuple):
    key: str
    values: str
    default: str
    meaning: str


class UnexplainedError(Exception):
    """A key has no comment."""


def page() -> str:
    """The Markdown page."""
    parts = [HEAD, *map(stage_section, SCHEMAS)]
    parts += [group_section(stage, group) for stage in SCHEMAS for group in groups(stage)]
    return "".join([*parts, recipes()])


@cache
def read(path: Path) -> CommentedYaml:
    return CommentedYaml(path)


def defaults_of(stage: str) -> CommentedYaml:
    return read(CONF / f"{stage}.yaml")


def groups(stage: str) -> list[str]:
    """The groups of a stage, from Hydra's list of defaults."""
    entries = defaults_of(stage).values["defaults"]
    return [name for entry in entries if isinstance(entry, dict) for name in entry]


def choices(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def stage_section(stage: str) -> str:
    rows = [*group_rows(stage), *stage_rows(stage)]
    about = read(ROOT / "dvc.yaml").values["stages"][stage]["do"]["desc"]
    return f"## {stage}\n\n{about}\n\n{table(rows)}\n"


def table(rows: list[Row]) -> str:
    return keys(
        head("Key", "Type and limits", "Default", "Meaning")
        + [row(code(r.key), r.values, r.default, text(r.meaning)) for r in rows]
    )


def group_rows(stage: str) -> Iterator[Row]:
    """A row for each group of the stage: which file of conf/ it takes."""
    file = defaults_of(stage)
    for group in groups(stage):
        values = (
            f"[a choice of {group}](#{anchor(group)}): {' or '.join(map(code, choices(group)))}"
        )
        place = ("defaults", group)
        meaning = explained(f"{file.path}: {group}", file.comments[place])
        yield Row(f"groups.{group}", values, shown(file, place), meaning)


def stage_rows(stage: str) -> Iterator[Row]:
    """A row for each key of the stage's file and schema, without those of its groups' files."""
    yield from schema_rows(SCHEMAS[stage], defaults_of(stage), (), set(groups(stage)))


def schema_rows(schema: Any, file: CommentedYaml, place: Key, grouped: set[str]) -> Iterator[Row]:
    """The keys of a dataclass, with the defaults and comments below ``place`` of a file."""
    fields = {field.name: field for field in dataclasses.fields(schema)}
    hints = hints_in(schema)
    there = file.values
    for word in place:
        there = there.get(word, {})
    for key in [
        *(key for key in there if key in fields),
        *(key for key in fields if key not in there),
    ]:
        inner, here = nested(hints[key]), (*place, key)
        if key in grouped and inner is None:
            continue
        name = ".".join(here)
        if inner is None or key not in grouped:
            default = shown(file, here) if here in file.texts else own_default(fields[key])
            if inner is not None and not default:
                default = "those of its keys"
            comment = file.comments.get(here) or comment_in(schema, key)
            meaning = explained(f"{file.path}: {name}", comment)
            yield Row(name, described(hints[key]), default, meaning)
        if inner is not None:
            yield from schema_rows(inner, file, here, set())


def nested(hint: Any) -> Any:
    """The dataclass that a type is, or has in a list; None for others."""
    kinds = (kind for kind in (hint, *get_args(hint)) if isinstance(kind, type))
    return next(filter(dataclasses.is_dataclass, kinds), None)


def own_default(field: Any) -> str:
    value = getattr(field.default, "default", field.default)  # pydantic's fields have their own
    if value is dataclasses.MISSING:
        return NEEDED
    return code("null" if value is None else str(value))


def comment_in(schema: Any, key: str) -> str:
    """The comment of a field in the source of the dataclass, or of one that it inherits from.

    It stands at the end of the field's line, or in the lines above it.
    """
    for kind in inspect.getmro(schema):
        if key in vars(kind).get("__annotations__", {}):
            field = rf"((?:^    # .*\n)*)^    {key}: [^#\n]*(#.*)?$"
            found = re.search(field, inspect.getsource(kind), re.MULTILINE)
            lines = [*found[1].splitlines(), found[2] or ""] if found else []
            return " ".join(line.strip(" #") for line in lines).strip()
    return ""


def shown(file: CommentedYaml, place: Key) -> str:
    """The default of a key as it is written in the file."""
    written = file.texts[place]
    return NEEDED if written == "???" else code(written) if written else ""


def explained(place: str, comment: str) -> str:
    """The comment.

    Raises:
        UnexplainedError: there is none.
    """
    if not comment:
        place = place.removeprefix(f"{ROOT}/")
        raise UnexplainedError(f"{place} has no comment that says what it means: add one beside it")
    return comment


def anchor(group: str) -> str:
    return f"group-{group}"


def group_section(stage: str, group: str) -> str:
    parts = [f"## Group {group} {{#{anchor(group)}}}\n\n"]
    outside = group in OUTSIDE.get(stage, ())
    place = f"{group}` beside `pipelines" if outside else f"pipelines.<name>.{stage}.groups.{group}"
    parts.append(f"`{place}` is one of:\n\n")
    return "".join([*parts, *(choice_section(stage, group, choice) for choice in choices(group))])


def choice_section(stage: str, group: str, choice: str) -> str:
    """What a choice is, the function that it calls, and its keys."""
    file = read(CONF / group / f"{choice}.yaml")
    about = explained(f"{file.path}: its first line", file.head)
    parts = [f"### {group}: {choice}\n\n{text(about)}\n\n"]
    for place, values in calls(file.values):
        name = values["_target_"]
        called = target(name)
        key = f"`{'.'.join((group, *place))}` is " if place else ""
        parts.append(f"{key}{reference(name)}: {text(markdown(called.summary))}\n\n")
        parts.append(f"```python\n{called.signature}\n```\n\n")
    rows = list(choice_rows(stage, group, file, ()))
    return "".join([*parts, f"{table(rows)}\n" if rows else ""])


def calls(values: Any, place: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Each part of a choice that is the call of a function, and its key."""
    if "_target_" in values:
        yield place, values
    for key, value in values.items():
        if isinstance(value, dict):
            yield from calls(value, (*place, key))


def choice_rows(stage: str, group: str, file: CommentedYaml, place: Key) -> Iterator[Row]:
    values = file.values
    for word in place:
        values = values[word]
    hints = hints_of(stage, group, values, place)
    for key, value in values.items():
        here = (*place, key)
        name = ".".join((group, *here))
        if key == "_target_":
            continue
        if isinstance(value, dict) and "_target_" in value:
            yield from choice_rows(stage, group, file, here)
            continue
        comment = file.comments[here] or defaults_of(stage).comments.get((group, *here), "")
        meaning = explained(f"{file.path}: {name}", comment or schema_comment(stage, group, here))
        kinds = described(hints[key]) if key in hints else kind_of(value)
        if value is None and key in hints and "null" not in kinds:
            kinds += " or `null`"  # the stage puts something in its place
        default = shown(file, here) or f"{len(value)} entries, see `conf/{group}/{file.path.name}`"
        yield Row(name, kinds, default, meaning)


def hints_of(stage: str, group: str, values: Any, place: Key) -> dict[str, Any]:
    """The types of the keys of a choice: of the function's arguments, and of the schema."""
    hints = target(values["_target_"]).hints if "_target_" in values else {}
    return hints if place else hints | hints_in(group_type(stage, group))


def group_type(stage: str, group: str) -> Any:
    """The type of the key in the stage's schema that has the name of the group."""
    return hints_in(SCHEMAS[stage])[group]


def schema_comment(stage: str, group: str, place: Key) -> str:
    schema = nested(group_type(stage, group))
    return comment_in(schema, place[0]) if schema and len(place) == 1 else ""


def recipes() -> str:
    """A table of the recipes, with what each file says of itself."""
    lines = [
        "## Recipes",
        "",
        "`python -m stages.recipe <recipe>` puts the sections of `conf/recipe/<recipe>.yaml` into "
        "`params.yaml`. It replaces your sections of the same stages: commit them first.",
        "",
        "",
    ]
    rows = head("Recipe", "What it is for")
    for choice in choices("recipe"):
        file = read(CONF / "recipe" / f"{choice}.yaml")
        rows.append(row(code(choice), text(explained(f"{file.path}: its first line", file.head))))
    return "\n".join(lines) + keys(rows)
