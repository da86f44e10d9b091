"""TensorFlow's start, without the lines that say nothing to a user.

Its C++ code writes them to file descriptor 2 before any setting is read: that there is no GPU, and
which instructions it uses. Everything else passes, also the last words of a process that dies: a
small process of its own reads the lines and writes those that matter.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STARTUP = (
    "WARNING: All log messages before absl::InitializeLog"
    "|I0000 "
    "|To enable the following instructions"
    "|INFO: Created TensorFlow Lite XNNPACK delegate"
)
# That CUDA does not start is of interest only where there is a GPU.
NO_GPU = r"|E0000 .*(cuInit|cuda_platform|cuda_diagnostics)"
FILTER = """\
import re, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
startup = re.compile(sys.argv[1].encode())
for line in sys.stdin.buffer:
    if not startup.match(line):
        sys.stderr.buffer.write(line)
        sys.stderr.buffer.flush()
"""


@contextmanager
def without_startup_lines() -> Iterator[None]:
    """A block in which the start-up lines of TensorFlow and LiteRT do not reach standard error."""
    gpu = any(Path("/dev").glob("nvidia[0-9]*"))
    pattern = STARTUP if gpu else STARTUP + NO_GPU
    try:
        before = os.dup(2)
    except OSError:  # standard error is closed
        yield
        return
    command = [sys.executable, "-I", "-S", "-c", FILTER, pattern]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as reader:
        assert reader.stdin is not None
        sys.stderr.flush()
        os.dup2(reader.stdin.fileno(), 2)
        reader.stdin.close()
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(before, 2)  # the reader's input ends, and so does the reader
            os.close(before)


def import_tensorflow() -> None:
    """Imports TensorFlow, and lets it look for GPUs."""
    if "tensorflow" in sys.modules:
        return
    # Its warnings are about its own graphs: that it cannot tell what an operation costs, say.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with without_startup_lines():
        import tensorflow as tf

        tf.config.list_physical_devices()
