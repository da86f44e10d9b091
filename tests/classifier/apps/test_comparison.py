"""McNemar's test against its published example, and tables of the same images."""

import numpy as np
import pandas as pd
import pytest

from classifier.apps.comparison import align, class_differences, mcnemar
from classifier.support.errors import InputError


def pairs(both: int, only_first: int, only_second: int, neither: int) -> tuple:
    counts = (both, only_first, only_second, neither)
    first = np.repeat([True, True, False, False], counts)
    second = np.repeat([True, False, True, False], counts)
    return first, second


def test_p_value_of_few_differences() -> None:
    # 1 and 9 of 10: twice the probability of at most one head in ten throws, 22 / 1024.
    result = mcnemar(*pairs(80, 1, 9, 10))
    assert result == (1, 9, pytest.approx(22 / 1024))


def test_images_on_which_they_agree_do_not_count() -> None:
    assert mcnemar(*pairs(80, 1, 9, 10)) == mcnemar(*pairs(5, 1, 9, 7000))
    assert mcnemar(*pairs(10, 0, 0, 5)).p_value == 1
    assert mcnemar(*pairs(0, 6, 6, 0)).p_value == 1


def table(rows: list[tuple[str, str, bool]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["id", "class", "correct"])


def test_recall_per_class_does_not_depend_on_the_order_of_rows() -> None:
    first = table([("a", "rose", True), ("b", "rose", False), ("c", "tulip", True)])
    second = table([("c", "tulip", False), ("b", "rose", True), ("a", "rose", True)])
    recalls = class_differences(*align(first, second)).to_dict("records")
    assert recalls == [
        {"class": "rose", "images": 2, "first": 0.5, "second": 1.0, "difference": 0.5},
        {"class": "tulip", "images": 1, "first": 1.0, "second": 0.0, "difference": -1.0},
    ]


def test_other_images_or_labels_are_refused() -> None:
    one = table([("a", "rose", True), ("b", "rose", False)])
    with pytest.raises(InputError, match="different images: 2 and 1, 1 of them the same"):
        align(one, one.head(1))
    with pytest.raises(InputError, match="different labels"):
        align(one, one.assign(**{"class": "tulip"}))
