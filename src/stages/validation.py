"""One line for what pydantic says of a configuration: the key, the limit, the nearest name."""

import dataclasses
import re
from collections.abc import Sequence
from typing import Any, get_args, get_type_hints

from pydantic import ValidationError

from classifier.support.errors import nearest

# By pydantic's type of error (https://docs.pydantic.dev/latest/errors/validation_errors).
KINDS = {
    "bool_type": "true or false",
    "dict_type": "keys and values",
    "dataclass_type": "keys and values",
    "finite_number": "a finite number",
    "float_type": "a number",
    "int_type": "a whole number",
    "list_type": "a list",
    "sequence_str": "a list",
    "is_instance_of": "a list",
    "string_type": "text",
}
LIMITS = {
    "greater_than": "above {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than": "below {lt:g}",
    "less_than_equal": "at most {le:g}",
}
UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
MISSING = ("missing", "missing_argument", "missing_keyword_only_argument")


def one_line(error: ValidationError, *, prefix: str = "", schema: type | None = None) -> str:
    """The first of the errors, as ``<key> is <value>: must be <limit>``.

    Args:
        prefix: the key of the configuration that was validated, if it is a part.
        schema: the dataclass that was validated; it names the valid keys.
    """
    first = error.errors(include_url=False)[0]
    # The places in a list are left out, and so are the names of a union's types.
    words = [
        prefix,
        *(word for word in first["loc"] if isinstance(word, str) and word.isidentifier()),
    ]
    key = ".".join(word for word in words if word)
    kind, context = first["type"], first.get("ctx", {})
    if kind in UNKNOWN:
        names = known_keys(schema, first["loc"][:-1]) if schema else []
        hint = f": {nearest(str(first['loc'][-1]), names)}" if names else ""
        return f"unknown key '{key}'{hint}"
    if kind in MISSING:
        return f"{key} has no value: give it one"
    value = first["input"]
    if kind == "literal_error":
        choices = re.findall(r"'([^']*)'|(\d+)", str(context["expected"]))
        valid = [text or number for text, number in choices]
        hint = f"; {nearest(value, valid)}" if isinstance(value, str) else ""
        return f"{key} is {value!r}: must be one of {' | '.join(valid)}{hint}"
    if kind in LIMITS:
        return f"{key} is {value!r}: must be {LIMITS[kind].format(**context)}"
    if kind in KINDS:
        return f"{key} is {value!r}: must be {KINDS[kind]}"
    reason = first["msg"].removeprefix("Value error, ")
    return f"{key} is {value!r}: {reason}"


def known_keys(schema: Any, path: Sequence[int | str] = ()) -> list[str]:
    """The keys of a stage's schema, or of the dataclass at ``path`` in it; none for other types."""
    for word in path:
        if isinstance(word, str):
            hint = get_type_hints(schema)[word]
            inner = [kind for kind in (hint, *get_args(hint)) if dataclasses.is_dataclass(kind)]
            if not inner:
                return []
            schema = inner[0]
    return [field.name for field in dataclasses.fields(schema)]
