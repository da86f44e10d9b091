"""The recipe of the TensorFlow tutorial "Image classification", on the same photos and splits.

https://www.tensorflow.org/tutorials/images/classification: three convolutions with max-pooling,
augmentation by three layers inside the model, dropout 0.2, Adam, 180 x 180 pixels, batches of
32, 15 epochs.

Usage: python bench/peers/flowers_tutorial.py <folder> <seed>; prints JSON. The folder has
sub-folders train, validation and test, each with one sub-folder per class.
"""

import json
import sys
import time

import keras
import tensorflow as tf
from keras import layers

SIZE = 180
BATCH_SIZE = 32
EPOCHS = 15


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
    train = train.cache().shuffle(1000).prefetch(tf.data.AUTOTUNE)
    validation = validation.cache().prefetch(tf.data.AUTOTUNE)
    augmentation = keras.Sequential(
        [
            layers.RandomFlip("horizontal", input_shape=(SIZE, SIZE, 3)),
            layers.RandomRotation(0.1),
            layers.RandomZoom(0.1),
        ]
    )
    model = keras.Sequential(
        [
            augmentation,
            layers.Rescaling(1 / 255),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(0.2),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(classes),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer="adam", loss=loss, metrics=["accuracy"])
    accuracies: list[tuple[float, float]] = []
    begun = time.perf_counter()

    def record(epoch: int, logs: dict[str, float]) -> None:
        accuracies.append((time.perf_counter() - begun, logs["val_accuracy"]))

    model.fit(
        train,
        validation_data=validation,
        epochs=EPOCHS,
        verbose=0,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=record)],
    )
    seconds = time.perf_counter() - begun
    _, accuracy = model.evaluate(test, verbose=0)
    result = {
        "accuracy": accuracy,
        "seconds": seconds,
        "images": count * EPOCHS,
        "parameters": model.count_params(),
        "validation": accuracies,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
