"""The models of a server: which version of each answers, and how a new one takes its place."""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from classifier.serve.batches import Batches
from classifier.serve.champions import Champion, champions
from classifier.serve.exported import Loaded, State, find_exported, load, state_of
from classifier.serve.monitoring import Monitoring
from classifier.serve.refusal import RefusedError
from classifier.support.errors import InputError, nearest

log = logging.getLogger(__name__)


class Current(NamedTuple):
    """The version of a model that answers, and its batches."""

    loaded: Loaded
    batches: Batches


class Models:
    """Exported folders, and champions of MLflow, that answer.

    A new version is loaded beside the old one, which answers until then. Requests that the old
    version accepted are answered by it. A version that cannot be loaded leaves the old one, and so
    does a folder that is removed.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        champion_names: Sequence[str],
        *,
        batch: int,
        every: float,
        monitoring: Monitoring,
    ):
        """
        Args:
            folders: exported models, or folders of exported models.
            champion_names: registered models in MLflow.
            batch: the largest number of images of a batch.
            every: seconds between two looks at the folders, and at MLflow.
        """
        self._folders, self.champion_names = folders, champion_names
        self._batch, self._every, self._monitoring = batch, every, monitoring
        # One thread: interpreters are not thread-safe, and use all processors themselves.
        self._executor = ThreadPoolExecutor(1, "predict")
        self._current: dict[str, Current] = {}
        self._seen: dict[Path, State] = {}
        self.problems: dict[str, str] = {}  # of the latest version of a model that has one

    @property
    def ready(self) -> bool:
        """Whether every model that was asked for by name answers, and one at least."""
        return bool(self._current) and set(self.champion_names) <= set(self._current)

    def __iter__(self) -> Iterator[Loaded]:
        return (self._current[name].loaded for name in sorted(self._current))

    def of(self, name: str) -> Current:
        """The version of a model that answers now.

        Raises:
            RefusedError: 404 there is no such model; 503 there is, but it is not loaded yet.
        """
        if name in self._current:
            return self._current[name]
        if name in self.champion_names:
            why = self.problems.get(name, "it is being loaded")
            raise RefusedError(503, f"no model '{name}' yet: {why}", {"Retry-After": "1"})
        raise RefusedError(404, f"no model '{name}': {nearest(name, self._current)}")

    def take_folders(self) -> None:
        """Loads the exported models that are new, or have changed. A failure is one log line.

        Raises:
            InputError: two folders have the same name.
        """
        places: dict[str, Path] = {}
        for place in (place for folder in self._folders for place in find_exported(folder)):
            name = place.absolute().name
            if places.setdefault(name, place) != place or name in self.champion_names:
                raise InputError(f"there are two models '{name}': {places[name]} is one of them")
        for name, place in places.items():
            state = state_of(place)
            if not state or state == self._seen.get(place):
                continue
            try:
                self.take(load(name, place))
            except (InputError, OSError) as error:
                self.fail(name, str(error))
                if state != state_of(place):  # half-written: it is tried again
                    continue
            self._seen[place] = state

    def take(self, loaded: Loaded) -> None:
        """Lets a loaded version answer from now on."""
        name, before = loaded.name, self._current.get(loaded.name)
        self.problems.pop(name, None)
        if before and before.loaded.version == loaded.version:
            return
        self._current[name] = Current(
            loaded,
            Batches(
                loaded.classifier.answer,
                self._executor,
                self._batch,
                self._monitoring.batch.observe,
            ),
        )
        self._monitoring.loads.labels(name, "loaded").inc()
        if before:
            self._monitoring.model.remove(name, before.loaded.version)
        self._monitoring.model.labels(name, loaded.version).set(1)
        instead = f" instead of {before.loaded.version}" if before else ""
        log.info("%s: version %s answers%s", name, loaded.version, instead)

    def fail(self, name: str, reason: str) -> None:
        """Says once why the latest version of a model is not taken."""
        if self.problems.get(name) == reason:
            return
        self.problems[name] = reason
        self._monitoring.loads.labels(name, "failed").inc()
        kept = self._current.get(name)
        log.warning("%s%s", reason, f": version {kept.loaded.version} answers on" if kept else "")

    async def watch_folders(self) -> None:
        """Takes new versions until it is cancelled."""
        gone: set[str] = set()
        while True:
            await asyncio.sleep(self._every)
            try:
                await asyncio.to_thread(self.take_folders)
            except (InputError, OSError) as error:
                log.warning("the models cannot be looked for: %s", error)
            missing = {str(place) for place in self._seen if not place.is_dir()}
            for place in sorted(missing - gone):
                log.warning("%s is gone: what was loaded answers on", place)
            gone = missing

    async def watch_champions(self, root: Path) -> None:
        """Takes new champions of the MLflow store of the checkout ``root``, until cancelled."""

        def loaded(new: Champion) -> Loaded:
            return load(new.name, Path(new.folder), new.version, new.metrics, new.card)

        async for new in champions(root, self.champion_names, self._every):
            if new.problem is not None:
                self.fail(new.name, new.problem)
                continue
            try:
                self.take(await asyncio.to_thread(loaded, new))
            except (InputError, OSError) as error:
                self.fail(new.name, str(error))

    def described(self, loaded: Loaded) -> dict[str, Any]:
        """A version as JSON."""
        height, width, channels = loaded.classifier.shape
        return {
            "name": loaded.name,
            "version": loaded.version,
            "runtime": loaded.runtime,
            "since": loaded.since,
            "image": {"height": height, "width": width, "channels": channels},
            "classes": loaded.classifier.classes,
            "metrics": loaded.metrics,
            "card": loaded.card,
            "problem": self.problems.get(loaded.name),
        }
