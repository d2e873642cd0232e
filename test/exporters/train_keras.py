"""Trains networks of Keras on scikit-learn's digits, and writes them with what they answer to the held-out data.

    npm run python -- exporters/keras.txt test/exporters/train_keras.py FOLDER PHOTOGRAPHS

FOLDER has digits.npz. PHOTOGRAPHS is a folder of pictures of 224 × 224, for ResNet-152 with generated weights.
"""

import base64
import os
import sys
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from held_out import MEAN, STD, check_open, floats_of, head_of, pictures_of, png, write

EPOCHS = 20
SCALED = ["--set", f"input.mean={MEAN.tolist()}", "--set", f"input.std={STD.tolist()}"]


def main():
    out, photographs = Path(sys.argv[1]), Path(sys.argv[2])
    keras.utils.set_random_seed(1)
    digits = np.load(out / "digits.npz")
    pictures, classes = pictures_of(digits["inputs"]), digits["classes"]
    network = train(floats_of(pictures[::2]), classes[::2])
    held_out = pictures[1::2]
    scores = network.predict(floats_of(held_out), verbose=0)
    sent = [png(picture) for picture in held_out]
    scaled = {"ask": "png", "flags": SCALED}
    folder = make(out, "keras-digits")
    network.save(folder / "model.keras")
    write(folder, "model.keras", "pictures: a .keras file", "digits", sent, scores, **scaled)
    folder = make(out, "tensorflow-digits")
    network.export(folder / "model", verbose=False)
    write(folder, "model", "pictures: a SavedModel", "digits", sent, scores, **scaled)
    folder = make(out, "keras-sequence")
    sequence(folder, digits["inputs"], classes)
    resnet(make(out, "keras-resnet152"), photographs)


def make(out, name):
    folder = out / name
    folder.mkdir(parents=True)
    return folder


def train(inputs, classes):
    network = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.2),
            layers.Dense(10, activation="softmax"),
        ]
    )
    network.compile("adam", "sparse_categorical_crossentropy")
    network.fit(inputs, classes, epochs=EPOCHS, verbose=0)
    return network


def sequence(folder, digits, classes):
    """The rows of a digit, one after the other, through an LSTM."""
    rows = digits.reshape(-1, 8, 8).astype(np.float32) / 16
    network = keras.Sequential([keras.Input((8, 8)), layers.LSTM(16), layers.Dense(10, activation="softmax")])
    network.compile("adam", "sparse_categorical_crossentropy")
    network.fit(rows[::2], classes[::2], epochs=EPOCHS, verbose=0)
    network.save(folder / "model.keras")
    held_out = rows[1::2]
    scores = network.predict(held_out, verbose=0)
    inputs = held_out.reshape(len(held_out), -1).tolist()
    write(folder, "model.keras", "tensors: an LSTM", "digits", inputs, scores, ask="tensors")


def resnet(folder, photographs):
    """ResNet-152 of keras.applications. Its weights are generated, since they cannot be had without a download."""
    network = keras.applications.ResNet152(weights=None)
    files = sorted(photographs.glob("*.png"))
    inputs = floats_of(np.stack([tf.io.decode_png(file.read_bytes(), channels=3).numpy() for file in files]))
    last = network.layers[-1]
    features = keras.Model(network.input, last.input).predict(inputs, verbose=0)
    last.set_weights(head_of(features, last.get_weights()[0]))
    network.save(folder / "model.keras")
    scores = network.predict(inputs, verbose=0)
    check_open(scores)
    sent = [base64.b64encode(file.read_bytes()).decode() for file in files]
    write(folder, "model.keras", "pictures: ResNet-152, generated weights", "photographs", sent, scores, ask="png", flags=SCALED)


if __name__ == "__main__":
    main()
