"""The HTTP interface: classify pictures, list the models, say how the server is."""

import asyncio
import hmac
import os
import re
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import numpy as np
from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST, Counter
from pydantic import BaseModel, Field, SerializeAsAny
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from classifier.serve.answer_log import AnswerLog
from classifier.serve.batches import Answer, Room
from classifier.serve.exported import Loaded
from classifier.serve.models import Models
from classifier.serve.monitoring import STAGES, Monitoring
from classifier.serve.pictures import Bounds, Picture, Reader, decode
from classifier.serve.refusal import RefusedError
from classifier.serving.loading import SavedClassifier

FILE = {"type": "string", "format": "binary"}
BASE64 = {"type": "string", "format": "byte"}


def body_of(name: str, item: dict[str, str]) -> dict[str, Any]:
    """The JSON schema of an object with a list."""
    return {"type": "object", "properties": {name: {"type": "array", "items": item}}}


# FastAPI does not read the body: Reader does, within its bounds.
BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": body_of("image", FILE)},
            "image/*": {"schema": FILE},
            "application/json": {"schema": body_of("images", BASE64)},
        },
    }
}
DESCRIPTION = """\
Classifies pictures by exported models. Try it: open **classify**, *Try it out*, choose files.

Each error is JSON with one line: `{"error": "…", "request_id": "…"}`.
"""


class Guess(BaseModel):
    """A class and its probability, 0..1."""

    name: str = Field(serialization_alias="class")
    probability: float


class PictureAnswer(BaseModel):
    """The answer to one picture.

    ``accepted`` is false if the picture is unlike those of training: then it may be none of the
    classes. ``score`` is what that is decided by: 1 for a usual picture, more for an unlike one.
    """

    file: str
    name: str = Field(serialization_alias="class")
    probability: float
    accepted: bool
    score: float | None
    top: list[Guess]


class LabelledAnswer(PictureAnswer):
    """The answer of a model that knows several labels a picture.

    ``labels`` are all classes at or above their thresholds: any number of them, also none. The
    other fields are of the most probable classes, whatever their thresholds.
    """

    labels: list[Guess]


class ModelVersion(BaseModel):
    """The model that answers."""

    name: str
    version: str


class Reply(BaseModel):
    """The answers to the pictures of a request, in their order."""

    request_id: str
    model: ModelVersion
    answers: list[SerializeAsAny[LabelledAnswer | PictureAnswer]]


class Problem(BaseModel):
    """Why a request has no answer: one line."""

    error: str
    request_id: str


# What each status means; the text of the error says more.
STATUSES = {
    400: "The body is empty or damaged",
    401: "The token is missing or wrong",
    404: "There is no such model",
    408: "The request did not come in time",
    413: "Too many bytes, pictures or pixels",
    415: "The content type is not known",
    422: "A picture or a parameter cannot be read",
    429: "The server is busy: try again after Retry-After",
    503: "The model is not loaded yet",
}


class Following:
    """Gives each request its id, the client's or a new one, and counts it by route and status."""

    def __init__(self, app: ASGIApp, requests: Counter):
        self._app, self._requests = app, requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        known = re.fullmatch(r"[\w.:-]{1,128}", given, re.ASCII)
        identity = scope.setdefault("state", {})["id"] = given if known else uuid4().hex
        status = 500

        async def follow(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = identity
            await send(message)

        try:
            await self._app(scope, receive, follow)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._requests.labels(route, status).inc()


def create_api(
    models: Models,
    *,
    bounds: Bounds,
    queue: int,
    monitoring: Monitoring,
    token: str | None = None,
    log: AnswerLog | None = None,
    root: Path | None = None,
) -> FastAPI:
    """The application for an ASGI server.

    Args:
        bounds: of requests.
        queue: the most pictures that are accepted and not answered.
        token: what a client must send as ``Authorization: Bearer <token>``; None for no such rule.
        log: gets a line for each picture.
        root: the checkout whose MLflow store has the champions.
    """
    reader, room = Reader(bounds), Room(queue)
    decoders = ThreadPoolExecutor(os.cpu_count(), "decode")
    monitoring.waiting.set_function(lambda: room.taken)
    seconds = {stage: monitoring.seconds.labels(stage) for stage in STAGES}

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(models.watch_folders())]
        if models.champion_names and root:
            tasks.append(asyncio.create_task(models.watch_champions(root)))
        yield
        for task in tasks:  # after the last answer
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if log:
            log.close()

    bearer = HTTPBearer(auto_error=False, description="The server's token, if it has one")

    def authorized(
        credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
    ) -> None:
        if token is None:
            return
        given = credentials.credentials if credentials else ""
        if not hmac.compare_digest(given.encode(), token.encode()):
            why = "the token is wrong" if given else "a token is needed"
            raise RefusedError(
                401, f"{why}: send Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"}
            )

    api = FastAPIOffline(
        title="Image classifier",
        version="1",
        description=DESCRIPTION,
        redoc_url=None,
        lifespan=lifespan,
    )
    secured = [Depends(authorized)]

    api.add_middleware(Following, requests=monitoring.requests)

    @api.post(
        "/v1/models/{name}/classify",
        dependencies=secured,
        openapi_extra=BODY,
        response_model=Reply,
        responses={
            status: {"model": Problem, "description": text} for status, text in STATUSES.items()
        },
        tags=["classify"],
    )
    async def classify(
        name: str,
        request: Request,
        top: Annotated[int, Query(ge=1, le=1000, description="classes in an answer")] = 5,
    ) -> Response:
        """The classes of one picture or several: files of a form, the picture itself, or JSON."""
        begun = time.perf_counter()
        models.of(name)  # before the body is read
        room.check()
        async with reader.pictures(request) as pictures:
            read = time.perf_counter()
            loaded, batches = models.of(name)
            room.enter(len(pictures))
            try:
                images = await decode_all(loaded, pictures)
                decoded = time.perf_counter()
                answers = await batches.answers(images)
            finally:
                room.leave(len(pictures))
        reply = Reply(
            request_id=request.state.id,
            model=ModelVersion(name=name, version=loaded.version),
            answers=[
                picture_answer(loaded.classifier, picture.name, answer, top)
                for picture, answer in zip(pictures, answers, strict=True)
            ],
        )
        seconds["read"].observe(read - begun)
        seconds["decode"].observe(decoded - read)
        seconds["queue"].observe(max(answer.queued for answer in answers))
        seconds["predict"].observe(max(answer.predicted for answer in answers))
        seconds["all"].observe(time.perf_counter() - begun)
        for one in reply.answers:
            accepted = str(one.accepted).lower()
            monitoring.pictures.labels(name, one.name, accepted).inc()
        if log:
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            for one, answer in zip(reply.answers, answers, strict=True):
                log.write(
                    {
                        "time": now,
                        "request_id": reply.request_id,
                        "model": name,
                        "version": loaded.version,
                        "file": one.file,
                        "class": one.name,
                        "probability": one.probability,
                        "score": one.score,
                        "accepted": one.accepted,
                        "probabilities": rounded(answer.probabilities),
                    }
                )
        return Response(reply.model_dump_json(by_alias=True), media_type="application/json")

    async def decode_all(loaded: Loaded, pictures: Sequence[Picture]) -> list[np.ndarray]:
        loop = asyncio.get_running_loop()
        preprocessing = loaded.classifier.preprocessing
        results = await asyncio.gather(
            *(
                loop.run_in_executor(decoders, decode, picture, preprocessing, bounds.pixels)
                for picture in pictures
            ),
            return_exceptions=True,  # all have ended when the first error is raised
        )
        images = []
        for result in results:
            if isinstance(result, BaseException):
                raise result
            images.append(result)
        return images

    @api.get("/v1/models", dependencies=secured, tags=["models"])
    async def list_models() -> dict[str, Any]:
        """The versions that answer, their metrics on the test split, and their cards."""
        return {"models": [models.described(loaded) for loaded in models]}

    @api.get("/v1/models/{name}", dependencies=secured, tags=["models"])
    async def describe_model(name: str) -> dict[str, Any]:
        """One of /v1/models."""
        return models.described(models.of(name).loaded)

    @api.get("/metrics", dependencies=secured, tags=["server"], response_class=Response)
    async def metrics() -> Response:
        """For Prometheus."""
        return Response(monitoring.page(), media_type=CONTENT_TYPE_LATEST)

    @api.get("/healthz", tags=["server"])
    async def health() -> dict[str, str]:
        """200 while the server runs."""
        return {"status": "ok"}

    @api.get("/readyz", tags=["server"])
    async def ready() -> dict[str, str]:
        """200 when every model can answer, else 503."""
        if not models.ready:
            raise RefusedError(503, "models are being loaded", {"Retry-After": "1"})
        return {"status": "ready"}

    @api.get("/", include_in_schema=False)
    async def home() -> Response:
        return RedirectResponse("docs")

    def refused(
        request: Request, status: int, message: str, headers: dict[str, str] | None = None
    ) -> JSONResponse:
        content = {"error": " ".join(message.split()), "request_id": request.state.id}
        return JSONResponse(content, status, headers)

    @api.exception_handler(RefusedError)
    async def refusal(request: Request, error: RefusedError) -> JSONResponse:
        return refused(request, error.status, str(error), error.headers)

    @api.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        message = error.detail
        if error.status_code == 404:
            message = f"there is no {request.url.path}: see /docs"
        elif error.status_code == 405:
            message = f"{request.method} is not for {request.url.path}: see /docs"
        return refused(request, error.status_code, message, dict(error.headers or {}))

    @api.exception_handler(RequestValidationError)
    async def wrong_parameter(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        return refused(request, 422, f"{first['loc'][-1]}: {first['msg']}")

    @api.exception_handler(ClientDisconnect)
    async def gone(request: Request, error: ClientDisconnect) -> JSONResponse:
        return refused(request, 400, "the client ended the upload")  # for the metrics alone

    @api.exception_handler(Exception)
    async def bug(request: Request, error: Exception) -> JSONResponse:
        return refused(request, 500, "the server failed: its console says why")

    return api


def picture_answer(
    classifier: SavedClassifier, file: str, answer: Answer, top: int
) -> PictureAnswer:
    """The answer to a picture as JSON, with the ``top`` most probable classes."""
    probabilities, classes = answer.probabilities, classifier.classes
    order = np.argsort(-probabilities, kind="stable")
    guesses = [Guess(name=classes[at], probability=float(probabilities[at])) for at in order]
    one = PictureAnswer(
        file=file,
        name=guesses[0].name,
        probability=guesses[0].probability,
        accepted=answer.accepted,
        score=answer.score,
        top=guesses[:top],
    )
    if classifier.thresholds is None:
        return one
    above = (probabilities >= classifier.thresholds)[order]
    labels = [guess for guess, is_above in zip(guesses, above, strict=True) if is_above]
    return LabelledAnswer(**dict(one), labels=labels)


def rounded(probabilities: np.ndarray) -> list[float]:
    return [round(float(probability), 6) for probability in probabilities]
