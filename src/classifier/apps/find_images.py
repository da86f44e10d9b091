"""The images that the words of a command line name: files, folders, globs, buckets, and ``-``."""

import glob
import os
import re
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from classifier.formats.image_files import is_image_file
from classifier.images.pixels import ImageError
from classifier.sources.bucket import BucketError, BucketFiles, as_bucket_error, driver_options
from classifier.support.addresses import without_credentials
from classifier.support.errors import InputError

ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+)://")
WEB = ("http", "https")  # fsspec's driver takes all links of a page for files
ATTEMPTS, TIMEOUT = 5, 60.0  # seconds; of S3
IN_BUCKETS = 16  # files that are read at one time
# How the environment says what ``options`` of a source say in a configuration.
BY_ENVIRONMENT = "FSSPEC_S3='{\"anon\": true}'"


class Found(NamedTuple):
    """
    Attributes:
        files: names of files on this machine, addresses of files in buckets, and ``-``.
        skipped: number of other files in the folders.
    """

    files: list[str]
    skipped: int


def find_images(words: Sequence[str]) -> Found:
    """The files that the words name, in the order of the words.

    A folder, here or in a bucket, stands for all image files in it and its sub-folders, sorted.
    A bucket is any address that fsspec has a driver for, as ``s3://bucket/folder/``.

    Raises:
        InputError: a bucket cannot be listed.
    """
    files: list[str] = []
    skipped: set[str] = set()
    for word in words:
        if ADDRESS.match(word):
            images, others = _in_bucket(word)
            files += images
            skipped.update(others)
            continue
        if word == "-" or Path(word).exists():
            named = [word]
        else:
            # Path.glob does not accept absolute patterns.
            named = sorted(glob.glob(word, recursive=True)) or [word]  # noqa: PTH207
        of_word: list[str] = []
        for name in named:
            if name == "-" or not Path(name).is_dir():
                of_word.append(name)
                continue
            images, others = _in_folder(Path(name))
            of_word += images
            skipped.update(others)
        files += dict.fromkeys(of_word)  # a glob may match a folder and the files in it
    return Found(files, len(skipped))


def read_encoded(file: str) -> bytes:
    """The bytes of a file that :func:`find_images` has found.

    Raises:
        ImageError: this file cannot be read.
        InputError: its bucket cannot be read.
    """
    if match := ADDRESS.match(file):
        return _read_in_bucket(file, match[1])
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise ImageError(error.strerror or str(error)) from None


def threads_to_read(files: Iterable[str]) -> int:
    """As many as processors; more for files in buckets, as most of the time a thread waits."""
    processors = os.cpu_count() or 1
    return max(processors, IN_BUCKETS) if any(map(ADDRESS.match, files)) else processors


def _in_folder(folder: Path) -> tuple[list[str], list[str]]:
    """The images in a folder and its sub-folders, and the other files."""
    images: list[str] = []
    others: list[str] = []
    for place, _, names in os.walk(folder):
        inside = PurePath(place).relative_to(folder)
        for name in names:
            chosen = images if is_image_file(inside / name) else others
            chosen.append(str(PurePath(place, name)))
    return sorted(images), others


def _in_bucket(url: str) -> tuple[list[str], list[str]]:
    """The images at an address, and the other files. A single file is an image whatever its name.

    Raises:
        InputError: it cannot be listed, or there is nothing.
    """
    named = without_credentials(url)
    protocol = url.partition("://")[0]
    if protocol in WEB:
        raise InputError(f"{named} is no folder of a bucket: 'curl -L <url> | classify <model> -'")
    try:
        with as_bucket_error(named, protocol):
            files = BucketFiles(url, driver_options(protocol, {}, ATTEMPTS, TIMEOUT))
            names = list(files.sizes())
            begin = files.system.unstrip_protocol(files.path)
    except BucketError as error:
        raise _for_a_command(error) from None
    images = [f"{begin}/{name}" if name else begin for name in names if _is_image(name)]
    return images, [f"{begin}/{name}" for name in names if not _is_image(name)]


def _is_image(name: str) -> bool:
    return not name or is_image_file(PurePath(name))


@cache
def _system(protocol: str) -> Any:
    import fsspec

    return fsspec.filesystem(protocol, **driver_options(protocol, {}, ATTEMPTS, TIMEOUT))


def _read_in_bucket(url: str, protocol: str) -> bytes:
    try:
        with as_bucket_error(url, protocol):
            try:
                return bytes(_system(protocol).cat_file(url))
            except FileNotFoundError:  # of this file alone: it is gone since it was listed
                pass
    except BucketError as error:
        raise _for_a_command(error) from None
    raise ImageError("does not exist")


def _for_a_command(error: BucketError) -> InputError:
    return InputError(str(error).replace("options: {anon: true}", BY_ENVIRONMENT))
