"""Fetches a file or a folder from a bucket, or whatever else fsspec has a driver for.

s3://, gs://, abfs://, hf:// and more (https://filesystem-spec.readthedocs.io).
"""

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from tqdm import tqdm

from classifier.formats.archive import UNSAFE
from classifier.support.addresses import without_credentials

# Addresses that other kinds of sources are for.
OTHERS = {"file": "folder", "local": "folder", "http": "url", "https": "url"}
# Options of drivers that are secrets. Public buckets of Google need token: anon.
SECRETS = {"key", "secret", "password", "account_key", "connection_string", "sas_token", "token"}
NO_SECRETS = {"anon", "google_default", "cloud"}
# Of this machine, whatever the driver says.
OWN = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE}
TOGETHER = 500  # files that are fetched at once


class BucketError(Exception):
    """The file or folder cannot be fetched. The message is one line."""


def fetch_from_bucket(
    url: str,
    destination: Path,
    *,
    options: Mapping[str, Any],
    max_bytes: int,
    attempts: int,
    timeout: float,
) -> None:
    """Writes the file at ``url`` to ``destination``, or all files below it to a folder there.

    Each file has the size that the bucket states. After an error, what was fetched is of no use.

    Args:
        options: of the driver, for example ``anon`` or ``endpoint_url``. No secrets: a driver takes
            those from the environment.
        max_bytes: of all files together; more are refused before any is fetched.
        attempts, timeout: seconds; for S3. Other drivers have their own.

    Raises:
        BucketError: there is no driver, no credentials or no such file, or a fetch failed.
    """
    named = without_credentials(url)
    protocol = url.partition("://")[0]
    if protocol in OTHERS or "://" not in url:
        kind = OTHERS.get(protocol, "folder")
        raise BucketError(f"{named} is no address of a bucket: kind: {kind} is for it")
    for key, value in options.items():
        if key in SECRETS and value not in NO_SECRETS:
            raise BucketError(
                f"options has '{key}': git would keep this secret; set it in the environment"
            )
    with as_bucket_error(named, protocol):
        files = BucketFiles(url, driver_options(protocol, options, attempts, timeout))
        sizes = files.sizes()
    if not sizes:
        raise BucketError(f"{named} has no files")
    if (total := sum(sizes.values())) > max_bytes:
        raise BucketError(f"{named}: {total:,} bytes, more than max_bytes {max_bytes:,}")
    all_names = list(sizes)
    for name in all_names:
        if UNSAFE.search(name) or name.startswith("/") or ".." in PurePosixPath(name).parts:
            raise BucketError(f"{named}: unsafe name {name!r}: rename the file")
    with tqdm(desc=named, total=total, unit="B", unit_scale=True, mininterval=0.5) as progress:
        for start in range(0, len(all_names), TOGETHER):
            names = all_names[start : start + TOGETHER]
            local = [destination / name if name else destination for name in names]
            with as_bucket_error(named, protocol):
                files.fetch(names, local)
            for name, path in zip(names, local, strict=True):
                if not path.is_file() or path.stat().st_size != sizes[name]:
                    raise BucketError(f"{named}: {name} has changed while it was fetched")
            progress.update(sum(sizes[name] for name in names))


class BucketFiles:
    """The files at an address, by their names below it; a single file has an empty name."""

    def __init__(self, url: str, options: dict[str, Any]) -> None:
        from fsspec.core import url_to_fs

        self.system, path = url_to_fs(url, **options)
        self.path = path.rstrip("/")

    def sizes(self) -> dict[str, int]:
        """The size of each file in bytes."""
        info = self.system.info(self.path)
        if info["type"] == "file":
            return {"": int(info["size"])}
        found = self.system.find(self.path, detail=True)
        # A name with a slash at its end stands for an empty folder.
        return {
            path.removeprefix(f"{self.path}/"): int(info["size"])
            for path, info in sorted(found.items())
            if not path.endswith("/")
        }

    def fetch(self, names: list[str], local: list[Path]) -> None:
        for path in local:
            path.parent.mkdir(parents=True, exist_ok=True)
        remote = [f"{self.path}/{name}" if name else self.path for name in names]
        self.system.get(remote, [str(path) for path in local])


def driver_options(
    protocol: str, options: Mapping[str, Any], attempts: int, timeout: float
) -> dict[str, Any]:
    """The options of fsspec's driver, with limits where it has none.

    Args:
        options: of the user; they take precedence.
        attempts, timeout: seconds; for S3.
    """
    # An instance of before may have other credentials.
    own: dict[str, Any] = {"skip_instance_cache": True}
    if protocol in ("s3", "s3a"):
        retries = {"max_attempts": attempts - 1, "mode": "standard"}
        limits = {"connect_timeout": timeout, "read_timeout": timeout, "retries": retries}
        own["config_kwargs"] = limits
    return own | dict(options)


@contextmanager
def as_bucket_error(named: str, protocol: str) -> Iterator[None]:
    """Turns what a driver raises, which may be anything, into a BucketError.

    Args:
        named: the address, for the message.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, MemoryError) or getattr(error, "errno", None) in OWN:
            raise
        raise BucketError(f"{named}: {_reason(error, protocol)}") from None


def _reason(error: Exception, protocol: str) -> str:
    kind, text = type(error).__name__, without_credentials(" ".join(str(error).split()))[:200]
    if isinstance(error, ImportError):
        module = getattr(error.__cause__, "name", None)
        driver = f"pip install {module.partition('.')[0]}" if module else text
        return f"there is no driver for {protocol}://: {driver}"
    if isinstance(error, ValueError) and text.startswith("Protocol not known"):
        return f"fsspec does not know {protocol}://: s3, gs, abfs and hf are among those it knows"
    if "Credential" in kind or "TokenNotFound" in kind:
        return (
            f"no credentials ({text}): set them in the environment, for S3 AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; a public bucket needs options: {anon: true}"
        )
    if isinstance(error, FileNotFoundError):
        return "does not exist"
    if isinstance(error, PermissionError):
        return f"access denied ({text}): the credentials are wrong, or may not read it"
    return f"{kind}: {text}" if text else kind
