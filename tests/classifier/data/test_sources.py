"""Sources: the first that has the verified file, and a line for each that has not."""

import gzip
import pickle
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from classifier.data.checksum import sha256_of
from classifier.data.sources import Dataset, Reach, Source, obtain
from classifier.errors import InputError
from conftest import write_photos

STATES = ["good", "missing", "cut off", "changed", "no hash", "a class short"]


def prepare(mirror: Path, states: list[str]) -> list[Source]:
    """A file in the mirror and its source for each state."""
    whole, short = (write_photos(mirror / name, per_class=1) for name in ("photos", "fewer"))
    for picture in (short / "red").iterdir():
        picture.unlink()
    sources = []
    for number, state in enumerate(states):
        file = mirror / f"{number}.tar"
        source = Source("folder", path=str(short if state == "a class short" else whole))
        obtain(Dataset("any", "folders", file.name, [source]), "auto", file, Reach(None, mirror))
        sources.append(Source("mirror", path=file.name, sha256=sha256_of(file)))
        content = file.read_bytes()
        if state == "missing":
            file.unlink()
        elif state == "cut off":
            file.write_bytes(content[: len(content) // 2])
        elif state == "changed":
            file.write_bytes(content[:-1] + b"!")
        elif state == "no hash":
            sources[-1].sha256 = None
    return sources


@pytest.mark.fault("any mix of sources (property)", "the first good one, or a line for each")
@settings(max_examples=40, deadline=None)
@given(states=st.lists(st.sampled_from(STATES), min_size=1, max_size=4))
@example(states=STATES[1:])
def test_the_first_good_source_is_used(states: list[str]) -> None:
    with TemporaryDirectory() as temporary:
        mirror, data = Path(temporary, "mirror"), Path(temporary, "data")
        mirror.mkdir()
        data.mkdir()
        sources = prepare(mirror, states)
        dataset = Dataset("any", "folders", "a.tar", sources, classes=["blue", "green", "red"])
        reach = Reach(mirror, data)
        if "good" in states:
            used = obtain(dataset, "auto", data / "a.tar", reach)
            assert used is sources[states.index("good")]
            assert sha256_of(data / "a.tar") == used.sha256
            assert list(data.iterdir()) == [data / "a.tar"]
        else:
            with pytest.raises(InputError) as raised:
                obtain(dataset, "auto", data / "a.tar", reach)
            lines = str(raised.value).splitlines()
            assert len(lines) == len(states) + 2
            assert all(line.startswith("  mirror: ") for line in lines[1:-1])
            assert list(data.iterdir()) == []


@pytest.mark.fault("a pickle whose hash is not pinned", "refused, not unpickled")
def test_a_pickle_without_its_hash_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pkl.gz").write_bytes(gzip.compress(pickle.dumps(1)))
    source = Source("folder", path=str(tmp_path / "a.pkl.gz"))
    dataset = Dataset("any", "npz", "a.npz", [source])
    with pytest.raises(InputError, match=r"a\.pkl\.gz is a pickle, read only with its hash"):
        obtain(dataset, "auto", tmp_path / "a.npz", Reach(None, tmp_path))
