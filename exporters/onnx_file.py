"""What the exporters share: how they read their arguments, compare a network with its original, and save it."""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

# `npm run models -- add` reads this key of the metadata: sections of the manifest that the network does not tell.
MANIFEST_KEY = "scoreline"
# Protocol buffers end at 2 GiB.
EMBEDDED_BYTES_MAX = 1_900_000_000
OPSET = 18
OTHERWISE = "It can be served as a Python program: docs/python.md"


def parse_arguments(description, *flags):
    """Returns the arguments of an exporter: FILE, MODEL.onnx and its own flags, each as (name, settings)."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("file", type=Path, help="what to export")
    parser.add_argument("onnx", type=Path, help="the ONNX file to write")
    for name, settings in flags:
        parser.add_argument(name, **settings)
    arguments = parser.parse_args()
    # Pickles can name modules that lie beside them.
    sys.path.insert(0, str(arguments.file.resolve().parent))
    return arguments


def fail(line):
    raise SystemExit(f"error: {line}")


def note(line):
    print(f"note: {line}")


def save(model, path, labels=None, manifest=None):
    """Writes a network with its labels and with what its manifest should say."""
    entries = {}
    if labels is not None:
        entries["labels"] = json.dumps([str(label) for label in labels], ensure_ascii=False)
    if manifest is not None:
        entries[MANIFEST_KEY] = json.dumps(manifest, ensure_ascii=False, allow_nan=False)
    onnx.helper.set_model_props(model, entries)
    is_large = model.ByteSize() > EMBEDDED_BYTES_MAX
    onnx.save(model, path, save_as_external_data=is_large, location=f"{path.name}.data")


def run(model, feeds):
    """Returns the outputs of a network, by name. `model` is a path or a ModelProto."""
    try:
        return infer(model, feeds)
    except Exception as error:  # ONNX Runtime has a class of errors for each status
        fail(f"expected an ONNX file that ONNX Runtime can load; {str(error)[:400]}. {OTHERWISE}")


def infer(model, feeds):
    """As `run`, but raises what ONNX Runtime raises."""
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds)))


def difference(found, expected):
    """Returns the largest difference, as a share of the largest expected number: a regressor may have small ones alone."""
    found, expected = np.asarray(found, np.float64).ravel(), np.asarray(expected, np.float64).ravel()
    if found.shape != expected.shape:
        return np.inf
    missing = np.isnan(found) & np.isnan(expected)
    apart = np.where(missing | (found == expected), 0, np.abs(found - expected))  # infinities may be equal, too
    largest = np.abs(expected[np.isfinite(expected)]).max(initial=0)
    return float(np.nan_to_num(apart, nan=np.inf).max(initial=0) / (largest or 1))


def samples_around(values):
    """Yields the sample inputs of a network, and others: with other signs, and as large as pixels."""
    for change in (lambda numbers: numbers, lambda numbers: 1 - 2 * numbers, lambda numbers: 255 * numbers):
        yield [change(value) if is_floating(value) else value for value in values]


def is_floating(value):
    return "float" in str(value.dtype)


def compare_outputs(answers):
    """Compares the outputs of a network with those of its original. `answers` has for each sample its pairs of (found, expected)."""
    outputs = [zip(*pairs) for pairs in zip(*answers)]
    # A sigmoid may be all but 0 for one sample, so the largest number is that of all of them.
    joined = [[np.concatenate([np.ravel(value) for value in values]) for values in pairs] for pairs in outputs]
    compare(*max(joined, key=lambda pair: difference(*pair)), f"{len(answers)} samples")


def compare(found, expected, inputs, tolerance=1e-3, hint=None):
    """Says how far the network is from its original on sample inputs, and fails if that is too far.

    `hint()` returns what else to say then.
    """
    apart = difference(found, expected)
    print(f"largest difference to the original on {inputs}: {apart:.1e}")
    if apart > tolerance:
        more = f" {hint()}" if hint else ""
        fail(f"expected the ONNX file to answer as the original does; on {inputs} they differ by {apart:.1e}.{more} {OTHERWISE}")
