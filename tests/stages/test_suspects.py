"""suspects: the list of labels that may be wrong, and what a person decides about them."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from classifier import tracking
from classifier.apps.wrong_labels import found_suspects
from classifier.catalog.corrections import read_corrections
from classifier.catalog.manifest import read_manifest
from classifier.tracking.evaluated import EvaluatedRun
from stages import suspects

FILE = Path("data/suspects/tiny/suspects.csv")
PLANTED = ["blue/003.png", "red/007.png"]


@pytest.fixture
def evaluated(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what the command reads of a finished project, and the working directory."""
    for name in ("data/split", "data/normalized", "reports", "conf"):
        shutil.copytree(finished / name, tmp_path / name)
    shutil.copy(finished / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tracking, "evaluated_trials", lambda *_: [])
    return tmp_path


def predictions() -> pd.DataFrame:
    """Each image of the project, predicted as it is labelled, but for the PLANTED ones: green."""
    table = read_manifest(Path("data/split/tiny.csv"))
    columns = pd.DataFrame(0.1, index=table.index, columns=["p(blue)", "p(green)", "p(red)"])
    for row, (name, label) in enumerate(zip(table["id"], table["class"], strict=True)):
        columns.loc[row, f"p({'green' if name in PLANTED else label})"] = 0.8
    return pd.concat([table[["id", "class"]], columns], axis=1)


def trials(monkeypatch: pytest.MonkeyPatch, *tables: pd.DataFrame) -> None:
    runs = [EvaluatedRun("x", {"split.folds": "2"}, {}, table) for table in tables]
    monkeypatch.setattr(tracking, "evaluated_trials", lambda *_: runs)


def test_suspects_out_of_fold_until_they_are_decided(
    evaluated: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = predictions()
    trials(monkeypatch, table[:20], table[20:])
    suspects.list_suspects("tiny", "folds", 500)
    printed = capsys.readouterr().out
    assert "tiny: 2 labels may be wrong, of 45 images, predicted out of fold by 2 tr" in printed
    listed = pd.read_csv(FILE, keep_default_na=False)
    assert listed["id"].tolist() == PLANTED
    assert set(listed["suggested"]) == {"green"}
    assert set(listed["decision"]) == {""}
    with Image.open(FILE.with_name(listed["picture"][0])) as picture:
        assert (picture.size, picture.mode) == ((16, 16), "RGB")
        red, _, blue = np.asarray(picture).mean(axis=(0, 1))
        assert blue > red + 50

    listed["decision"] = ["relabel", ""]
    listed.to_csv(FILE, index=False)
    suspects.list_suspects("tiny", "folds", 500)
    printed = capsys.readouterr().out
    assert "corrections/tiny.csv: 1 decisions from " in printed
    assert "1 are decided" in printed
    assert "set pipelines.tiny.split.corrections to corrections/tiny.csv" in printed
    assert read_corrections(Path("corrections/tiny.csv")) == {PLANTED[0]: "green"}
    assert pd.read_csv(FILE)["id"].tolist() == PLANTED[1:]
    # The same, once more: nothing changes.
    before = FILE.read_bytes()
    suspects.list_suspects("tiny", "folds", 500)
    assert FILE.read_bytes() == before


def test_suspects_of_evaluate(evaluated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = predictions()
    gone = table[:1].assign(id="red/gone.png")
    suspicious = pd.concat([gone, table[table["id"].isin(PLANTED)]])
    suspicious.to_csv("reports/tiny/suspicious.csv", index=False)
    suspects.list_suspects("tiny", "folds", 1)
    printed = capsys.readouterr().out
    assert "1 predicted images are passed over: they are no longer in the splits" in printed
    assert "tiny: 2 labels may be wrong, of the validation and test splits" in printed
    assert "the 1 most suspicious ones" in printed
    assert pd.read_csv(FILE)["id"].tolist() == PLANTED[:1]


@pytest.mark.parametrize(
    ("words", "decision", "message"),
    [
        (["tine"], "", "no pipeline 'tine' in params.yaml: did you mean 'tiny'?"),
        (["tiny", "--most", "0"], "", "--most must be 1 or more"),
        (["tiny"], "delete", "is 'delete': must be empty or one of keep | relabel | drop"),
    ],
)
def test_bad_input_is_one_line(
    evaluated: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], decision: str, message: str
) -> None:
    FILE.parent.mkdir(parents=True)
    FILE.write_text(f"id,class,suggested,decision\na,red,blue,{decision}\n")
    monkeypatch.setattr(sys, "argv", ["stages.suspects", *words])
    with pytest.raises(SystemExit) as end:
        suspects.main()
    assert str(end.value).startswith("suspects: ")
    assert message in str(end.value)
    assert "\n" not in str(end.value)


def test_the_page_decides(evaluated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found_suspects(evaluated) == []
    trials(monkeypatch, predictions())
    suspects.list_suspects("tiny", "folds", 500)
    (of_tiny,) = found_suspects(evaluated)
    assert of_tiny.classes == ["blue", "green", "red"]
    assert "**1 of 2**, 0 decided" in of_tiny.text(0)
    assert of_tiny.picture(1).size == (16, 16)
    of_tiny.decide(0, "drop")
    of_tiny.decide(1, "red")
    assert "2 decided" in of_tiny.text(0)
    assert "Decision: **drop**" in of_tiny.text(0)
    assert "Decision: **keep**" in of_tiny.text(1)
    of_tiny.decide(0, "green")
    corrections = evaluated / "corrections" / "tiny.csv"
    assert read_corrections(corrections) == {PLANTED[0]: "green", PLANTED[1]: "red"}
    assert [path.name for path in corrections.parent.iterdir()] == ["tiny.csv"]
    about = json.loads(FILE.with_name("about.json").read_text())
    assert about["corrections"] == "corrections/tiny.csv"
