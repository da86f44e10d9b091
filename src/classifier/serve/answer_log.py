"""A log of answers, JSON Lines, which never stops or delays the server."""

import json
import logging
import queue
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

WAITING = 10_000  # lines in memory, while the disk is slow
log = logging.getLogger(__name__)


class AnswerLog:
    """Appends lines to a file, on a thread of its own.

    A line that cannot be written is lost. This is said once, and again when lines are written
    again. The file is opened for each block of lines: another program may rotate it.
    """

    def __init__(self, file: Path, lost: Callable[[int], None]):
        """
        Args:
            file: its folder exists.
            lost: is called with the number of lines that are lost.
        """
        self._file, self._lost = file, lost
        self._lines: queue.Queue[bytes | None] = queue.Queue(WAITING)
        self._broken = False
        self._thread = threading.Thread(target=self._write_all, name="answer log", daemon=True)
        self._thread.start()

    def write(self, entry: Mapping[str, Any]) -> None:
        """Queues a line; returns at once."""
        line = json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._lost(1)

    def close(self) -> None:
        """Writes the lines that wait, for two seconds at most."""
        try:
            self._lines.put(None, timeout=1)
        except queue.Full:
            return
        self._thread.join(2)

    def _write_all(self) -> None:
        ended = False
        while not ended:
            block = [self._lines.get()]
            while len(block) < 1000 and not self._lines.empty():
                block.append(self._lines.get())
            lines = [line for line in block if line is not None]
            ended = len(lines) < len(block)
            try:
                with self._file.open("ab", buffering=0) as file:
                    # After a failure, a part of a line may be the end of the file.
                    content = (b"\n" if self._broken else b"") + b"".join(lines)
                    while content:
                        content = content[file.write(content) :]
            except OSError as error:
                self._lost(len(lines))
                if not self._broken:
                    log.warning(
                        "%s cannot be written (%s): answers go on without it",
                        self._file,
                        error.strerror,
                    )
                self._broken = True
                continue
            if self._broken:
                log.warning("%s is written again", self._file)
            self._broken = False
