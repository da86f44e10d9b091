"""Labels that may be wrong, by confident learning."""

import numpy as np
import pandas as pd


def label_errors(table: pd.DataFrame) -> pd.DataFrame:
    """The rows whose label may be wrong, the least probable label first.

    A label is suspicious if another class is at least as probable as it is on average on the images
    of that class: Northcutt, Jiang and Chuang, Confident learning: estimating uncertainty in
    dataset labels, 2021, https://arxiv.org/abs/1911.00068. The implementation is that of its
    authors: ``confident_learning`` of ``cleanlab.filter.find_label_issues``.

    Args:
        table: id, class, and a column ``p(<class>)`` per class, 0..1, of networks that were not
            trained on these images.

    Returns:
        Rows of ``table``. Equal ones are in the order of the ids.
    """
    columns = [name for name in table if str(name).startswith("p(")]
    numbers = {str(name)[2:-1]: number for number, name in enumerate(columns)}
    if table["class"].nunique() < 2:  # with one class, nothing can be told of another
        return table[:0]
    # Imported late: only few commands need it, and it takes a second.
    from cleanlab.filter import find_label_issues

    labels = table["class"].map(numbers).to_numpy()
    probabilities = table[columns].to_numpy(np.float64)
    wrong = find_label_issues(labels, probabilities, filter_by="confident_learning", n_jobs=1)
    rows = np.arange(len(table))
    suspects = table.assign(
        _label=probabilities[rows, labels], _other=-probabilities.max(axis=1)
    ).loc[wrong]
    return suspects.sort_values(["_label", "_other", "id"])[[*table]]
