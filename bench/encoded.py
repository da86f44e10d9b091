"""Compares the SavedModel's signature ``encoded`` with ``classify``, on the whole test split.

$ python bench/encoded.py              # after `dvc repro`: a few minutes
$ python bench/encoded.py flowers

Both get the files of the dataset; arrays, such as the digits, as PNGs. ``classify`` decodes with
Pillow and answers by LiteRT, if that was exported. Prints a table.
"""

import argparse
import os
from pathlib import Path

import numpy as np

from checkout import ROOT
from classifier.serving.loading import load_classifier
from classifier.serving.outputs import as_answers
from classifier.support.startup_lines import import_tensorflow
from pictures import test_pictures
from stages.layout import output

BATCH = 64  # pictures
TARGET = 0.995  # share of the pictures with the same class
HEADER = """\
| pipeline | test images | pixels: mean difference | largest | probabilities: largest difference \
| same class | same `accepted` | target |
|---|---|---|---|---|---|---|---|"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pipelines", nargs="*", default=["flowers", "mnist"])
    parser.add_argument("--checkout", type=Path, default=ROOT, help="has the data")
    parser.add_argument("--exports", type=Path, help="has the models (the checkout's exports)")
    arguments = parser.parse_args()
    exports = arguments.exports.resolve() if arguments.exports else None
    os.chdir(arguments.checkout)
    import_tensorflow()
    print(HEADER, flush=True)
    for pipeline in arguments.pipelines:
        folder = exports / pipeline if exports else output("export", pipeline)
        print(compare(pipeline, folder), flush=True)


def compare(pipeline: str, folder: Path) -> str:
    """The row of the table for one exported model."""
    import tensorflow as tf

    from classifier.serving.encoded import pixels_of

    classifier = load_classifier(folder)
    serve = tf.saved_model.load(folder).signatures["encoded"]
    decode = tf.function(
        pixels_of(classifier.preprocessing), input_signature=[tf.TensorSpec((None,), tf.string)]
    )
    count = total = same_class = same_accepted = 0
    largest, largest_probability = 0, 0.0
    every = list(test_pictures(Path(), pipeline))
    for start in range(0, len(every), BATCH):
        pictures = every[start : start + BATCH]
        images = np.stack([classifier.preprocessing(picture) for picture in pictures])
        expected, contents = classifier.answer(images), tf.constant(pictures)
        answers = as_answers(serve(image_bytes=contents))
        different = np.abs(decode(contents).numpy().astype(np.int16) - images)
        apart = np.abs(answers.probabilities - expected.probabilities)
        classes = (each.probabilities.argmax(axis=1) for each in (answers, expected))
        count += len(pictures)
        total += int(different.sum())
        same_class += int(np.equal(*classes).sum())
        same_accepted += int((answers.accepted == expected.accepted).sum())
        largest = max(largest, int(different.max()))
        largest_probability = max(largest_probability, float(apart.max()))
    share = same_class / count
    return (
        f"| {pipeline} | {count:,} | {total / count / np.prod(classifier.shape):.4f} | {largest} "
        f"| {largest_probability:.2g} | {100 * share:.2f} % | {100 * same_accepted / count:.2f} % "
        f"| at least {100 * TARGET} %: {'met' if share >= TARGET else 'missed'} |"
    )


if __name__ == "__main__":
    main()
