"""Programs that tests start begin at once: a server imports the heavy packages once, and forks.

Python with TensorFlow and MLflow takes eight seconds of CPU time to start, and the tests start
hundreds of programs. :func:`write_commands` writes the commands ``python`` and ``dvc``. The first
one that a test runs starts the server, which imports third-party packages alone. Each command
lets the server fork a process that runs the program, with the command's arguments, environment,
working directory, resource limits and streams. The process imports the code under test itself.

The command passes its signals on to the process. When the command dies, even by SIGKILL, the
process is killed too.
"""

import atexit
import contextlib
import gc
import json
import os
import resource
import runpy
import select
import signal
import socket
import sqlite3
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

PACKAGES = (
    "tensorflow",
    "keras",
    "mlflow.tensorflow",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.model_registry.sqlalchemy_store",
    "matplotlib.pyplot",
    "sklearn.metrics",
    "scipy.stats",
    "pandas",
    "PIL.Image",
    "hydra",
    "joblib",
    "jinja2",
    "requests",
    "grandalf.layouts",
    "ruamel.yaml",
    "dvc.cli",
    "dvc.repo",
    "dvc.commands.repro",
)
LIMITS = ("RLIMIT_AS", "RLIMIT_DATA", "RLIMIT_FSIZE", "RLIMIT_NOFILE", "RLIMIT_STACK")
CLIENT = """\
#!{python} -IS
import json, os, resource, signal, socket, subprocess, sys, time
try:
    os.close(os.open({address!r} + ".lock", os.O_CREAT | os.O_EXCL))
    log = open({address!r} + ".log", "wb")
    words = [{python!r}, {server!r}, {address!r}, "{owner}"]
    subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={environment!r},
                     start_new_session=True)
except FileExistsError:
    pass
for _ in range(6000):
    try:
        server = socket.socket(socket.AF_UNIX)
        server.connect({address!r})
        break
    except OSError:
        time.sleep(0.02)
words = {words!r} + sys.argv[1:]
limits = {{name: resource.getrlimit(getattr(resource, name)) for name in {limits!r}}}
request = json.dumps([words, os.getcwd(), dict(os.environ), limits]).encode()
socket.send_fds(server, [len(request).to_bytes(8, "big")], [0, 1, 2])
server.sendall(request)
pid = int.from_bytes(server.recv(8, socket.MSG_WAITALL), "big")
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
    signal.signal(number, lambda number, _: os.kill(pid, number))
status = int.from_bytes(server.recv(8, socket.MSG_WAITALL), "big", signed=True)
if status < 0:
    if -status != signal.SIGKILL:
        signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
os._exit(status)
"""


def write_commands(folder: Path) -> None:
    """Writes ``python`` and ``dvc`` to ``folder``; the server ends with the calling process."""
    environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "TF_CPP_MIN_LOG_LEVEL": "2"}
    for name, words in (("python", []), ("dvc", ["-m", "dvc"])):
        file = folder / name
        file.write_text(
            CLIENT.format(
                python=sys.executable,
                server=__file__,
                address=str(folder / "socket"),
                owner=os.getpid(),
                environment=environment,
                words=words,
                limits=LIMITS,
            )
        )
        file.chmod(0o755)


def prepare_mlflow(template: Path) -> None:
    """Lets MLflow copy each new SQLite store from ``template``, which is made if it does not exist.

    MLflow makes a store by dozens of migrations, in some three seconds. Its map of installed
    packages, of which it makes one in each process, is made now.
    """
    from mlflow.store.db import utils
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from mlflow.utils import requirements_utils

    if not template.exists():
        with tempfile.TemporaryDirectory(dir=template.parent) as folder:
            store = SqlAlchemyStore(f"sqlite:///{folder}/mlflow.db", folder)
            store.engine.dispose()
            with contextlib.closing(sqlite3.connect(f"{folder}/mlflow.db")) as made, made:
                made.execute("DELETE FROM experiments")  # each store makes its default one
            os.replace(f"{folder}/mlflow.db", template)  # noqa: PTH105
    requirements_utils._init_packages_to_modules_map()
    upgrade = utils._upgrade_db

    def copy_or_upgrade(engine: Any) -> None:
        if engine.dialect.name != "sqlite":
            upgrade(engine)
            return
        with (
            contextlib.closing(sqlite3.connect(template)) as made,
            contextlib.closing(sqlite3.connect(engine.url.database)) as new,
        ):
            made.backup(new)

    utils._upgrade_db = copy_or_upgrade


def serve(address: str, owner: int) -> None:
    """Forks a process for each request, until the process ``owner`` ends."""
    for name in PACKAGES:
        __import__(name)
    prepare_mlflow(Path(address).with_name("mlflow.db"))
    gc.collect()
    gc.freeze()
    listener = socket.socket(socket.AF_UNIX)
    temporary = f"{address}.new"
    listener.bind(temporary)
    listener.listen(64)
    os.rename(temporary, address)  # noqa: PTH104
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    clients: dict[int, tuple[socket.socket, int]] = {}  # by the socket's number: and the process
    processes: dict[int, tuple[int, int]] = {}  # by the pidfd: the process, the socket's number
    while Path(f"/proc/{owner}").exists():
        for number, _ in poll.poll(1000):
            if number == listener.fileno():
                client, _ = listener.accept()
                size, streams, _, _ = socket.recv_fds(client, 8, 3)
                request = client.recv(int.from_bytes(size, "big"), socket.MSG_WAITALL)
                pid = os.fork()
                if not pid:
                    listener.close()
                    words, folder, environment, limits = json.loads(request)
                    # Its own programs begin at once too.
                    sys.executable = str(Path(address).with_name("python"))
                    run(words, folder, environment, limits, streams)
                for stream in streams:
                    os.close(stream)
                client.sendall(pid.to_bytes(8, "big"))
                process = os.pidfd_open(pid)
                clients[client.fileno()] = (client, pid)
                processes[process] = (pid, client.fileno())
                poll.register(client, select.POLLIN)
                poll.register(process, select.POLLIN)
            elif number in processes:
                pid, of_client = processes.pop(number)
                poll.unregister(number)
                os.close(number)
                _, status = os.waitpid(pid, 0)
                # A later command may have the number of one that is gone.
                if clients.get(of_client, (None, 0))[1] == pid:
                    client, _ = clients.pop(of_client)
                    poll.unregister(client)
                    code = os.waitstatus_to_exitcode(status)
                    with contextlib.suppress(OSError):
                        client.sendall(code.to_bytes(8, "big", signed=True))
                    client.close()
            elif number in clients:  # the command is gone
                client, pid = clients.pop(number)
                poll.unregister(number)
                client.close()
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def run(
    words: list[str],
    folder: str,
    environment: dict[str, str],
    limits: dict[str, tuple[int, int]],
    streams: list[int],
) -> None:
    """Runs ``python <words>`` in this process, and ends it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the server may ignore it
    for name, limit in limits.items():
        resource.setrlimit(getattr(resource, name), limit)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.closerange(3, 256)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.stdin, sys.stdout = open(0), open(1, "w", buffering=1)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1)  # noqa: SIM115
    for name in ("stdin", "stdout", "stderr"):
        setattr(sys, f"__{name}__", getattr(sys, name))
    sys.path[0] = ""
    sys.path[1:1] = [word for word in environment.get("PYTHONPATH", "").split(os.pathsep) if word]
    while words and words[0].startswith("-") and words[0] not in ("-m", "-c"):
        words.pop(0)  # -u, -W …
    status = 0
    try:
        if words[0] == "-m":
            sys.argv = words[1:]
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        elif words[0] == "-c":
            sys.argv = ["-c", *words[2:]]
            exec(words[1], {"__name__": "__main__"})
        else:
            sys.argv = words
            sys.path[0] = str(Path(words[0]).parent)
            runpy.run_path(words[0], run_name="__main__")
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        traceback.print_exc()
        status = 130
    except BaseException:
        traceback.print_exc()
        status = 1
    atexit._run_exitfuncs()
    for output in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # full, or closed by the program
            output.flush()
    os._exit(status & 255)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
