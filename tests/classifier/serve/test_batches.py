"""Requests that come together are one batch, and one request's fate is not another's."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import pytest

from classifier.serve.batches import Answer, Batches, Room
from classifier.serve.refusal import RefusedError
from classifier.serving.outputs import Answers

Result = TypeVar("Result")


class Slow:
    """A model that waits for ``go``; an image of 255 makes it fail."""

    def __init__(self) -> None:
        self.go, self.begun = threading.Event(), threading.Event()
        self.sizes: list[int] = []

    def __call__(self, images: np.ndarray) -> Answers:
        self.begun.set()
        assert self.go.wait(10)
        if (images == 255).any():
            raise ValueError("a bad image")
        values = images.reshape(len(images), -1)[:, 0]
        probabilities = np.stack([values, 255 - values], axis=1).astype(np.float32) / 255
        return Answers(probabilities, probabilities.max(axis=1), values > 0)


def run(
    model: Slow, test: Callable[[Batches], Awaitable[Result]], largest: int = 4
) -> tuple[Result, list[int]]:
    sizes: list[int] = []

    async def main(executor: ThreadPoolExecutor) -> Result:
        return await test(Batches(model, executor, largest, sizes.append))

    with ThreadPoolExecutor(1) as executor:
        return asyncio.run(main(executor)), sizes


def image(value: int) -> np.ndarray:
    return np.full((2, 2, 1), value, np.uint8)


async def begun(model: Slow) -> None:
    while not model.begun.is_set():
        await asyncio.sleep(0.001)


def test_what_comes_while_a_batch_is_answered_is_the_next_one() -> None:
    model = Slow()

    async def test(batches: Batches) -> list[list[Answer]]:
        first = asyncio.create_task(batches.answers([image(0)]))
        await begun(model)
        others = [
            asyncio.create_task(batches.answers([image(v), image(v + 1)])) for v in (10, 20, 30)
        ]
        await asyncio.sleep(0)
        model.go.set()
        return [await task for task in (first, *others)]

    answers, sizes = run(model, test)
    assert sizes == [1, 4, 2]
    values = [[round(255 * float(answer.probabilities[0])) for answer in of] for of in answers]
    assert values == [[0], [10, 11], [20, 21], [30, 31]]
    assert not answers[0][0].accepted and answers[1][0].accepted


def test_a_failure_ends_its_batch_alone() -> None:
    model = Slow()

    async def test(batches: Batches) -> list[Answer]:
        failing = asyncio.create_task(batches.answers([image(255)]))
        await begun(model)
        model.go.set()
        with pytest.raises(ValueError, match="a bad image"):
            await failing
        return await batches.answers([image(7)])

    (answer,), _ = run(model, test)
    assert round(255 * float(answer.probabilities[0])) == 7


def test_nobody_waits_for_a_client_that_is_gone() -> None:
    model = Slow()

    async def test(batches: Batches) -> list[Answer]:
        first = asyncio.create_task(batches.answers([image(1)]))
        await begun(model)
        gone = asyncio.create_task(batches.answers([image(2)]))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        model.go.set()
        return [*await first, *await batches.answers([image(3)])]

    _, sizes = run(model, test)
    assert sizes == [1, 1]


def test_a_room_has_so_many_places() -> None:
    room = Room(3)
    room.enter(2)
    room.check()
    with pytest.raises(RefusedError, match="2 pictures wait") as refused:
        room.enter(2)
    assert (refused.value.status, refused.value.headers) == (429, {"Retry-After": "1"})
    room.enter(1)
    with pytest.raises(RefusedError):
        room.check()
    room.leave(3)
    assert room.taken == 0
