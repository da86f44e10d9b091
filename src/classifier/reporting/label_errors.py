"""Labels that may be wrong, by confident learning."""

import warnings

import numpy as np
import pandas as pd


def label_errors(table: pd.DataFrame) -> pd.DataFrame:
    """The rows whose label may be wrong, the least probable label first.

    By confident learning, method C+NR: Northcutt, Jiang and Chuang, Confident learning: estimating
    uncertainty in dataset labels, 2021, https://arxiv.org/abs/1911.00068. It counts how often each
    class is confidently predicted for each label, and takes as many images as that, those whose
    label is least probable and the other class most. The implementation is the authors':
    ``cleanlab.filter.find_label_issues``. The only image of a class is never among them.

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
    with warnings.catch_warnings():
        # It warns of each class with one image or none.
        warnings.filterwarnings("ignore", "May not flag all label issues")
        wrong = find_label_issues(labels, probabilities, filter_by="both", n_jobs=1)
    rows = np.arange(len(table))
    suspects = table.assign(
        _label=probabilities[rows, labels], _other=-probabilities.max(axis=1)
    ).loc[wrong]
    return suspects.sort_values(["_label", "_other", "id"])[[*table]]
