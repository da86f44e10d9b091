"""A YAML file with what its comments say of each key."""

import re
from pathlib import Path
from typing import Any

from ruamel.yaml.comments import CommentedMap

from stages.params import round_trip

Key = tuple[str, ...]  # ("dataset", "classes")
QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")


class CommentedYaml:
    """The values of a file, its first comment, and by key the comment and the text of the value.

    The comment of a key stands at the end of its line, or in the lines above it. The first lines
    of the file are its head, not the comment of a key.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = path.read_text("utf-8").splitlines()
        self.values: CommentedMap = round_trip().load(path)
        self.comments: dict[Key, str] = {}
        self.texts: dict[Key, str] = {}
        first = next(
            (n for n, line in enumerate(self.lines) if not line.startswith("#")), len(self.lines)
        )
        self.head = " ".join(line.removeprefix("#").strip() for line in self.lines[:first])
        self._read(self.values, (), first)

    def _read(self, values: Any, place: Key, first: int) -> None:
        for key in values:
            line, _ = values.lc.key(key)
            value, comment = divided(self.lines[line])
            above = line
            while above > first and self.lines[above - 1].lstrip().startswith("#"):
                above -= 1
            parts = [text.strip().removeprefix("#").strip() for text in self.lines[above:line]]
            parts += [comment] if comment else []
            self.comments[*place, key] = " ".join(parts)
            self.texts[*place, key] = value
            if isinstance(values[key], CommentedMap):
                self._read(values[key], (*place, key), first)
            elif key == "defaults":  # Hydra's list: `- group: choice` for each group
                for entry in values[key]:
                    if isinstance(entry, CommentedMap):
                        self._read(entry, (*place, key), first)


def divided(line: str) -> tuple[str, str]:
    """The text of the value in a line ``key: value # comment``, and the comment."""
    hidden = QUOTED.sub(lambda match: "x" * len(match[0]), line)
    mark = re.search(r"(^|\s)#", hidden)
    end = mark.start() if mark else len(line)
    return line[:end].partition(":")[2].strip(), line[end:].strip().removeprefix("#").strip()
