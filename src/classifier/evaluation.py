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
    return {
        "accuracy": float((predicted == labels).mean()),
        "top_2_accuracy": float(_in_top_2(labels, exact).mean()),
        "log_loss": float(sk.log_loss(labels, exact, labels=every)),
        "macro_f1": float(sk.f1_score(labels, predicted, average="macro", zero_division=0)),
        "images": len(labels),
    }


def _in_top_2(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :2]
    return (best == labels[:, None]).any(axis=1)


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


def least_certain(predictions: pd.DataFrame, count: int) -> pd.DataFrame:
    """The predictions with the lowest probability, least certain first."""
    return predictions.sort_values(["probability", "id"]).head(count)


def suspicious_labels(predictions: pd.DataFrame, count: int) -> pd.DataFrame:
    """Wrong predictions that may be the label's mistake, the surest first; often there are none.

    A label is suspected where another class is at least as probable as that class usually is on
    its own images: Northcutt et al., Confident learning: estimating uncertainty in dataset labels,
    2021. Says nothing about images that the network was trained on.

    Args:
        predictions: of :func:`predictions_table`.
    """
    own = {name: part[f"p({name})"].mean() for name, part in predictions.groupby("class")}
    usual = predictions["predicted"].map(own).astype(float)  # NaN: a class without an image
    suspected = predictions[~predictions["correct"] & (predictions["probability"] >= usual)]
    return suspected.sort_values(["probability", "id"], ascending=[False, True]).head(count)


def bootstrap_intervals(
    labels: np.ndarray, probabilities: np.ndarray, *, seed: int, samples: int = 1000
) -> pd.DataFrame:
    """95 % confidence intervals of the metrics, by drawing the test images anew with replacement.

    Efron and Tibshirani, An introduction to the bootstrap, 1993, chapter 13 (percentiles). They
    say how much another test set of this size would move the figure, not another training.

    Args:
        labels: integers (N,).
        probabilities: (N, classes).
        samples: how often the images are drawn.

    Returns:
        A row a metric: metric (accuracy, top_2_accuracy, log_loss, macro_f1), low, high.
    """
    labels = labels.astype(np.int64)
    exact = probabilities.astype(np.float64)
    exact /= exact.sum(axis=1, keepdims=True)
    predicted = probabilities.argmax(axis=1)
    of_truth = exact[np.arange(len(labels)), labels]
    in_top_2 = _in_top_2(labels, exact)
    losses = -np.log(np.maximum(of_truth, np.finfo(np.float64).eps))
    classes = probabilities.shape[1]
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(samples):
        drawn = rng.integers(len(labels), size=len(labels))
        pairs = np.bincount(labels[drawn] * classes + predicted[drawn], minlength=classes**2)
        counts = pairs.reshape(classes, classes)
        sizes = counts.sum(axis=0) + counts.sum(axis=1)
        f1 = 2 * np.diag(counts) / np.maximum(sizes, 1)
        accuracy = np.trace(counts) / len(labels)
        found.append((accuracy, in_top_2[drawn].mean(), losses[drawn].mean(), f1.mean()))
    low, high = np.percentile(found, [2.5, 97.5], axis=0)
    names = ["accuracy", "top_2_accuracy", "log_loss", "macro_f1"]
    return pd.DataFrame({"metric": names, "low": low, "high": high})
