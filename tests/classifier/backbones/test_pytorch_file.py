"""PyTorch's files, read without it: views of storages, and files that are refused."""

import io
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifier.backbones.pytorch_file import MAGIC, WeightsError, read_state_dict

NUMBERS = np.arange(12, dtype="<f4")


def value(content: object) -> bytes:
    """The opcodes that push a number, a text or a tuple."""
    return pickle.dumps(content, protocol=2)[2:-1]


def tensor(
    offset: int = 0,
    shape: tuple = (3, 4),
    strides: tuple = (4, 1),
    *,
    storage: str = "torch\nFloatStorage",
    key: str = "0",
    count: int = len(NUMBERS),
    view: bytes = b"N",
) -> bytes:
    """The opcodes that push a tensor."""
    pid = value("storage") + f"c{storage}\n".encode() + value(key) + value("cpu") + value(count)
    arguments = b"(" + pid + view + b"tQ" + value(offset) + value(shape) + value(strides)
    hooks = b"\x89ccollections\nOrderedDict\n)R"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + hooks + b"tR"


def saved(
    tensors: dict[str, bytes],
    *,
    magic: int = MAGIC,
    version: int = 1001,
    little_endian: bool = True,
    storages: dict[str, np.ndarray] | None = None,
) -> bytes:
    """The bytes that torch.save wrote before PyTorch 1.6."""
    storages = {"0": NUMBERS} if storages is None else storages
    system = {"protocol_version": version, "little_endian": little_endian}
    head = [pickle.dumps(part, protocol=2) for part in (magic, version, system)]
    items = b"".join(value(name) + content for name, content in tensors.items())
    state = b"\x80\x02ccollections\nOrderedDict\n)R(" + items + b"u."
    data = [struct.pack("<q", storage.size) + storage.tobytes() for storage in storages.values()]
    return b"".join([*head, state, pickle.dumps(list(storages), protocol=2), *data])


def test_tensors_are_views_by_offset_shape_and_strides() -> None:
    content = saved(
        {
            "transposed": tensor(1, (2, 3), (1, 3)),
            "channels_last": tensor(0, (1, 2, 3, 2), (12, 1, 4, 2)),
            "first_row": tensor(0, (4,), (1,)),
            "repeated": tensor(5, (3,), (0,)),
            "empty": tensor(12, (0, 4), (4, 1)),
            "count": tensor(0, (), (), storage="torch\nLongStorage", key="1", count=1),
        },
        storages={"1": np.array([7], "<i8"), "0": NUMBERS},
    )
    state = read_state_dict(io.BytesIO(content))
    assert list(state) == [
        "transposed",
        "channels_last",
        "first_row",
        "repeated",
        "empty",
        "count",
    ]
    np.testing.assert_array_equal(state["transposed"], [[1, 4, 7], [2, 5, 8]])
    images = NUMBERS.reshape(1, 3, 2, 2)  # (N, H, W, C)
    np.testing.assert_array_equal(state["channels_last"], images.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(state["first_row"], [0, 1, 2, 3])
    np.testing.assert_array_equal(state["repeated"], [5, 5, 5])
    assert state["empty"].shape == (0, 4)
    assert (state["count"].shape, state["count"].dtype, int(state["count"])) == ((), np.int64, 7)
    assert state["transposed"].dtype == np.float32
    assert all(array.flags.c_contiguous and array.flags.writeable for array in state.values())


def test_a_path_is_read_like_an_open_file(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(saved({"a": tensor()}))
    np.testing.assert_array_equal(read_state_dict(path)["a"], NUMBERS.reshape(3, 4))
    with path.open("rb") as file:
        np.testing.assert_array_equal(read_state_dict(file)["a"], NUMBERS.reshape(3, 4))


def zipped() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("archive/data.pkl", b"")
    return content.getvalue()


REFUSED = {
    "of the format since 1.6": (zipped(), "a zip file, which torch.save writes since PyTorch 1.6"),
    "empty": (b"", "does not begin with PyTorch's magic number"),
    "of text": (b"<html>", "does not begin with PyTorch's magic number"),
    "with another magic number": (saved({}, magic=1), "does not begin with PyTorch's magic"),
    "of another version": (saved({}, version=1002), "version 1002 of PyTorch's format"),
    "of a big-endian machine": (saved({}, little_endian=False), "written on a big-endian machine"),
    "with a cut storage": (saved({"a": tensor()})[:-5], "cut off: 43 of 48 bytes of storage 0"),
    "with a cut pickle": (saved({"a": tensor()})[:150], "damaged (not enough data in stream"),
    "without a storage": (
        saved({"a": tensor()}, storages={}),
        "damaged (storage 0 of a is not there)",
    ),
    "with another count": (saved({"a": tensor(count=11)}), "storage 0 has 12 elements, not 11"),
    "with a count below 0": (
        saved({"a": tensor(count=-1)})[:-56] + struct.pack("<q", -1),
        "storage 0 has -1 elements",
    ),
    "with a stride beyond the storage": (
        saved({"a": tensor(0, (3, 4), (5, 1))}),
        "a reaches beyond its storage of 12 elements",
    ),
    "with an offset beyond the storage": (
        saved({"a": tensor(1)}),
        "a reaches beyond its storage of 12 elements",
    ),
    "that repeats elements without end": (
        saved({"a": tensor(0, (10**6, 10**6), (0, 0))}),
        "a reaches beyond its storage of 12 elements",
    ),
    "with a negative stride": (saved({"a": tensor(8, (2,), (-1,))}), "a has shape (2,), strides"),
    "with a stride too few": (saved({"a": tensor(0, (3, 4), (4,))}), "a has shape (3, 4), strides"),
    "with a view of a storage": (saved({"a": tensor(view=value(("1", 0, 3)))}), "unknown storage"),
    "with another dtype": (
        saved({"a": tensor(storage="torch\nHalfStorage")}),
        "refused torch.HalfStorage",
    ),
    "with a number for a tensor": (saved({"a": value(3)}), "'a' is not a tensor"),
    "with too large an index": (saved({"a": b"Nr\xff\xff\xff\xff"}), "LONG_BINPUT 4294967295"),
}


@pytest.mark.fault("file of weights", "one line that names the file")
@pytest.mark.parametrize("kind", REFUSED)
def test_a_file_that_is_refused(tmp_path: Path, kind: str) -> None:
    content, expected = REFUSED[kind]
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError) as error:
        read_state_dict(path)
    assert str(error.value).startswith("weights.pth: ")
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


def test_a_module_in_place_of_its_state_dict_is_refused() -> None:
    content = saved({}).replace(b"ccollections\nOrderedDict\n)R(u.", b"].")
    with pytest.raises(WeightsError, match="not a dictionary of tensors"):
        read_state_dict(io.BytesIO(content))


@pytest.mark.fault("weights that would run code", "refused by the code's name, nothing run")
@pytest.mark.parametrize("first", [True, False])
def test_weights_that_would_run_code_are_refused(tmp_path: Path, first: bool) -> None:
    made = tmp_path / "made"
    call = b"cos\nmkdir\n(" + value(str(made)) + b"tR"
    content = b"\x80\x02" + call + b"." if first else saved({"a": call})
    with pytest.raises(WeightsError, match=r"weights: refused os\.mkdir: only dictionaries"):
        read_state_dict(io.BytesIO(content))
    assert not made.exists()


@pytest.mark.fault("a pickle of weights that changes the reader", "the next file is read rightly")
def test_a_pickle_cannot_change_the_reader() -> None:
    state = b"(" + value(None) + value({"__defaults__": (), "__code__": 0}) + b"tb"
    with pytest.raises(WeightsError, match="damaged"):
        read_state_dict(io.BytesIO(saved({"a": b"ctorch._utils\n_rebuild_tensor_v2\n" + state})))
    assert read_state_dict(io.BytesIO(saved({"a": tensor()})))["a"].shape == (3, 4)


WHOLE = saved({"a": tensor(), "b": tensor(1, (2, 3), (1, 3))})


@pytest.mark.fault("damaged weights (fuzzed)", "arrays or one line")
@settings(max_examples=300, deadline=None)
@given(
    changes=st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=6),
    end=st.integers(0, len(WHOLE)) | st.just(len(WHOLE)),
)
def test_damaged_weights(changes: list[tuple[int, int]], end: int) -> None:
    content = bytearray(WHOLE)
    for place, byte in changes:
        content[place] = byte
    try:
        state = read_state_dict(io.BytesIO(bytes(content[:end])))
    except WeightsError as error:
        assert "\n" not in str(error)
    else:
        assert all(array.dtype in (np.float32, np.int64) for array in state.values())
