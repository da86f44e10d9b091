"""Requests that come together are one batch of the model."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import NamedTuple

import numpy as np

from classifier.serve.refusal import busy
from classifier.serving.outputs import Answers


class Answer(NamedTuple):
    """What a model says about one image: see :class:`classifier.serving.outputs.Answers`.

    Attributes:
        probabilities: float32 (classes,).
        score: None of a model that was exported without.
        queued, predicted: seconds of waiting for the batch, and of the batch.
    """

    probabilities: np.ndarray
    score: float | None
    accepted: bool
    queued: float
    predicted: float


class Room:
    """A bound on pictures that are accepted and not answered yet."""

    def __init__(self, places: int):
        self.places = places
        self.taken = 0

    def check(self) -> None:
        """Checks, before a request is read, that there is a place.

        Raises:
            RefusedError: 429, there is none.
        """
        self.enter(1)
        self.leave(1)

    def enter(self, pictures: int) -> None:
        """Takes places.

        Raises:
            RefusedError: 429, there are not as many.
        """
        if self.taken + pictures > self.places:
            raise busy(f"{self.taken} pictures wait")
        self.taken += pictures

    def leave(self, pictures: int) -> None:
        self.taken -= pictures


class Batches:
    """Answers images of one model, batch by batch.

    No image waits for others: while the model answers a batch, the next one gathers. So a batch is
    as large as the load.
    """

    def __init__(
        self,
        answer: Callable[[np.ndarray], Answers],
        executor: Executor,
        largest: int,
        observe: Callable[[int], None],
    ):
        """
        Args:
            answer: a function of uint8 images (N, H, W, C).
            executor: has one thread, as interpreters are not thread-safe.
            largest: number of images of a batch.
            observe: is called with the number of images of each batch.
        """
        self._answer, self._executor = answer, executor
        self._largest, self._observe = largest, observe
        self._waiting: deque[tuple[np.ndarray, asyncio.Future[Answer], float]] = deque()
        self._task: asyncio.Task[None] | None = None

    async def answers(self, images: Sequence[np.ndarray]) -> list[Answer]:
        """The answers to uint8 images (H, W, C), in their order.

        Raises:
            Exception: what ``answer`` raises.
        """
        loop = asyncio.get_running_loop()
        futures = [loop.create_future() for _ in images]
        now = time.perf_counter()
        self._waiting.extend(zip(images, futures, [now] * len(futures), strict=True))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return await asyncio.gather(*futures)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            taken = [self._waiting.popleft() for _ in range(min(self._largest, len(self._waiting)))]
            batch = [entry for entry in taken if not entry[1].done()]  # done: nobody waits for it
            if not batch:
                continue
            begun = time.perf_counter()
            try:
                images = np.stack([image for image, _, _ in batch])
                answers = await loop.run_in_executor(self._executor, self._answer, images)
            except Exception as error:
                for _, future, _ in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            seconds = time.perf_counter() - begun
            self._observe(len(batch))
            for (_, future, came), probabilities, score, accepted in zip(
                batch, *answers, strict=True
            ):
                if not future.done():
                    future.set_result(
                        Answer(probabilities, _known(score), bool(accepted), begun - came, seconds)
                    )


def _known(score: np.floating) -> float | None:
    return None if np.isnan(score) else float(score)
