"""Cells of Markdown tables: text and code in which no character has a meaning."""

import html
import re

MEANINGS = "\\|{}[]*_`"  # what Markdown and its tables read
ADDRESS = re.compile(r"https?://[^\s,;]+[\w/]")


QUOTED = re.compile(r"(`+)([^`]+)\1")


def text(plain: str) -> str:
    """Text for a cell: what stands in backticks is code, an address is a link."""
    words = []
    for position, part in enumerate(QUOTED.split(plain)):
        if position % 3 == 0:
            words.append(ADDRESS.sub(r"<\g<0>>", entities(part, "\\|{}[]*")))
        elif position % 3 == 2:
            words.append(code(part))
    return "".join(words)


def entities(plain: str, characters: str) -> str:
    """HTML in which the characters have no meaning."""
    return html.escape(plain, quote=False).translate(
        {ord(character): f"&#{ord(character)};" for character in characters}
    )


def reference(name: str) -> str:
    """The full name of an object as code; a link, if the reference of the library has it."""
    return f'<autoref identifier="{name}" optional><code>{entities(name, "_")}</code></autoref>'


def code(plain: str) -> str:
    """Code for a cell."""
    if "|" in plain or "`" in plain:
        return f"<code>{entities(plain, MEANINGS)}</code>"
    return f"`{plain}`"


def row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def head(*titles: str) -> list[str]:
    return [row(*titles), row(*("---" for _ in titles))]


def keys(rows: list[str]) -> str:
    """A table whose first column is not wrapped: docs/stylesheets/reference.css."""
    return "\n".join(['<div class="keys" markdown>', "", *rows, "", "</div>"]) + "\n"
