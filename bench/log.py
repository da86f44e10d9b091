"""A file of results, one line of JSON each, with which a stopped benchmark goes on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Log:
    """The rows of a file; without a file, those of this process alone."""

    def __init__(self, file: Path | None):
        self._file = file and file.absolute()
        exists = self._file and self._file.exists()
        lines = self._file.read_text("utf-8").splitlines() if self._file and exists else []
        self._rows: list[dict[str, Any]] = [json.loads(line) for line in lines]

    def once(self, key: dict[str, Any], measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The result that is known for the key, else what ``measure`` returns, which is added."""
        for row in self._rows:
            if all(row.get(name) == value for name, value in key.items()):
                return {name: value for name, value in row.items() if name not in key}
        result = measure()
        self._rows.append(key | result)
        if self._file:
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(key | result) + "\n")
        return result
