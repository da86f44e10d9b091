"""Runs that an outage of the store postponed: a file of records each, uploaded later.

``.dvc/tmp/postponed/<id>.jsonl`` has one JSON record per line
(:data:`classifier.tracking.records.Record`); ``<id>/`` has copies of the artifacts. The id is that
of the store's run if it began there. Each process that logs the run appends a record with the key
"begin" first; it names the experiment, the run, its sweep and the id of the store's run.
"""

import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from classifier.support.errors import InputError
from classifier.tracking.failures import STORE_ERRORS, is_outage, reason
from classifier.tracking.records import Record, write_record
from classifier.tracking.store import FINGERPRINT, open_store
from classifier.tracking.sweeps import sweep_run

UPLOADED_FROM = "kept.uploaded_from"  # a tag of the store's run until its upload is complete

log = logging.getLogger(__name__)


class PostponedRun:
    """The file of one run. The process that appends to it, or uploads it, holds ``lock``."""

    def __init__(self, root: Path, run_id: str):
        self.folder = root / ".dvc" / "tmp" / "postponed"
        self.id = run_id
        self.path = self.folder / f"{run_id}.jsonl"
        # Not the file itself: FileLock truncates the file that it locks.
        self.lock = FileLock(self.folder / f"{run_id}.lock")

    def append(self, record: Record) -> None:
        """Appends the record, and copies its file, if it has one, to the artifacts.

        The first call waits for the lock, which this process then holds.
        """
        if not self.lock.is_locked:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.lock.acquire()
            if self.path.exists() and not self.path.read_bytes().endswith(b"\n"):
                with self.path.open("a") as file:  # the process before was killed while it wrote
                    file.write("\n")
        if "file" in record:
            source = Path(record["file"])
            copy = self.folder / self.id / (record["folder"] or "") / source.name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
            record = record | {"file": str(copy.relative_to(self.folder))}
        with self.path.open("a") as file:
            file.write(json.dumps(record) + "\n")

    def records(self) -> list[Record]:
        """The records; a warning names each line that is not complete."""
        records = []
        with self.path.open(encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(file, start=1):
                try:
                    record = json.loads(line)
                except ValueError:
                    log.warning("%s: line %d is not complete: ignored", self.path, number)
                    continue
                if "file" in record:
                    record["file"] = str(self.folder / record["file"])
                records.append(record)
        return records

    def delete(self) -> None:
        """Deletes the file, the artifacts and the lock, which this process holds."""
        self.path.unlink()
        shutil.rmtree(self.folder / self.id, ignore_errors=True)
        Path(self.lock.lock_file).unlink(missing_ok=True)


def upload(root: Path) -> Iterator[str]:
    """Uploads the postponed runs to the store that is in use now, and deletes their files.

    A run that began in the store continues there. If its model was evaluated there meanwhile, the
    two become one run. A run that a process still logs is skipped; a run of a killed process is
    uploaded as KILLED. An interrupted upload can be repeated.

    Args:
        root: the checkout, as for :func:`open_store`.

    Yields:
        ``<experiment>: <run>`` of each run, after its upload.

    Raises:
        InputError: the store cannot be used, or it refused runs; the others are uploaded. The
            files of all runs that were not uploaded are still there.
    """
    refused = []
    folder = root / ".dvc" / "tmp" / "postponed"
    for path in sorted(folder.glob("*.jsonl")):
        postponed = PostponedRun(root, path.stem)
        with suppress(Timeout), postponed.lock.acquire(blocking=False):
            records = postponed.records() if path.exists() else []
            begins = [record["begin"] for record in records if "begin" in record]
            if not begins:
                continue
            experiment = begins[0]["experiment"]
            try:
                name = _upload_run(root, postponed, begins, records)
            except STORE_ERRORS as error:
                if is_outage(error):
                    raise InputError(
                        f"the MLflow store cannot be used ({reason(error)}): "
                        f"what was not uploaded is still in {folder}"
                    ) from error
                refused.append(f"{experiment}: {begins[0]['name']} ({reason(error)})")
                continue
            yield f"{experiment}: {name}"
    if refused:
        raise InputError(f"the MLflow store refused {'; '.join(refused)}: still in {folder}")


def _upload_run(
    root: Path, postponed: PostponedRun, begins: list[dict[str, str]], records: list[Record]
) -> str:
    """Uploads the records of one run and deletes its file; returns the run's name in the store."""
    experiment_id = open_store(root, begins[0]["experiment"])
    client = MlflowClient()
    # Without this tag, an upload that is repeated would not find the run that it began.
    mark = {UPLOADED_FROM: postponed.id}
    run = known_run(experiment_id, begins[-1]["run_id"], postponed.id)
    run = run or _evaluated_run(experiment_id, records)
    if run is None:
        if sweep := begins[0]["sweep"]:
            mark["mlflow.parentRunId"] = sweep_run(root, experiment_id, sweep)
        begun = records[0]["time"]
        run = client.create_run(experiment_id, begun, mark, begins[0]["name"])
    run_id, last = run.info.run_id, records[-1]
    for record in [{"tags": mark}, *records]:
        if "end" not in record:
            write_record(client, run_id, record)
    ended = run.info.end_time or 0
    if run.info.status == "RUNNING" or ("end" in last and last["time"] > ended):
        write_record(client, run_id, {"time": last["time"], "end": last.get("end", "KILLED")})
    postponed.delete()
    client.delete_tag(run_id, UPLOADED_FROM)
    return run.info.run_name


def known_run(experiment_id: str, *ids: str) -> Run | None:
    """The store's run with one of these ids, or the one that is uploaded from such a file."""
    for run_id in ids:
        for condition in (f"run_id = '{run_id}'", f"tags.`{UPLOADED_FROM}` = '{run_id}'"):
            if runs := MlflowClient().search_runs([experiment_id], condition, max_results=1):
                return runs[0]
    return None


def _evaluated_run(experiment_id: str, records: list[Record]) -> Run | None:
    """The store's run that has evaluated the model and has no training."""
    tags = {key: text for record in records for key, text in record.get("tags", {}).items()}
    if FINGERPRINT not in tags:
        return None
    condition = f"tags.{FINGERPRINT} = '{tags[FINGERPRINT]}'"
    for run in MlflowClient().search_runs([experiment_id], condition):
        if "training_seconds" not in run.data.metrics:
            return run
    return None
