"""How good is it: metrics and tables from probabilities and true labels."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn import metrics as sk


def predictions_table(
    ids: pd.Series, labels: np.ndarray, probabilities: np.ndarray, classes: list[str]
) -> pd.DataFrame:
    """A row an image: id, class, predicted, correct, probability (of the predicted class), loss,
    then a column ``p(<class>)`` for each class.

    Args:
        labels: integers (N,).
        probabilities: float32 (N, classes).
    """
    predicted = probabilities.argmax(axis=1)
    names = np.array(classes)
    of_truth = np.clip(probabilities[np.arange(len(labels)), labels].astype(np.float64), 1e-15, 1)
    table = pd.DataFrame(
        {
            "id": ids.to_numpy(),
            "class": names[labels],
            "predicted": names[predicted],
            "correct": predicted == labels,
            "probability": probabilities.max(axis=1).round(6),
            "loss": (-np.log(of_truth)).round(6),
        }
    )
    columns = {f"p({name})": probabilities[:, label].round(6) for label, name in enumerate(classes)}
    return table.assign(**columns)


def compute_metrics(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, Any]:
    """Accuracy, top-2 accuracy, log loss (nats), averages over the classes, number of images.

    Args:
        labels: integers (N,), each class at least once.
        probabilities: (N, classes).
    """
    every = np.arange(probabilities.shape[1])
    predicted = probabilities.argmax(axis=1)
    exact = probabilities.astype(np.float64)
    exact /= exact.sum(axis=1, keepdims=True)
    top2 = (np.argsort(-exact, axis=1, kind="stable")[:, :2] == labels[:, None]).any(axis=1)
    return {
        "accuracy": float((predicted == labels).mean()),
        "top_2_accuracy": float(top2.mean()),
        "log_loss": float(sk.log_loss(labels, exact, labels=every)),
        "macro_f1": float(sk.f1_score(labels, predicted, average="macro", zero_division=0)),
        "images": len(labels),
    }


def class_table(labels: np.ndarray, probabilities: np.ndarray, classes: list[str]) -> pd.DataFrame:
    """A row a class: class, images, precision, recall, f1; shares of 1."""
    precision, recall, f1, support = sk.precision_recall_fscore_support(
        labels, probabilities.argmax(axis=1), labels=range(len(classes)), zero_division=0
    )
    return pd.DataFrame(
        {"class": classes, "images": support, "precision": precision, "recall": recall, "f1": f1}
    )


def confusion_table(
    labels: np.ndarray, probabilities: np.ndarray, classes: list[str]
) -> pd.DataFrame:
    """Counts of images, a row a true class, a column a predicted class."""
    counts = sk.confusion_matrix(labels, probabilities.argmax(axis=1), labels=range(len(classes)))
    return pd.DataFrame(counts, index=pd.Index(classes, name="class"), columns=classes)


def worst_mistakes(predictions: pd.DataFrame, count: int) -> pd.DataFrame:
    """The wrong predictions with the highest loss, worst first; fewer where there are fewer."""
    wrong = predictions[~predictions["correct"]]
    return wrong.sort_values(["loss", "id"], ascending=[False, True]).head(count)
