"""Tables of answers: the server's log, and what classify writes."""

import json
from pathlib import Path

import pytest

from classifier.drift.answer_tables import DAMAGED, is_answer_table, read_answers
from classifier.support.errors import InputError

LINE = {
    "time": "2026-11-28T00:00:00.000+00:00",
    "request_id": "x",
    "model": "flowers",
    "version": "0123456789ab",
    "file": "rose.jpg",
    "class": "roses",
    "probability": 0.75,
    "score": 1.5,
    "accepted": True,
    "probabilities": [0.25, 0.75],
}


def test_the_log_of_the_server(tmp_path: Path) -> None:
    lines = [json.dumps(LINE), json.dumps(LINE | {"score": None, "file": "ä.jpg"}), ""]
    lines += ['{"time":"2026', "[1]", "null", json.dumps(LINE | {"probability": "much"})]
    lines += [json.dumps(LINE | {"probability": 1.5}), json.dumps(LINE | {"score": float("nan")})]
    lines += [json.dumps(LINE | {"model": "mnist"}), json.dumps(LINE | {"class": "cats"})]
    file = tmp_path / "answers.jsonl.1"
    file.write_bytes("\n".join(lines).encode() + b"\n\xff\xfe{\n")
    rows, passed_over = read_answers([str(file)], "flowers", ["daisy", "roses"])
    assert rows["file"].tolist() == ["rose.jpg", "ä.jpg"]
    assert rows["score"].isna().tolist() == [False, True]
    assert rows["accepted"].tolist() == [True, None]
    assert rows["version"].tolist() == ["0123456789ab"] * 2
    assert passed_over == {
        DAMAGED: 7,
        "of the model mnist": 1,
        "with a class that the model does not have": 1,
    }


def test_what_classify_writes(tmp_path: Path) -> None:
    csv = tmp_path / "answers.csv"
    csv.write_text(
        "file,rank,class,probability,score,accepted\n"
        "a.jpg,1,roses,0.9,1.25,true\na.jpg,2,daisy,0.1,1.25,true\n"
        "b.jpg,1,daisy,0.6,,true\nc.jpg,1,daisy\n"
    )
    rows, passed_over = read_answers([str(csv)], "flowers", ["daisy", "roses"])
    assert rows[["class", "probability"]].to_numpy().tolist() == [["roses", 0.9], ["daisy", 0.6]]
    assert rows["accepted"].tolist() == [True, None]
    assert passed_over == {DAMAGED: 1}
    of_classify = {
        "file": "a.jpg",
        "top": [{"class": "roses", "probability": 0.9}, {"class": "daisy", "probability": 0.1}],
        "score": 1.25,
        "accepted": False,
        "model": {"folder": "exports/flowers"},
    }
    lines = tmp_path / "answers.jsonl"
    lines.write_text(json.dumps(of_classify) + "\n")
    rows, _ = read_answers([str(lines)], "flowers", ["daisy", "roses"])
    (row,) = rows.to_dict("records")
    assert (row["class"], row["probability"], row["accepted"]) == ("roses", 0.9, False)


def test_a_table_is_known_by_its_name(tmp_path: Path) -> None:
    assert is_answer_table("logs/answers.jsonl")
    assert is_answer_table("answers.jsonl.1")
    assert is_answer_table("answers.csv")
    assert not is_answer_table("holiday")
    assert not is_answer_table("a.jpg")
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_answers([str(tmp_path / "missing.jsonl")], "flowers", [])
