"""Downloading one file over HTTP: resumed after a break, retried with back-off."""

import time
from pathlib import Path

import requests
from tqdm import tqdm

from classifier.addresses import without_credentials

# Worth another try: the connection broke, or the server says so (RFC 9110, RFC 6585).
RETRIED = {408, 425, 429, 500, 502, 503, 504}
BLOCK = 1 << 16


class DownloadError(Exception):
    """The file could not be had; its text is one line."""


def download(
    url: str,
    partial: Path,
    *,
    attempts: int = 4,
    timeout: float = 30.0,
    max_bytes: int | None = None,
) -> None:
    """Downloads ``url`` to ``partial``, going on from the bytes that are there already.

    Waits 1, 2, 4, … seconds between attempts, or what the server's Retry-After asks for (60 at
    the most). What was received stays in ``partial`` for a later call when all attempts fail.

    Args:
        timeout: seconds to wait for a connection, and for the next byte.
        max_bytes: a longer file is refused.

    Raises:
        DownloadError: it could not be had; names the URL and the last reason.
    """
    partial.parent.mkdir(parents=True, exist_ok=True)
    named = without_credentials(url)
    for attempt in range(attempts):
        try:
            _receive(url, partial, timeout, max_bytes)
            return
        except requests.HTTPError as error:
            response = error.response
            reason = f"HTTP {response.status_code} {response.reason}"
            if response.status_code not in RETRIED:
                raise DownloadError(f"{named}: {reason}") from None
            wait = min(float(_seconds(response.headers.get("Retry-After")) or 2**attempt), 60.0)
        except (requests.RequestException, OSError) as error:
            if isinstance(error, OSError) and not isinstance(error, requests.RequestException):
                raise
            reason, wait = _reason(error), float(2**attempt)
        if attempt + 1 < attempts:
            time.sleep(wait)
    raise DownloadError(f"{named}: {reason} ({attempts} attempts)")


def _receive(url: str, partial: Path, timeout: float, max_bytes: int | None) -> None:
    named = without_credentials(url)
    have = partial.stat().st_size if partial.exists() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    headers["Accept-Encoding"] = "identity"
    with requests.get(url, headers=headers, stream=True, timeout=timeout) as response:
        if response.status_code == 416:  # nothing after what we have: it is whole, or not this file
            if response.headers.get("Content-Range", "").endswith(f"/{have}"):
                return
            partial.unlink()
            raise requests.ConnectionError("the partial download did not fit, starting over")
        response.raise_for_status()
        resumed = response.status_code == 206
        start = have if resumed else 0
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None
        if max_bytes is not None and (total or 0) > max_bytes:
            raise DownloadError(f"{named}: {total:,} bytes, more than max_bytes {max_bytes:,}")
        with (
            partial.open("ab" if resumed else "wb") as file,
            tqdm(
                desc=url.rpartition("/")[2],
                total=total,
                initial=start,
                unit="B",
                unit_scale=True,
                mininterval=0.5,
            ) as progress,
        ):
            for block in response.iter_content(BLOCK):
                file.write(block)
                progress.update(len(block))
                if max_bytes is not None and file.tell() > max_bytes:
                    raise DownloadError(f"{named}: more than max_bytes {max_bytes:,}")
    if total is not None and partial.stat().st_size < total:
        raise requests.ConnectionError(f"broke off after {partial.stat().st_size:,} bytes")


def _seconds(retry_after: str | None) -> int | None:
    return int(retry_after) if retry_after and retry_after.isdigit() else None


def _reason(error: Exception) -> str:
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    text = str(error)
    if "NameResolutionError" in text or "Failed to resolve" in text:
        return "host not found (no network?)"
    if "Connection refused" in text:
        return "connection refused"
    return without_credentials(" ".join(text.split()))[:160] or type(error).__name__
