"""The two phases of the Keras guide "Transfer learning & fine-tuning", on the same photos.

https://keras.io/guides/transfer_learning: a frozen network with a new head and dropout 0.2, random
flips and rotations, Adam; then the whole network, its batch normalization in inference mode, with
Adam at 0.00001. The network, the image size, the batches of 32 and the order of the phases are
those of this project's recipe `standard`. Ten epochs each, as in the TensorFlow tutorial "Transfer
learning and fine-tuning": the guide's own numbers of epochs are for a much larger dataset.

Usage: python bench/peers/transfer_guide.py <folder> <seed>; prints JSON. The folder has
sub-folders train, validation and test, each with one sub-folder per class, and backbone.keras, from
uint8 images of any size to feature maps.
"""

import json
import sys
import time

import keras
import tensorflow as tf
from keras import layers

from classifier.layers import batch_normalization  # noqa: F401  a layer of the backbone

SIZE = 224
BATCH_SIZE = 32
EPOCHS = 10  # of each phase


def main(folder: str, seed: int) -> None:
    keras.utils.set_random_seed(seed)
    train, validation, test = (
        keras.utils.image_dataset_from_directory(
            f"{folder}/{split}",
            image_size=(SIZE, SIZE),
            batch_size=BATCH_SIZE,
            shuffle=split == "train",
            seed=seed,
            verbose=False,
        )
        for split in ("train", "validation", "test")
    )
    count, classes = len(train.file_paths), len(train.class_names)
    augmentation = [layers.RandomFlip("horizontal"), layers.RandomRotation(0.1)]

    def augment(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        for layer in augmentation:
            images = layer(images)
        return images, labels

    train = train.cache().map(augment).prefetch(tf.data.AUTOTUNE)
    validation = validation.cache().prefetch(tf.data.AUTOTUNE)
    base = keras.models.load_model(f"{folder}/backbone.keras")
    base.trainable = False
    inputs = keras.Input((SIZE, SIZE, 3))
    x = base(inputs, training=False)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.2)(x)
    model = keras.Model(inputs, layers.Dense(classes)(x))
    accuracies: list[tuple[float, float]] = []
    begun = time.perf_counter()

    def record(epoch: int, logs: dict[str, float]) -> None:
        accuracies.append((time.perf_counter() - begun, logs["val_accuracy"]))

    for rate in (0.001, 0.00001):
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer=keras.optimizers.Adam(rate), loss=loss, metrics=["accuracy"])
        model.fit(
            train,
            validation_data=validation,
            epochs=EPOCHS,
            verbose=0,
            callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=record)],
        )
        base.trainable = True
    seconds = time.perf_counter() - begun
    _, accuracy = model.evaluate(test, verbose=0)
    result = {
        "accuracy": accuracy,
        "seconds": seconds,
        "images": count * 2 * EPOCHS,
        "parameters": model.count_params(),
        "validation": accuracies,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
