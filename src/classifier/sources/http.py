"""Downloads one file over HTTP: resumes interrupted downloads, and retries with back-off."""

from pathlib import Path

import requests
from tqdm import tqdm
from urllib3 import BaseHTTPResponse, Retry
from urllib3 import exceptions as urllib3_errors

from classifier.support.addresses import without_credentials

# Worth another attempt, by RFC 9110 and RFC 6585.
RETRIED = {408, 425, 429, 500, 502, 503, 504}
BLOCK = 1 << 16  # bytes


class DownloadError(Exception):
    """The file cannot be downloaded. The message is one line."""


class _Retry(Retry):
    """Also waits before the first retry, and ignores a Retry-After that cannot be read."""

    def get_backoff_time(self) -> float:
        return min(2.0 ** (len(self.history) - 1), self.backoff_max)

    def get_retry_after(self, response: BaseHTTPResponse) -> float | None:
        try:
            return super().get_retry_after(response)
        except urllib3_errors.InvalidHeader:
            return None


def download(
    url: str,
    partial: Path,
    *,
    attempts: int = 4,
    timeout: float = 30.0,
    max_bytes: int | None = None,
) -> None:
    """Downloads ``url`` to ``partial``, and continues after the bytes that ``partial`` has.

    Between attempts it waits 1, 2, 4, ... seconds, or as long as the server's Retry-After says,
    but at most 60 seconds. If all attempts fail, ``partial`` keeps what was received for a later
    call.

    Args:
        timeout: seconds to wait for a connection, and for the next byte.
        max_bytes: larger files are refused.

    Raises:
        DownloadError: the download failed. The message names the URL and the last reason.
    """
    partial.parent.mkdir(parents=True, exist_ok=True)
    named = without_credentials(url)
    # Not in an HTTPAdapter: it would log URLs with their tokens, and does not retry a broken body.
    retry = _Retry(attempts - 1, status_forcelist=RETRIED, backoff_max=60, retry_after_max=60)
    while True:
        try:
            _receive(url, partial, timeout, max_bytes)
            return
        except requests.RequestException as error:
            response, reason = error.response, _reason(error)
            if response is not None and not retry.is_retry("GET", response.status_code):
                raise DownloadError(f"{named}: {reason}") from None
            try:
                retry = retry.increment("GET", named, error=error)
            except urllib3_errors.MaxRetryError:
                raise DownloadError(f"{named}: {reason} ({attempts} attempts)") from None
            retry.sleep(None if response is None else response.raw)


def _receive(url: str, partial: Path, timeout: float, max_bytes: int | None) -> None:
    named = without_credentials(url)
    start = partial.stat().st_size if partial.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    with requests.get(url, headers=headers, stream=True, timeout=timeout) as response:
        if response.status_code == 416:  # there are no bytes after ``start``
            if response.headers.get("Content-Range", "").endswith(f"/{start}"):
                return
            partial.unlink()
            raise requests.ConnectionError("the partial download did not fit, starting over")
        response.raise_for_status()
        if response.status_code != 206:  # the server sends the whole file
            start = 0
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None
        if max_bytes is not None and (total or 0) > max_bytes:
            raise DownloadError(f"{named}: {total:,} bytes, more than max_bytes {max_bytes:,}")
        with (
            partial.open("ab" if start else "wb") as file,
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
        raise requests.ConnectionError(f"interrupted after {partial.stat().st_size:,} bytes")


def _reason(error: requests.RequestException) -> str:
    if error.response is not None:
        return f"HTTP {error.response.status_code} {error.response.reason}"
    cause = error.args[0] if error.args else error
    cause = getattr(cause, "reason", None) or cause  # urllib3's own error, in its MaxRetryError
    text = " ".join(str(cause).split())
    if isinstance(cause, urllib3_errors.NameResolutionError):
        return "host not found (no network?)"
    if isinstance(cause, urllib3_errors.NewConnectionError):
        return "connection refused" if "refused" in text else text
    if isinstance(cause, urllib3_errors.TimeoutError):
        return "no answer in time"
    return without_credentials(text)[:160] or type(error).__name__
