"""Tables of labels: columns by their usual names, paths in several spellings."""

import io
from collections.abc import Sequence
from typing import Any

import pandas as pd
import pytest

from classifier.formats.contents import Entry
from classifier.formats.tables import TableError, read_table
from classifier.layouts.error import LayoutError
from classifier.layouts.find import find_layout
from classifier.layouts.survey import Survey
from classifier.layouts.wanted import Found, Wanted

ROWS = [("a", "cat"), ("b", "dog"), ("c", "cat"), ("d", "dog")]
IMAGES = [f"images/{name}.jpg" for name, _ in ROWS]


def csv(rows: Sequence[tuple[str, ...]], header: str = "path,label") -> bytes:
    return "\n".join([header, *(",".join(row) for row in rows)]).encode()


def labelled(
    content: bytes, names: list[str] = IMAGES, file: str = "labels.csv", **wanted: Any
) -> Found:
    return find_layout(Survey("photos", names, {file: content}, []), Wanted(**wanted))


def classes(found: Found) -> list[tuple[str, str]]:
    taken = sorted(entry for entry in found.entries if not entry.passed_over)
    return [(entry.id, entry.class_name) for entry in taken]


EXPECTED = [(f"images/{name}.jpg", label) for name, label in ROWS]


@pytest.mark.parametrize(
    "header",
    ["path,label", "File Name,Class", "image_id,breed", "fileName,category", "filename,species"],
)
def test_columns_by_their_usual_names(header: str) -> None:
    assert classes(labelled(csv(ROWS, header))) == EXPECTED


@pytest.mark.parametrize(
    "spelled",
    [
        "images/{}.jpg",
        "./images/{}.jpg",
        "{}.jpg",
        "{}",
        "images/{}",
        "images\\{}.jpg",
        "pets/images/{}.jpg",
    ],
)
def test_paths_relative_to_table_or_root_with_or_without_suffix(spelled: str) -> None:
    rows = [(spelled.format(name), label) for name, label in ROWS]
    assert classes(labelled(csv(rows))) == EXPECTED


def test_paths_relative_to_a_table_in_a_folder_of_its_own() -> None:
    rows = [(f"../images/{name}.jpg", label) for name, label in ROWS]
    assert classes(labelled(csv(rows), file="labels/all.csv")) == EXPECTED


def test_given_columns_and_numbers_for_labels() -> None:
    rows = [(name, "x", str(number % 2)) for number, (name, _) in enumerate(ROWS)]
    columns = {"path": "key", "label": "digit"}
    result = labelled(csv(rows, "key,label,digit"), columns=columns)
    assert [label for _, label in classes(result)] == ["0", "1", "0", "1"]


@pytest.mark.parametrize("kind", ["tsv", "parquet", "jsonl", "semicolons", "BOM"])
def test_kinds_of_tables(kind: str) -> None:
    frame = pd.DataFrame(ROWS, columns=["path", "label"])
    buffer = io.BytesIO()
    if kind == "parquet":
        frame.to_parquet(buffer)
    content = {
        "tsv": frame.to_csv(sep="\t", index=False).encode(),
        "parquet": buffer.getvalue(),
        "jsonl": frame.to_json(orient="records", lines=True).encode(),
        "semicolons": frame.to_csv(sep=";", index=False).encode(),
        "BOM": frame.to_csv(index=False).encode("utf-8-sig"),
    }[kind]
    suffix = kind if kind in ("tsv", "parquet", "jsonl") else "csv"
    file = f"labels.{suffix}"
    assert classes(labelled(content, file=file, table=file)) == EXPECTED


def test_numbers_with_a_missing_one_stay_whole() -> None:
    buffer = io.BytesIO()
    pd.DataFrame({"path": ["a", "b"], "label": [1.0, None]}).to_parquet(buffer)
    assert read_table("a.parquet", buffer.getvalue()).rows == [["a", "1"], ["b", ""]]


def test_splits_of_a_column() -> None:
    splits = ["train", "Valid", "", "TEST"]
    rows = [(*row, split) for row, split in zip(ROWS, splits, strict=True)]
    found = labelled(csv(rows, "path,label,split"))
    assert [entry.split for entry in found.entries[:4]] == ["train", "validation", "", "test"]


def test_a_table_for_each_split() -> None:
    tables = {"train_labels.csv": csv(ROWS[:2]), "test_labels.csv": csv(ROWS[2:])}
    found = find_layout(Survey("photos", IMAGES, tables, []), Wanted())
    assert [entry.split for entry in found.entries[:4]] == ["train", "train", "test", "test"]


def test_split_folders_of_labelled_images() -> None:
    names = ["train/a.jpg", "train/b.jpg", "test/c.jpg", "test/d.jpg"]
    found = labelled(csv(ROWS), names)
    assert [entry.split for entry in found.entries[:4]] == ["train", "train", "test", "test"]


@pytest.mark.fault("paths without an image, images without a row", "counted, the first five named")
def test_missing_and_surplus_files_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("WARNING")
    more = [f"images/more{number}.jpg" for number in range(7)]
    rows = [*ROWS, ("gone", "cat")]
    found = labelled(csv(rows), IMAGES + more)
    assert caplog.messages == [
        "labels.csv: paths without an image: 1 (gone)",
        "labels.csv: images without a row: 7 (images/more0.jpg, images/more1.jpg, "
        "images/more2.jpg, images/more3.jpg, images/more4.jpg and 2 more)",
    ]
    assert Entry("images/more0.jpg", passed_over="no label") in found.entries
    assert Entry("gone", passed_over="in the table, but no such file") in found.entries
    with pytest.raises(LayoutError, match=r"gone.; .*: correct them, or set unmatched: warn"):
        labelled(csv(rows), IMAGES + more, unmatched="fail")


def test_an_image_without_a_label_has_none() -> None:
    found = labelled(csv([*ROWS[:3], ("d", "")]))
    assert found.entries[3] == Entry("images/d.jpg", passed_over="no label")


BAD: dict[str, tuple[bytes, dict[str, Any], str]] = {
    "without columns": (
        csv(ROWS, "this,that"),
        {},
        r"labels.csv: no column has the usual name of a path, its columns are this, that: name it, "
        r"as columns: \{path: \.\.\.\}",
    ),
    "a line break in a column's name": (
        b'"th\nis",that\na,cat\n',
        {},
        "its columns are th is, that: name it",
    ),
    "an unknown column": (
        csv(ROWS),
        {"columns": {"label": "lable"}},
        "labels.csv: no column 'lable' for the label: did you mean 'label'",
    ),
    "unique labels": (
        csv([(name, name) for name, _ in ROWS]),
        {},
        "labels.csv: each of 4 rows has another label in the column 'label', for example 'a'",
    ),
    "a path above": (
        csv([("../../etc/passwd", "cat"), *ROWS]),
        {},
        "labels.csv: row 1: the path '../../etc/passwd' is outside the folder of the images",
    ),
    "an absolute path": (
        csv([*ROWS, ("/etc/passwd.jpg", "cat")]),
        {},
        "labels.csv: row 5: the path '/etc/passwd.jpg' is outside",
    ),
    "two labels": (
        csv([*ROWS, ("images/a", "dog")]),
        {},
        "row 5: 'images/a.jpg' has an earlier row, with the class 'cat', not 'dog'",
    ),
    "two images": (
        csv([*ROWS, ("e", "dog")]),
        {},
        "row 5: 'e' may be images/e.jpg or images/e.png: write its folder and its suffix",
    ),
    "no path": (csv([*ROWS, ("", "dog")]), {}, "labels.csv: row 5 has no path"),
    "a split that is none": (
        csv([(*row, "left") for row in ROWS], "path,label,split"),
        {},
        "labels.csv: row 1: 'left' in the column 'split' is no split",
    ),
    "a line break": (
        csv([*ROWS, ("f", '"ca\nt"')]),
        {},
        r"labels.csv: row 5: the label 'ca\\nt' has a line break",
    ),
    "no images": (
        csv([(f"{name}{name}.jpg", label) for name, label in ROWS]),
        {},
        "none of 4 paths of labels.csv is an image, for example 'aa.jpg', where there is 'images/a",
    ),
    "no such table": (csv(ROWS), {"table": "lables.csv"}, "photos has no table 'lables.csv': its"),
    "no rows": (b"path,label\n", {}, "labels.csv: the table has no rows"),
    "short rows": (b"path,label\na\n", {}, "labels.csv: row 1 has 1 values, but there are 2"),
    "Latin-1": ("path,label\n\xe9,cat".encode("latin-1"), {}, "labels.csv: is not UTF-8"),
    "empty": (b"", {}, "labels.csv: the table is empty"),
}


@pytest.mark.fault("a table of labels", "one line")
@pytest.mark.parametrize("name", BAD)
def test_a_table_that_cannot_be_used(name: str) -> None:
    content, wanted, expected = BAD[name]
    more = ["images/e.jpg", "images/e.png", "images/f.jpg"]
    with pytest.raises((LayoutError, TableError), match=expected) as raised:
        labelled(content, IMAGES + more, **{"layout": "table"} | wanted)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_a_damaged_table_is_one_line(suffix: str) -> None:
    with pytest.raises(TableError, match=f"a.{suffix}: cannot be read as a table") as raised:
        read_table(f"a.{suffix}", b"PAR1 damaged {")
    assert "\n" not in str(raised.value)


def test_several_tables_that_may_be_meant() -> None:
    tables = {"one.csv": csv(ROWS), "two.csv": csv(ROWS)}
    survey = Survey("photos", IMAGES, tables, [])
    with pytest.raises(LayoutError, match=r"2 tables may have the labels: one.csv, two.csv: n"):
        find_layout(survey, Wanted())
    assert classes(find_layout(survey, Wanted(table="two.csv"))) == EXPECTED


def test_parquet_is_read_only_where_it_is_named() -> None:
    with pytest.raises(LayoutError, match=r"labels.parquet: is read only where it is named: set t"):
        labelled(b"", file="labels.parquet")


def test_an_image_may_have_several_labels_or_none() -> None:
    rows = [("a", "dog; cat"), ("b", ""), ("c", "cat"), ("d", "cat;cat")]
    found = labelled(csv(rows), separator=";")
    assert classes(found) == [
        ("images/a.jpg", "cat;dog"),
        ("images/b.jpg", ""),
        ("images/c.jpg", "cat"),
        ("images/d.jpg", "cat"),
    ]


@pytest.mark.fault(
    "a table of several labels an image whose column has no separator, or is not there",
    "one line that names the table, the column and what to set",
)
@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"separator": "|"}, "no row of the column 'label' has the separator '|'"),
        ({"separator": ";", "columns": {"label": "labels"}}, "no column 'labels' for the label"),
        ({"separator": ";", "layout": "classes"}, "set layout: table"),
    ],
)
def test_a_table_without_several_labels_is_refused(wanted: dict[str, Any], message: str) -> None:
    with pytest.raises(LayoutError) as error:
        labelled(csv(ROWS), **wanted)
    assert message in str(error.value)
