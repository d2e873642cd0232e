"""Says of small networks of Keras whether they scale pixels by themselves, as saved and read again, and whether others are
exported or refused.

    python test/exporters/check_keras.py FOLDER
"""

import sys
from pathlib import Path

import keras
import numpy as np
import onnx
import tensorflow as tf
from keras import layers

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "exporters"))
import from_keras  # noqa: E402
from from_keras import function_of, inputs_of, ranges_of, sample, scales_pixels  # noqa: E402
from outcome import check, outcome  # noqa: E402

WEIGHTS = np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)
DIFFERS = "expected the ONNX file to answer as the original does"
TABLES = "expected a network without tables of its own"


def of_three(name, change):
    """Returns a network that changes its pictures in this way before it has weights."""
    given = keras.Input((8, 8, 3))
    return keras.Model(given, layers.Dense(2)(layers.Flatten()(layers.Conv2D(4, 3)(change(given)))), name=name)


def networks():
    """Yields networks, each with whether its pixels are from 0 to 255."""
    applications = keras.applications
    yield of_three("from_minus_1", applications.mobilenet_v2.preprocess_input), True
    yield of_three("of_caffe", applications.resnet50.preprocess_input), True
    yield of_three("of_torch", applications.densenet.preprocess_input), True
    yield of_three("divided", lambda pixels: pixels / 255.0), True
    yield of_three("multiplied", lambda pixels: pixels * (1 / 255)), True
    yield of_three("rescaled", layers.Rescaling(1 / 255)), True
    inner = of_three("inner", lambda pixels: pixels / 255.0)
    given = keras.Input((8, 8, 3))
    yield keras.Model(given, inner(given), name="nested"), True
    yield keras.Sequential([keras.Input((8, 8, 3)), layers.Rescaling(1 / 255), layers.Conv2D(4, 3)], name="in_a_row"), True
    yield of_three("plain", lambda pixels: pixels), False
    yield of_three("from_0_to_1", lambda pixels: pixels * 2.0 - 1.0), False


def functions():
    """Yields functions of TensorFlow by name, each with its inputs and what is expected of it."""
    whole, texts = tf.TensorSpec([None], tf.int64, "number"), tf.TensorSpec([None], tf.string, "text")
    floats = tf.TensorSpec([None, 4], tf.float32, "row")
    tokens = tf.TensorSpec([None, 3], tf.int64, "tokens")
    yield "one_hot", lambda number: {"scores": tf.one_hot(number, 5) @ WEIGHTS}, [whole], DIFFERS
    yield "remainder", lambda number: {"day": tf.cast(number % 7, tf.float32)}, [whole], DIFFERS
    yield "large_remainder", lambda number: {"day": 1e4 + tf.cast(number % 7, tf.float32)}, [whole], DIFFERS
    yield "rows", lambda number: {"vector": tf.gather(WEIGHTS, number)}, [whole], ["vector"]

    def both(number, tokens):
        return {"sum": tf.reduce_sum(tf.gather(WEIGHTS, tokens), [1, 2]) + tf.cast(number % 7, tf.float32)}

    yield "row_and_remainder", both, [whole, tokens], DIFFERS

    def columns(tokens):
        return {"sum": tf.reduce_sum(tf.gather(WEIGHTS, tokens[:, 0]), 1) + tf.cast(tokens[:, 1] % 7, tf.float32)}

    yield "columns", columns, [tokens], DIFFERS
    yield "names", lambda row: {"zeta": row * 2, "alpha": row + 1, "Mid": row[:, 0]}, [floats], ["Mid", "alpha", "zeta"]
    yield "name_of_an_input", lambda row: {"row": row * 2, "alpha": row + 1}, [floats], ["alpha", "row_output"]
    yield "constant", lambda row: {"threshold": tf.constant(3.0), "row_too": row}, [floats], ["row_too", "threshold"]
    yield "unlikely", lambda row: {"p": tf.reshape(tf.sigmoid(-13 - tf.abs(row)), [-1, 2, 2])}, [floats], ["p"]
    yield "texts", lambda text: {"same": tf.identity(text)}, [texts], ["same"]
    yield "equal_texts", lambda text: {"is_a": tf.cast(tf.equal(text, "a"), tf.float32)}, [texts], ["is_a"]
    yield "lengths", lambda text: {"length": tf.strings.length(text)}, [texts], "expected an ONNX file that ONNX Runtime can load"


def others():
    """Yields networks of Keras, each with what is expected of it."""
    numbers, tokens = keras.Input((4,), name="numbers"), keras.Input((6,), name="tokens", dtype="int32")
    shared = layers.Concatenate()([numbers, layers.GlobalAveragePooling1D()(layers.Embedding(20, 3)(tokens))])
    outputs = [layers.Dense(3, name="kind")(shared), layers.Dense(1, name="price")(shared)]
    yield keras.Model([numbers, tokens], outputs, name="two"), ["kind", "price"]
    first, second = keras.Input((4,), name="first"), keras.Input((4,), name="second")
    outputs = {"o2": layers.Dense(2, name="d1")(layers.Subtract()([first, second])), "o1": layers.Dense(2, name="d2")(second)}
    yield keras.Model({"zz": first, "aa": second}, outputs, name="dictionaries"), ["o1", "o2"]
    text = keras.Input((1,), name="text", dtype="string")
    yield keras.Model(text, layers.Dense(2)(layers.StringLookup(vocabulary=["a", "b"], output_mode="one_hot")(text)), name="texts"), TABLES
    number = keras.Input((1,), name="number", dtype="int64")
    lookup = layers.IntegerLookup(vocabulary=[3, 5, -7], output_mode="one_hot")
    yield keras.Model(number, layers.Dense(2)(lookup(number)), name="numbers"), TABLES
    numbers = keras.Input((4,), name="numbers")
    yield keras.Model(numbers, layers.Dense(2)(layers.Dense(3, activation="gelu")(numbers)), name="gelu"), ["output"]
    yield keras.Model(numbers, keras.ops.erf(layers.Dense(3)(numbers)), name="erf"), ["output"]
    yield of_three("pictures", lambda pixels: pixels), ["output"]
    given = keras.Input((4,), name="a row")
    yield keras.Model(given, {"best": {"scores": layers.Dense(2)(given)}}, name="blanks"), ["best_scores"]
    given = keras.Input(batch_shape=(1, 5, 2), name="row")
    yield keras.Model(given, layers.LSTM(3, stateful=True)(given), name="stateful"), "expected a network that takes any number of items"


def main():
    folder = Path(sys.argv[1])
    for name, function, inputs, expected in functions():
        module = tf.Module()
        module.call = tf.function(function, input_signature=inputs)
        tf.saved_model.save(module, str(folder / name), signatures={"serving_default": module.call})
        check(name, outcome(from_keras, folder / name), expected)
    for network, expected in others():
        file = folder / f"{network.name}_of_keras.keras"
        network.save(file)
        check(network.name, outcome(from_keras, file), expected)
    for name, expected in (("dictionaries", ["aa", "zz"]), ("blanks", ["a row"])):
        given = onnx.load(folder / f"{name}_of_keras.keras.onnx").graph.input
        check(f"inputs of {name}", [value.name for value in given], expected)
    picture = onnx.load(folder / "pictures_of_keras.keras.onnx").graph.input[0].type.tensor_type.shape
    check("sizes of pictures", [size.dim_value for size in picture.dim[1:]], [8, 8, 3])
    random = keras.Sequential([keras.Input((8, 8, 3)), layers.RandomFlip(), layers.GlobalAveragePooling2D()])
    random.export(folder / "random", verbose=False)
    check("random", outcome(from_keras, folder / "random"), "export the file of model.save(FILE.keras) instead")
    random.save(folder / "random.keras")
    check("random in a file", outcome(from_keras, folder / "random.keras"), ["output"])
    check_pixels(folder)
    check_ranges(folder)


def check_pixels(folder):
    for network, expected in networks():
        file = folder / f"{network.name}.keras"
        network.save(file)
        found = scales_pixels(function_of(file)[0])
        print(f"{network.name}: {found}")
        if found != expected:
            raise SystemExit(f"expected {expected} of {network.name}; got {found}")


def check_ranges(folder):
    """The sample of an input is as large as its training was, if a layer knows."""
    numbers, age = keras.Input((2,), name="numbers"), keras.Input((1,), name="age")
    scaled = layers.Normalization(mean=[30_000, -0.5], variance=[10_000, 0.01])(numbers)
    network = keras.Model([age, numbers], layers.Dense(1, activation="sigmoid")(layers.Concatenate()([age, scaled])))
    network.save(folder / "ranges.keras")
    model, function, *_ = function_of(folder / "ranges.keras")
    ranges = ranges_of(model)
    age, numbers = (sample(tensor, *ranges.get(at, ())) for at, tensor in enumerate(inputs_of(function)))
    apart = np.abs(numbers - [30_000, -0.5]) / [100, 0.1]
    print(f"ranges: {age.tolist()}, {numbers.tolist()}")
    if list(ranges) != [1] or apart.max() > 5 or age.min() < 0 or age.max() > 1:
        raise SystemExit(f"expected numbers around the means of the training, and an age from 0 to 1; got {numbers.tolist()} and {age.tolist()}")


if __name__ == "__main__":
    main()
