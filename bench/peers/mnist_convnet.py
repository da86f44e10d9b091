"""The recipe of the Keras example "Simple MNIST convnet", on the same file of digits.

https://keras.io/examples/vision/mnist_convnet: two convolutions with max-pooling, dropout 0.5,
Adam, batches of 128, 15 epochs, a tenth of the training images for validation.

Usage: python bench/peers/mnist_convnet.py <mnist.npz> <seed>; prints JSON.
"""

import json
import sys
import time

import keras
import numpy as np
from keras import layers

BATCH_SIZE = 128
EPOCHS = 15


def main(file: str, seed: int) -> None:
    keras.utils.set_random_seed(seed)
    with np.load(file) as arrays:
        x_train, y_train = arrays["x_train"], arrays["y_train"]
        x_test, y_test = arrays["x_test"], arrays["y_test"]
    x_train, x_test = (x.astype("float32")[..., None] / 255 for x in (x_train, x_test))
    y_train, y_test = (keras.utils.to_categorical(y, 10) for y in (y_train, y_test))
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
    validation: list[tuple[float, float]] = []
    begun = time.perf_counter()

    def record(epoch: int, logs: dict[str, float]) -> None:
        validation.append((time.perf_counter() - begun, logs["val_accuracy"]))

    model.fit(
        x_train,
        y_train,
        batch_size=BATCH_SIZE,
        epochs=EPOCHS,
        validation_split=0.1,
        verbose=0,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=record)],
    )
    seconds = time.perf_counter() - begun
    _, accuracy = model.evaluate(x_test, y_test, verbose=0)
    images = round(0.9 * len(x_train)) * EPOCHS
    result = {
        "accuracy": accuracy,
        "seconds": seconds,
        "images": images,
        "parameters": model.count_params(),
        "validation": validation,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
