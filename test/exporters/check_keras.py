"""Says of small networks of Keras whether they scale pixels by themselves, as saved and read again.

    python test/exporters/check_keras.py FOLDER
"""

import sys
from pathlib import Path

import keras
from keras import layers

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "exporters"))
from from_keras import function_of, scales_pixels  # noqa: E402


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


def main():
    for network, expected in networks():
        file = Path(sys.argv[1]) / f"{network.name}.keras"
        network.save(file)
        found = scales_pixels(function_of(file)[0])
        print(f"{network.name}: {found}")
        if found != expected:
            raise SystemExit(f"expected {expected} of {network.name}; got {found}")


if __name__ == "__main__":
    main()
