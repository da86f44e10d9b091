"""Docstrings as Markdown: commands become blocks of code, roles of Sphinx become code or links."""

import re
from itertools import groupby

ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):`~?([\w.]+)`")


def markdown(docstring: str) -> str:
    """The text of a docstring; its lines that begin with ``$`` are a block of code."""
    parts = []
    for command, lines in groupby(docstring.strip().splitlines(), lambda line: line[:2] == "$ "):
        text = "\n".join(lines)
        parts.append(f"```console\n{text}\n```" if command else ROLE.sub(r"`\1`", text))
    return "\n".join(parts)
