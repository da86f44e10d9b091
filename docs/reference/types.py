"""What a type of a schema says to a user: the kind of value, and its limits."""

import dataclasses
import types
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Required, Union, get_args, get_origin

from typing_extensions import is_typeddict

from classifier.support.limits import ClassName, ValueRange
from reference.tables import code

PLAIN = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "`true` or `false`",
    Any: "any value",
    type(None): "`null`",
}


def described(hint: Any) -> str:
    """The kind of value, with its limits: ``whole number, at least 1, or null``."""
    if hint == ClassName:
        return "text"
    if hint == ValueRange:
        return "`[low, high]`, two numbers, low < high".replace("<", "&lt;")
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Required:
        return described(inner[0])
    if origin is Annotated:
        limits = limits_of(inner[1:])
        return ", ".join([described(inner[0]), *limits])
    if origin is Literal:
        return " or ".join(code(str(choice)) for choice in inner)
    if origin in (Union, types.UnionType):
        words = [described(kind) for kind in inner]
        return (", or " if any("," in word for word in words) else " or ").join(words)
    if origin in (list, Sequence):
        return f"list of {described(inner[0])}"
    if origin is tuple:
        return f"list of {len(inner)}, each a {' or '.join(dict.fromkeys(map(described, inner)))}"
    if origin is dict or hint is dict or dataclasses.is_dataclass(hint) or is_typeddict(hint):
        return "keys and values"
    return PLAIN[hint]


def limits_of(metadata: Sequence[Any]) -> list[str]:
    """The limits of a number, from pydantic's ``Field(ge=..., lt=...)``."""
    found = [part for field in metadata for part in getattr(field, "metadata", [])]
    bounds = {
        name: getattr(part, name)
        for part in found
        for name in ("ge", "gt", "le", "lt")
        if hasattr(part, name)
    }
    words = {"ge": "at least {:,}", "gt": "above {:,}", "le": "at most {:,}", "lt": "below {:,}"}
    return [words[name].format(bound) for name, bound in bounds.items()]


def kind_of(value: Any) -> str:
    """The kind of a value in a YAML file, where no type is known: a value of that kind may come."""
    if value is None:
        return "any value"
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return PLAIN[kind]
    return "list" if isinstance(value, list) else "keys and values"
