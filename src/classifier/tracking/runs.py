"""MLflow runs: one run per trained model.

Train, evaluate and export are separate processes, and DVC may skip each. No file of theirs has the
run's id: the fingerprint of the model's weights, a tag of the run, finds the run again.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import mlflow
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor
from mlflow.tracking import MlflowClient
from mlflow.tracking.context.registry import resolve_tags

from classifier.support.errors import InputError
from classifier.tracking.failures import STORE_ERRORS, is_outage, reaching_the_store, reason
from classifier.tracking.outage import PostponedRun, known_run
from classifier.tracking.records import (
    Pruned,
    Record,
    Run,
    flatten,
    milliseconds,
    write_record,
)
from classifier.tracking.store import FINGERPRINT, open_store, store_name
from classifier.tracking.sweeps import PRUNED, sweep_run

CHANGES = 3  # that a run's name says

log = logging.getLogger(__name__)


def unlogged() -> AbstractContextManager[Run]:
    """A run that logs nothing, for a process that is not the one that logs."""
    return nullcontext(Run(lambda record: None))


@contextmanager
def resumed_run(
    root: Path,
    experiment: str,
    name: str,
    params: Mapping[str, Any],
    tags: Mapping[str, str],
    remembered: Path,
    outage: str,
    sweep: str | None = None,
) -> Iterator[Run]:
    """Continues the run whose id the file ``remembered`` has; starts one, and writes the file.

    The run ends as FINISHED, FAILED for an exception, or KILLED for Ctrl-C and for a trial that is
    pruned, which gets the tag PRUNED. The use of
    processors, memory, disk and network is logged too. If the store fails later, the rest of the
    run is kept in a file for :func:`classifier.tracking.upload`; if that file fails too, its disk
    is full for example, the record ends with a warning.

    Args:
        root, experiment: see :func:`open_store`.
        name: of the run. What differs from the latest run is appended, unless the run belongs to
            a sweep.
        params: nested; dots join the keys. Those that the run has already stay as they are.
        tags: of the run.
        remembered: a file; see above.
        outage: what to do if the store fails at the beginning: ``stop``, or ``postpone``, which
            keeps the whole run in a file.
        sweep: the name of the parent run, which its first child creates.

    Raises:
        InputError: the store fails at the beginning, and ``outage`` is ``stop``.
    """
    texts = {key: str(value) for key, value in flatten(params).items()}
    earlier = remembered.read_text("utf-8") if remembered.exists() else ""
    begin = {"experiment": experiment, "name": name, "sweep": sweep}
    record = {"begin": begin, "params": texts, "tags": resolve_tags(dict(tags))}
    writer = _Writer(root, record, earlier or uuid4().hex)
    run = Run(writer)
    with closing(writer), _ending(run.end):
        try:
            run_id = _run_in_store(root, experiment, name, texts, sweep, earlier)
            _remember(remembered, run_id)
            writer.begin_in_store(run_id)
        except STORE_ERRORS as error:
            if outage != "postpone":
                raise InputError(
                    f"{store_name()} cannot be used ({reason(error)}); outage=postpone trains "
                    "without it and keeps the run for 'python -m stages.upload'"
                ) from error
            log.warning(
                "%s cannot be used (%s): the run is kept for 'python -m stages.upload'",
                store_name(),
                reason(error),
            )
            _remember(remembered, writer.run_id)
            writer.postpone()
        try:
            yield run
        except Pruned as pruned:
            pruned.run_id = writer.run_id
            run.set_tags({PRUNED: pruned})
            raise


def _remember(file: Path, run_id: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(run_id, "utf-8")


class _Writer:
    """Writes records to the store, and after the store's first failure to a file.

    Args:
        root: the checkout.
        begin: the record of the run's beginning, to which the run's id and the time are added.
        run_id: of the run, until the store gives it another id.
    """

    def __init__(self, root: Path, begin: Record, run_id: str):
        self.root, self.run_id = root, run_id
        self.begin: Record = {"time": milliseconds()} | begin
        self.file = PostponedRun(root, run_id)
        self.store: Callable[[Record], None] | None = None
        self.monitor: SystemMetricsMonitor | None = None
        self.postponed = False

    def __call__(self, record: Record) -> None:
        if self.store is not None:
            try:
                self.store(record)
                return
            except STORE_ERRORS as error:
                if not is_outage(error):
                    raise
                log.warning(
                    "MLflow cannot be used any more (%s): what follows is kept in %s; "
                    "'python -m stages.upload' uploads it",
                    reason(error),
                    self.file.folder,
                )
                self.postpone()
        if self.postponed:
            self._append(record)

    def begin_in_store(self, run_id: str) -> None:
        """Writes to the store's run from now on."""
        self.run_id = run_id
        if self.file.path.exists():  # of a process before; it is not uploaded meanwhile
            self._append_begin()
        else:
            self.file = PostponedRun(self.root, run_id)
        self.store = partial(write_record, MlflowClient(), run_id)
        self(self.begin)
        self.monitor = SystemMetricsMonitor(run_id, resume_logging=True)
        self.monitor.start()

    def postpone(self) -> None:
        """Writes to the file from now on."""
        self.store, self.postponed = None, True
        self._append_begin()

    def _append_begin(self) -> None:
        self._append(self.begin | {"begin": self.begin["begin"] | {"run_id": self.run_id}})

    def _append(self, record: Record) -> None:
        try:
            self.file.append(record)
        except OSError as error:  # a training's own files do not depend on its record
            self.postponed = False
            log.warning("MLflow's record of this run ends here (%s)", reason(error))

    def close(self) -> None:
        if self.store is not None and self.monitor is not None:
            self.monitor.finish()
        self.file.lock.release(force=True)


def _run_in_store(
    root: Path,
    experiment: str,
    name: str,
    params: Mapping[str, str],
    sweep: str | None,
    earlier: str,
) -> str:
    """Continues the store's run ``earlier``, or creates one if the store has no such run: the
    store was deleted or replaced meanwhile, or an outage postponed the run. Returns the run's id.
    """
    experiment_id = open_store(root, experiment)
    client = MlflowClient()
    if earlier and (run := known_run(experiment_id, earlier)):
        client.update_run(run.info.run_id, "RUNNING")
        return run.info.run_id
    tags = {}
    if sweep:
        tags["mlflow.parentRunId"] = sweep_run(root, experiment_id, sweep)
    else:
        name = " ".join([name, *_changes(params, _latest_params(experiment_id))])
    return client.create_run(experiment_id, tags=tags, run_name=name).info.run_id


def _latest_params(experiment_id: str) -> dict[str, str]:
    """Parameters of the latest finished run outside sweeps; empty if there is none."""
    for run in MlflowClient().search_runs([experiment_id], "attributes.status = 'FINISHED'"):
        if "mlflow.parentRunId" not in run.data.tags and run.data.params:
            return run.data.params
    return {}


def _changes(params: Mapping[str, str], earlier: Mapping[str, str]) -> list[str]:
    """The differences, as words ``epochs=12``: the first CHANGES, then the number of the others."""
    new = {key: text for key, text in params.items() if text != earlier.get(key, text)}
    # Another choice of a group changes other keys of the group too: the choice is enough.
    targets = [key for key in new if key.endswith("._target_")]
    groups = {key.removesuffix("._target_"): new[key].rpartition(".")[2] for key in targets}
    prefixes = tuple(f"{group}." for group in groups)
    named = groups | {
        key.replace(".groups.", "."): text
        for key, text in new.items()
        if not key.startswith(prefixes)
    }
    words = [f"{key.partition('.')[2]}={text}" for key, text in named.items()]
    more = len(words) - CHANGES
    return [*words[:CHANGES], *([f"+{more}"] if more > 0 else [])]


@contextmanager
def _ending(end: Callable[[str], None]) -> Iterator[None]:
    """Calls ``end`` with MLflow's status of how the block ended."""
    try:
        yield
    except BaseException as error:
        with suppress(*STORE_ERRORS):
            end("KILLED" if isinstance(error, KeyboardInterrupt | Pruned) else "FAILED")
        raise
    end("FINISHED")


class StoredRun(Run):
    """A run of the store that is in use now."""

    def __init__(self, run_id: str):
        super().__init__(partial(write_record, MlflowClient(), run_id))
        self.run_id = run_id

    def logged_text(self, file: str) -> str | None:
        """The text of the artifact ``file``; None if there is no such artifact."""
        folder = file.rpartition("/")[0] or None
        artifacts = MlflowClient().list_artifacts(self.run_id, folder)
        if file not in {artifact.path for artifact in artifacts}:
            return None
        return mlflow.artifacts.load_text(f"runs:/{self.run_id}/{file}")


@contextmanager
def run_of_model(
    root: Path, experiment: str, fingerprint: str, name: str, tags: Mapping[str, str]
) -> Iterator[StoredRun]:
    """Continues the latest run of the model with this fingerprint, as MLflow's active run.

    Starts one if the store has no run of the model, which was pulled from a DVC remote and
    trained elsewhere, for example.

    Args:
        root, experiment: see :func:`open_store`.
        fingerprint: of the model's weights.
        name, tags: of a new run.

    Raises:
        InputError: the store fails, at the beginning or later.
    """
    with reaching_the_store():
        experiment_id = open_store(root, experiment)
        latest = _latest_run(experiment_id, fingerprint)
        if latest:
            active = mlflow.start_run(run_id=latest.info.run_id)
        else:
            active = mlflow.start_run(
                experiment_id=experiment_id, run_name=name, tags={**tags, FINGERPRINT: fingerprint}
            )
        with _ending(mlflow.end_run):
            yield StoredRun(active.info.run_id)


@reaching_the_store()
def metrics_of_model(root: Path, experiment: str, fingerprint: str) -> dict[str, float]:
    """The metrics of the latest run of the model with this fingerprint; empty if there is none.

    Args:
        root, experiment: see :func:`open_store`.
        fingerprint: of the model's weights.

    Raises:
        InputError: the store cannot be reached.
    """
    latest = _latest_run(open_store(root, experiment), fingerprint)
    return latest.data.metrics if latest else {}


def _latest_run(experiment_id: str, fingerprint: str) -> mlflow.entities.Run | None:
    runs = MlflowClient().search_runs(
        [experiment_id],
        f"tags.{FINGERPRINT} = '{fingerprint}'",
        order_by=["attributes.start_time DESC"],
        max_results=1,
    )
    return runs[0] if runs else None
