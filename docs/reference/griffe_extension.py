"""An extension of Griffe, which reads the docstrings: for what Google's style does not have.

The roles of Sphinx, as in :func:`fit`, become links. Arguments that share a description, as in
``images, labels: of the test split``, get it each.
"""

import re
from typing import Any

import griffe

SHARED = re.compile(r"^( +)((?:\w+, )+\w+)(:.*\n(?:\1 +.*\n|\n)*)", re.MULTILINE)
ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):`~?([\w.]+)`")


class Roles(griffe.Extension):
    """Rewrites each docstring once all objects are known."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring:
            linked = ROLE.sub(lambda role: link(role[1], scopes(obj)), obj.docstring.value)
            obj.docstring.value = SHARED.sub(each, f"{linked}\n")


def each(shared: re.Match[str]) -> str:
    """A line ``a, b: text``, with its further lines, as two: ``a: text`` and ``b: text``."""
    return "".join(f"{shared[1]}{name}{shared[3]}" for name in shared[2].split(", "))


def scopes(obj: griffe.Object) -> list[griffe.Object]:
    """Where a name in the object's docstring may be: in itself, its class, its module."""
    found = [obj]
    while not found[-1].is_module and found[-1].parent is not None:
        found.append(found[-1].parent)
    return found


def link(name: str, within: list[griffe.Object]) -> str:
    """A link, if the reference has what is named; else code."""
    full = next((f"{scope.path}.{name}" for scope in within if name in scope.all_members), name)
    return f'<autoref identifier="{full}" optional><code>{name}</code></autoref>'
