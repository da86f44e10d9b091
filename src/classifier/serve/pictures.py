"""The pictures of a request: a form with files, the picture itself, or JSON with base64."""

import asyncio
import base64
import binascii
import io
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from fastapi import Request
from PIL import Image
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from classifier.images.pixels import DAMAGED, FORMATS, ImageError
from classifier.images.preprocessing import Preprocessing
from classifier.serve.refusal import RefusedError, busy

FIELDS = 16  # of a form, besides its files


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What a request may have at most.

    Attributes:
        size: bytes of a request.
        held: bytes of all requests that are read or answered at one time.
        files: pictures of a request.
        pixels: of a picture.
        seconds: from the first byte of a request's body to its last one.
    """

    size: int = 32 << 20
    held: int = 256 << 20
    files: int = 32
    pixels: int = 40_000_000
    seconds: float = 30.0


class Picture(NamedTuple):
    """An encoded picture, and its name in messages and answers."""

    name: str
    content: bytes


class _Form(MultiPartParser):
    """Starlette's parser, which takes a form that breaks off for a whole one."""

    ended = False

    def on_end(self) -> None:
        self.ended = True


class Reader:
    """Reads the pictures of requests, within bounds for each one and for all together."""

    def __init__(self, bounds: Bounds):
        self.bounds = bounds
        self.held = 0  # bytes

    @asynccontextmanager
    async def pictures(self, request: Request) -> AsyncIterator[list[Picture]]:
        """The pictures of a request, one at least. Their memory counts until the block ends.

        Raises:
            RefusedError: there is none, a bound is exceeded, or the body is damaged.
            ClientDisconnect: of Starlette, when the client is gone.
        """
        bounds = self.bounds
        size = 0

        async def chunks() -> AsyncGenerator[bytes, None]:
            nonlocal size
            async for chunk in request.stream():
                size += len(chunk)
                self.held += len(chunk)
                if size > bounds.size:
                    raise _too_large(bounds)
                if self.held > bounds.held:
                    raise busy("too many bytes wait")
                yield chunk

        announced = request.headers.get("content-length", "")
        if announced.isdigit() and int(announced) > bounds.size:
            raise _too_large(bounds)
        try:
            try:
                async with asyncio.timeout(bounds.seconds):
                    pictures = await self._read(request, chunks())
            except TimeoutError:
                raise RefusedError(
                    408, f"the request did not come within {bounds.seconds:g} s: {size:,} bytes did"
                ) from None
            if not pictures:
                raise RefusedError(400, "the request has no picture")
            if len(pictures) > bounds.files:
                raise _too_many(bounds)
            yield pictures
        finally:
            self.held -= size

    async def _read(self, request: Request, chunks: AsyncGenerator[bytes, None]) -> list[Picture]:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "multipart/form-data":
            return await self._form(request, chunks)
        if kind == "application/json" or kind.startswith("image/"):
            body = b"".join([chunk async for chunk in chunks])
            if kind == "application/json":
                return await asyncio.to_thread(from_json, body)
            return [Picture("image 1", body)] if body else []
        raise RefusedError(
            415,
            f"the content type is {kind or 'missing'}: send multipart/form-data, image/jpeg or "
            "another image, or application/json",
        )

    async def _form(self, request: Request, chunks: AsyncGenerator[bytes, None]) -> list[Picture]:
        parser = _Form(request.headers, chunks, max_files=self.bounds.files, max_fields=FIELDS)
        parser.spool_max_size = self.bounds.size  # in memory, not in files
        try:
            form = await parser.parse()
        except MultiPartException as error:
            if error.message.startswith("Too many files"):
                raise _too_many(self.bounds) from None
            raise RefusedError(400, f"the form is damaged: {_one_line(error.message)}") from None
        if not parser.ended:
            raise RefusedError(400, "the form is damaged: it breaks off")
        pictures: list[Picture] = []
        for field, value in form.multi_items():
            if not isinstance(value, UploadFile):
                raise RefusedError(
                    400, f"the field {_one_line(field)} has no file: with curl, write image=@FILE"
                )
            name = value.filename or f"image {len(pictures) + 1}"
            pictures.append(Picture(_one_line(name), await value.read()))
        await form.close()
        return pictures


def from_json(body: bytes) -> list[Picture]:
    """The pictures of ``{"image": <base64>}`` or ``{"images": [<base64>, …]}``.

    Raises:
        RefusedError: it is something else.
    """
    try:
        content: Any = json.loads(body)
    except (ValueError, RecursionError):
        raise RefusedError(400, "the body is not JSON") from None
    texts = content.get("images", [content.get("image")]) if isinstance(content, dict) else None
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise RefusedError(400, 'the JSON must be {"image": base64} or {"images": [base64, …]}')
    pictures = []
    for number, text in enumerate(texts, 1):
        try:
            picture = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise RefusedError(400, f"image {number} is not base64") from None
        pictures.append(Picture(f"image {number}", picture))
    return pictures


def decode(picture: Picture, preprocessing: Preprocessing, pixels: int) -> np.ndarray:
    """Decodes a picture as for training, uint8 (H, W, C).

    Args:
        pixels: the most that it may have.

    Raises:
        RefusedError: it has more, or cannot be decoded.
    """
    try:
        with Image.open(io.BytesIO(picture.content), formats=FORMATS) as image:
            width, height = image.size  # of the header alone
    except Image.DecompressionBombError:  # Pillow's own bound
        raise RefusedError(413, f"{picture.name} has more than {pixels:,} pixels") from None
    except (MemoryError, *DAMAGED):
        width = height = 0  # HEIC, or damaged: the next step says so
    if width * height > pixels:
        raise RefusedError(413, f"{picture.name} has more than {pixels:,} pixels")
    try:
        return preprocessing(picture.content)
    except ImageError as error:
        raise RefusedError(422, f"{picture.name} cannot be read: {_one_line(str(error))}") from None
    except MemoryError:
        raise busy(f"{picture.name} needs more memory than there is") from None


def _too_large(bounds: Bounds) -> RefusedError:
    return RefusedError(413, f"the request has more than {bounds.size:,} bytes")


def _too_many(bounds: Bounds) -> RefusedError:
    return RefusedError(
        413, f"the request has more than {bounds.files} pictures: send several requests"
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]
