"""What is wanted of a layout, and what is found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from classifier.formats.contents import Entry
from classifier.layouts.columns import Role

Name = Literal["classes", "splits", "table", "pattern"]
Layout = Literal["auto", Name]
Task = Literal["single_label", "multi_label"]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the dataset's YAML file says of the layout; see conf/download.yaml."""

    layout: Layout = "auto"
    classes: list[str] | None = None
    pattern: str | None = None
    table: str | list[str] | None = None
    columns: Mapping[Role, str] = field(default_factory=dict)
    unmatched: Literal["warn", "fail"] = "warn"
    separator: str | None = (
        None  # of an image's labels, where it may have several; None: it has one
    )


class Found(NamedTuple):
    """The layout, and an entry for each file."""

    layout: Name
    detail: str  # the folder, the table or the pattern, for messages
    entries: list[Entry]
