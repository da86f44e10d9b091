"""A file of results, one line of JSON each, with which a stopped benchmark goes on."""

import json
from pathlib import Path
from typing import Any


class Log:
    """The rows of a file; without a file, those of this process alone."""

    def __init__(self, file: Path | None):
        self._file = file and file.absolute()
        exists = self._file and self._file.exists()
        lines = self._file.read_text("utf-8").splitlines() if self._file and exists else []
        self._rows: list[dict[str, Any]] = [json.loads(line) for line in lines]

    def find(self, **key: Any) -> dict[str, Any] | None:
        """What was added with this key; None if nothing was."""
        for row in self._rows:
            if all(row.get(name) == value for name, value in key.items()):
                return {name: value for name, value in row.items() if name not in key}
        return None

    def add(self, key: dict[str, Any], result: dict[str, Any]) -> None:
        self._rows.append(key | result)
        if self._file:
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(key | result) + "\n")
