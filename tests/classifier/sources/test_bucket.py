"""Buckets, on an S3 server of this machine: files, folders, and each way to fail in one line."""

import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from moto.server import ThreadedMotoServer

from classifier.catalog.raw import read_raw
from classifier.formats.archive import pack_folder
from classifier.layouts.error import LayoutError
from classifier.sources import bucket as module
from classifier.sources.bucket import BucketError, fetch_from_bucket
from classifier.sources.dataset import Dataset
from classifier.sources.fetch import Access
from classifier.sources.obtain import obtain
from classifier.sources.source import Source
from classifier.support.checksum import sha256_of
from classifier.support.errors import InputError
from conftest import CLASSES, write_photos

KEYS = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two photos of each class, and one with a name of signs."""
    folder = write_photos(tmp_path_factory.mktemp("bucket") / "photos", per_class=2)
    (folder / "red" / "000.png").rename(folder / "red" / "a b#[1]é.png")
    return folder


@pytest.fixture(scope="module")
def server(photos: Path) -> Iterator[str]:
    """An S3 server with the bucket ``own``: a folder of photos, and its archive; its address."""
    import boto3

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    keys = {name.lower(): text for name, text in KEYS.items()}
    client = boto3.client("s3", endpoint_url=address, region_name="us-east-1", **keys)
    client.create_bucket(Bucket="own")
    client.put_object(Bucket="own", Key="pets/photos/")  # as the web page makes a folder
    for file in sorted(photos.rglob("*.png")):
        name = file.relative_to(photos).as_posix()
        client.put_object(Bucket="own", Key=f"pets/photos/{name}", Body=file.read_bytes())
    archive = photos.with_name("photos.tar")
    pack_folder(photos, archive)
    client.put_object(Bucket="own", Key="pets/photos.tar", Body=archive.read_bytes())
    rows = ["path,label"]
    for file in sorted(photos.rglob("*.png")):
        name = f"{file.parent.name}{file.name}"
        client.put_object(Bucket="own", Key=f"table/images/{name}", Body=file.read_bytes())
        rows.append(f"{name},{file.parent.name}")
    client.put_object(Bucket="own", Key="table/labels.csv", Body="\n".join(rows).encode())
    client.put_object(Bucket="own", Key="unsafe/../a.png", Body=b"any")
    yield address
    server.stop()


@pytest.fixture
def s3(server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The environment of who may read the bucket; the address of the server."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    for name, text in KEYS.items():
        monkeypatch.setenv(name, text)
    return server


def dataset(url: str, **source: Any) -> Dataset:
    return Dataset(
        name="any",
        format="folders",
        file="a.tar",
        sources=[Source(kind="bucket", url=url, **source)],
        max_bytes=10**6,
        max_files=100,
    )


def fetch(url: str, destination: Path, **options: Any) -> None:
    limits = {"max_bytes": 10**6, "attempts": 1, "timeout": 5.0}
    fetch_from_bucket(url, destination, **({"options": {}} | limits | options))


def refused(tmp_path: Path, wanted: Dataset) -> str:
    """The line of the only source, after which nothing is left."""
    with pytest.raises(InputError) as raised:
        obtain(wanted, "auto", tmp_path / "a.tar", Access(None, tmp_path, attempts=1, timeout=5))
    assert list(tmp_path.iterdir()) == []
    lines = str(raised.value).splitlines()
    assert len(lines) == 3
    return lines[1].strip()


@pytest.mark.parametrize("url", ["s3://own/pets/photos", "s3://own/pets/photos/"])
def test_a_folder_gives_the_same_as_on_this_machine(
    tmp_path: Path, photos: Path, s3: str, url: str
) -> None:
    source = obtain(dataset(url), "auto", tmp_path / "a.tar", Access(None, tmp_path))
    assert source.kind == "bucket"
    pack_folder(photos, tmp_path / "b.tar")
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    images = list(read_raw(tmp_path / "a.tar", "folders", sorted(CLASSES)))
    assert len(images) == 6
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar", "b.tar", "contents.csv"]


def test_a_table_of_labels_beside_photos(
    tmp_path: Path, s3: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    obtain(dataset("s3://own/table"), "auto", tmp_path / "a.tar", Access(None, tmp_path))
    assert "any: layout table labels.csv, columns path, label" in caplog.messages
    assert "any: images 6: blue 2, green 2, red 2" in caplog.messages


@pytest.mark.fault("the address of a table in place of its folder", "one line")
def test_a_table_alone(tmp_path: Path, s3: str) -> None:
    wanted = dataset("s3://own/table/labels.csv")
    with pytest.raises(LayoutError, match=r"labels\.csv is a table: name the folder or the arch"):
        obtain(wanted, "auto", tmp_path / "a.tar", Access(None, tmp_path))


def test_an_archive_is_verified(tmp_path: Path, photos: Path, s3: str) -> None:
    archive = photos.with_name("photos.tar")
    wanted = dataset("s3://own/pets/photos.tar", sha256=sha256_of(archive))
    obtain(wanted, "auto", tmp_path / "a.tar", Access(None, tmp_path))
    with tarfile.open(tmp_path / "a.tar") as tar:
        assert len(tar.getnames()) == 6


def test_an_endpoint_in_the_options(
    tmp_path: Path, photos: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in KEYS.items():
        monkeypatch.setenv(name, text)
    options = {"endpoint_url": server}
    wanted = dataset("s3://own/pets/photos", options=options)
    obtain(wanted, "auto", tmp_path / "a.tar", Access(None, tmp_path))
    assert (tmp_path / "contents.csv").exists()


@pytest.mark.fault("a bucket without credentials", "one line, nothing left")
def test_no_credentials(tmp_path: Path, s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3)
    line = refused(tmp_path, dataset("s3://own/pets/photos"))
    assert line.startswith("bucket: s3://own/pets/photos: no credentials (Unable to locate cred")
    assert "AWS_PROFILE" in line


@pytest.mark.fault("a bucket", "one line, nothing left")
@pytest.mark.parametrize(
    ("url", "source", "expected"),
    [
        ("s3://own/pets/none", {}, "s3://own/pets/none: does not exist"),
        ("s3://other/pets", {}, "s3://other/pets: does not exist"),
        ("s3://own/pets/photos", {"sha256": "0" * 64}, "s3://own/pets/photos is a folder: its sha"),
        ("s3://own/pets/photos.tar", {"sha256": "0" * 64}, "checksum of file is "),
        ("s3://own/pets/photos", {"bytes": 99}, r"s3://own/pets/photos: [\d,]+ bytes, more than"),
        ("s3://own/unsafe", {}, r"s3://own/unsafe: unsafe name '\.\./a\.png': rename the file"),
        ("s3://own/pets", {"options": {"secret": "s"}}, "options has 'secret': git would keep"),
        ("gs://own/pets", {}, "gs://own/pets: there is no driver for gs://: pip install gcsfs"),
        ("abfs://own/pets", {}, "abfs://own/pets: there is no driver for abfs://: pip install ad"),
        ("zz://own/pets", {}, "zz://own/pets: fsspec does not know zz://: s3, gs, abfs and hf"),
        ("https://own/pets", {}, "https://own/pets is no address of a bucket: kind: url is for it"),
        ("own/pets", {}, "own/pets is no address of a bucket: kind: folder is for it"),
    ],
    ids=[
        "no file", "no bucket", "hash of a folder", "hash", "size", "unsafe name", "secret",
        "no driver of Google", "no driver of Azure", "unknown", "a web address", "a path",
    ],
)  # fmt: skip
def test_what_cannot_be_fetched(
    tmp_path: Path, s3: str, url: str, source: dict[str, Any], expected: str
) -> None:
    assert re.match(f"bucket: {expected}", refused(tmp_path, dataset(url, **source)))


@pytest.mark.fault("a bucket's server that cannot be reached", "one line, nothing left")
def test_a_server_that_cannot_be_reached(
    tmp_path: Path, s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    line = refused(tmp_path, dataset("s3://own/pets/photos"))
    assert line.startswith("bucket: s3://own/pets/photos: EndpointConnectionError: Could not conn")


@pytest.mark.fault("a file of a bucket that changes while it is fetched", "one line")
def test_a_file_that_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = MemoryFileSystem()
    memory.pipe("/changing/a/1.png", b"12345")
    get = MemoryFileSystem.get

    def changed(self: MemoryFileSystem, *arguments: Any, **options: Any) -> None:
        memory.pipe("/changing/a/1.png", b"123")
        get(self, *arguments, **options)

    monkeypatch.setattr(MemoryFileSystem, "get", changed)
    with pytest.raises(BucketError, match=r"a/1\.png has changed while it was fetched"):
        fetch("memory://changing", tmp_path / "fetched")


@pytest.mark.parametrize("together", [1, 2, 500])
def test_files_are_fetched_in_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, together: int
) -> None:
    memory = MemoryFileSystem()
    for number in range(3):
        memory.pipe(f"/grouped/a/{number}.png", bytes(number))
    monkeypatch.setattr(module, "TOGETHER", together)
    fetch("memory://grouped", tmp_path / "fetched")
    files = sorted((tmp_path / "fetched" / "a").iterdir())
    assert [file.stat().st_size for file in files] == [0, 1, 2]


@pytest.mark.fault("a full disk while a bucket is fetched", "an error of this machine")
def test_a_full_disk_is_no_fault_of_the_bucket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    MemoryFileSystem().pipe("/full/1.png", b"1")

    def full(self: MemoryFileSystem, *arguments: Any, **options: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(MemoryFileSystem, "get", full)
    with pytest.raises(OSError, match="No space left"):
        fetch("memory://full", tmp_path / "fetched")
