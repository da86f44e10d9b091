"""Queue: runs DVC's queued experiments with several workers, and always ends.

$ dvc exp run --queue --name rates -S 'pipelines.mnist.train.epochs=3,6' evaluate@mnist
$ python -m stages.queue --workers 2

A worker of DVC's queue can wait for ever: after an experiment, or because another worker wrote a
message while it read (https://github.com/treeverse/dvc/issues/10398 and 10428). ``dvc exp run
--run-all`` then waits with it. Here a worker that does nothing for --patience seconds, though
there is something to do, is ended and another one started. An experiment whose process is gone,
and that its worker does not finish, is lost: queue it again. DVC takes the stages of it that had
ended from its cache. The exit status is 1 if an experiment failed or was lost, or could not be run.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

import psutil

from classifier.support.errors import InputError
from stages.one_line import stops_in_one_line
from stages.programs import environment

POLL = 1.0  # seconds
RESTARTS = 3  # of all workers without an experiment that begins or ends
WAITING = ("Queued", "Running")


class Task(NamedTuple):
    """A queued experiment; ``alive`` says whether its process runs."""

    name: str
    status: str
    alive: bool


class Workers:
    """Workers of DVC's queue, as processes of this one. At most ``limit`` run at a time."""

    def __init__(self, limit: int):
        self.limit = limit
        self.processes: list[subprocess.Popen[bytes]] = []
        self.started = 0

    def start(self, number: int) -> None:
        """Starts workers up to this number of them."""
        self.processes = [one for one in self.processes if one.poll() is None]
        variables = os.environ | {"PATH": environment()["PATH"]}
        for _ in range(min(number, self.limit) - len(self.processes)):
            self.started += 1
            name = f"stages-queue-{os.getpid()}-{self.started}@localhost"
            silent = subprocess.DEVNULL
            self.processes.append(
                subprocess.Popen(
                    ["dvc", "exp", "queue-worker", name],
                    env=variables,
                    stdin=silent,
                    stdout=silent,
                    stderr=silent,
                    start_new_session=True,  # Ctrl-C is for this process, which ends them
                )
            )

    def end(self, *, idle: bool = False) -> None:
        """Ends the workers, and what they run; with ``idle``, those alone that run nothing."""
        for process in self.processes:
            with suppress(psutil.NoSuchProcess):
                parent = psutil.Process(process.pid)
                children = parent.children(recursive=True)
                if idle and any(runs(child.pid) for child in children):
                    continue
                for one in (parent, *children):
                    with suppress(psutil.NoSuchProcess):
                        one.kill()
            process.wait()
        self.processes = [one for one in self.processes if one.poll() is None]


def tasks() -> dict[str, Task]:
    """DVC's queue and what was done of it, by the revisions of the tasks."""
    from dvc.repo import Repo

    with Repo() as repo:
        queue = repo.experiments.celery_queue
        found = {}
        for row in queue.status():
            process = queue.proc.get(row["rev"])
            alive = bool(process) and process.returncode is None and runs(process.pid)
            name = row["name"] or row["rev"][:7]
            found[row["rev"]] = Task(name, row["status"], alive)
        return found


def runs(pid: int) -> bool:
    """Whether a process runs; one that has ended waits for its parent, which may be stuck."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def fail(revisions: list[str]) -> None:
    """Marks running tasks without a process as failed."""
    from dvc.repo import Repo

    with Repo() as repo:
        queue = repo.experiments.celery_queue
        lost = {entry: entry.stash_rev for entry in queue.iter_active()}
        # `dvc queue kill` raises a KeyError for a task whose process had not begun.
        queue._mark_inactive_tasks_failure(
            {entry: rev for entry, rev in lost.items() if rev in revisions}
        )


def run_queue(number: int, patience: float) -> Iterator[Task]:
    """Runs the queued experiments; gives each when it has ended.

    Args:
        number: of workers.
        patience: seconds in which an experiment has to begin, or to end after its process ended.

    Raises:
        InputError: the queue cannot be read, or no worker takes an experiment.
    """
    state = _readable(patience)
    mine = {rev for rev, task in state.items() if task.status in WAITING}
    workers = Workers(number)
    quiet, restarts = time.monotonic(), 0
    gone: set[str] = set()
    try:
        while mine:
            new = _readable(patience)
            if new != state:
                state, quiet, restarts = new, time.monotonic(), 0
            for rev in sorted(mine):
                if rev not in state:  # removed by the user
                    mine.remove(rev)
                elif state[rev].status not in WAITING:
                    mine.remove(rev)
                    # DVC calls it a success if its last stage ended, though it has no result of it.
                    yield state[rev]._replace(status="Lost") if rev in gone else state[rev]
            waiting = [state[rev] for rev in mine]
            lost = [rev for rev in mine if state[rev].status == "Running" and not state[rev].alive]
            queued = sum(task.status == "Queued" for task in waiting)
            running = sum(task.alive for task in waiting)
            stuck = bool(lost) or (queued and running < number)
            if stuck and time.monotonic() - quiet > patience:
                restarts += 1
                if restarts > RESTARTS:
                    names = ", ".join(task.name for task in waiting)
                    raise InputError(f"no worker of DVC's queue runs {names}: see 'dvc queue logs'")
                workers.end(idle=True)
                gone.update(lost)
                with suppress(Exception):  # a worker may answer that it runs the task still
                    fail(lost)
                quiet = time.monotonic()
            workers.start(queued + running + len(lost))
            time.sleep(POLL)
    finally:
        workers.end()


def _readable(patience: float) -> dict[str, Task]:
    """:func:`tasks`, also if a worker is just writing one of its files."""
    begin = time.monotonic()
    while True:
        try:
            return tasks()
        except Exception as error:  # of DVC, celery, kombu or json
            if time.monotonic() - begin > patience:
                reason = " ".join(str(error).split())
                raise InputError(f"DVC's queue cannot be read: {reason}") from error
        time.sleep(POLL)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m stages.queue",
        description="Runs DVC's queued experiments with several workers, and always ends",
    )
    parser.add_argument("--workers", type=int, default=1, help="experiments at a time; default: 1")
    parser.add_argument(
        "--patience",
        type=float,
        default=120,
        help="seconds without an experiment that begins or ends, after which an idle worker is "
        "replaced; default: 120",
    )
    arguments = parser.parse_args()
    ended: list[Task] = []
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: the workers end too
    with stops_in_one_line("queue"):
        if arguments.workers < 1:
            raise InputError(f"--workers is {arguments.workers}: must be at least 1")
        try:
            for task in run_queue(arguments.workers, arguments.patience):
                ended.append(task)
                print(f"{task.name}: {task.status.lower()}", flush=True)
        except KeyboardInterrupt:
            raise InputError("interrupted: its workers have ended") from None
    good = sum(task.status == "Success" for task in ended)
    print(f"{good} of {len(ended)} experiments succeeded" if ended else "the queue is empty")
    sys.exit(good < len(ended))


if __name__ == "__main__":
    main()
