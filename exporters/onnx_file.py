"""ONNX files: how exporters run and save them."""

import json
from pathlib import Path

import onnx
import onnxruntime

from program import OTHERWISE, fail, reason

# `npm run models -- add` reads this key of the metadata: sections of the manifest that the network does not tell.
MANIFEST_KEY = "scoreline"
# Protocol buffers end at 2 GiB.
EMBEDDED_BYTES_MAX = 1_900_000_000
OPSET = 18


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
    return outputs_of(load(model), feeds)


def load(model):
    """Returns a session of ONNX Runtime, or fails."""
    try:
        return session_of(model)
    except Exception as error:  # ONNX Runtime has a class of errors for each status
        fail(f"expected an ONNX file that ONNX Runtime can load; {reason(error)}. {OTHERWISE}")


def outputs_of(session, feeds):
    """Returns the outputs of a session, by name, or fails."""
    try:
        return answer_of(session, feeds)
    except Exception as error:
        fail(f"expected an ONNX file that answers to what its original answers to; {reason(error)}. {OTHERWISE}")


def infer(model, feeds):
    """As `run`, but raises what ONNX Runtime raises."""
    return answer_of(session_of(model), feeds)


def session_of(model):
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def answer_of(session, feeds):
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds)))
