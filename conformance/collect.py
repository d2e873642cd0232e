"""Collects the ONNX project's backend tests for the conformance run.

    python conformance/collect.py FOLDER

The tests of kind node are made by the package onnx; those of the other kinds lie in it. FOLDER gets each model, and
cases.jsonl: a line for each test with the inputs of its first data set. An input has its elements twice, as the bytes
of a binary tensor in base64 and as JSON, so neither comes from Scoreline's own code.
"""

import base64
import json
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

# What the Open Inference Protocol calls the types that ONNX Runtime for Node can feed.
DATATYPES = {
    TensorProto.BOOL: "BOOL",
    TensorProto.UINT8: "UINT8",
    TensorProto.UINT16: "UINT16",
    TensorProto.UINT32: "UINT32",
    TensorProto.UINT64: "UINT64",
    TensorProto.INT8: "INT8",
    TensorProto.INT16: "INT16",
    TensorProto.INT32: "INT32",
    TensorProto.INT64: "INT64",
    TensorProto.FLOAT16: "FP16",
    TensorProto.FLOAT: "FP32",
    TensorProto.DOUBLE: "FP64",
    TensorProto.STRING: "BYTES",
}
STORED_KINDS = ("simple", "pytorch-operator", "pytorch-converted")


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    warnings.filterwarnings("ignore")
    with (folder / "cases.jsonl").open("w") as lines:
        for kind, name, model, values in [*generated_tests(), *stored_tests()]:
            file = folder / f"{name}.onnx"
            if isinstance(model, Path):
                shutil.copy(model, file)
                model = onnx.load(model)
            else:
                onnx.save(model, file)
            case = {"kind": kind, "name": name, "file": file.name, "inputs": [], "reason": None}
            try:
                case["inputs"] = [describe(*pair) for pair in pair_up(model, values)]
            except Untransferable as reason:
                case["reason"] = str(reason)
            lines.write(json.dumps(case) + "\n")


class Untransferable(Exception):
    """An input is of a type that ONNX Runtime for Node cannot be fed with."""


def generated_tests():
    from onnx.backend.test.case.node import collect_testcases

    for case in collect_testcases(None):
        yield "node", case.name, case.model, case.data_sets[0][0]


def stored_tests():
    data = Path(onnx.__file__).parent / "backend/test/data"
    for kind in STORED_KINDS:
        for folder in sorted((data / kind).iterdir()):
            files = sorted(
                (folder / "test_data_set_0").glob("input_*.pb"), key=lambda file: int(file.stem.split("_")[1])
            )
            yield kind, folder.name, folder / "model.onnx", [file.read_bytes() for file in files]


def pair_up(model, values):
    """Yields each input of the graph with its value. Old models list their weights behind their inputs."""
    for info, value in zip(model.graph.input, values):
        if not info.type.HasField("tensor_type"):
            raise Untransferable(f"{info.name} is a {info.type.WhichOneof('value')}")
        data_type = info.type.tensor_type.elem_type
        if data_type not in DATATYPES:
            raise Untransferable(f"{info.name} is of type {TensorProto.DataType.Name(data_type)}")
        if isinstance(value, bytes):
            value = numpy_helper.to_array(TensorProto.FromString(value))
        elif isinstance(value, TensorProto):
            value = numpy_helper.to_array(value)
        yield info.name, DATATYPES[data_type], np.asarray(value)


def describe(name, datatype, array):
    if datatype == "BYTES":
        texts = [text.decode() if isinstance(text, bytes) else str(text) for text in array.reshape(-1).tolist()]
        data = b"".join(len(text.encode()).to_bytes(4, "little") + text.encode() for text in texts)
        elements = texts
    else:
        data = np.ascontiguousarray(array).tobytes()
        elements = [in_json(element) for element in array.reshape(-1).tolist()]
    return {
        "name": name,
        "datatype": datatype,
        "shape": list(array.shape),
        "data": base64.b64encode(data).decode(),
        "json": json.dumps(elements),
    }


def in_json(element):
    """JSON has no NaN and no infinities."""
    if isinstance(element, float) and not np.isfinite(element):
        return "NaN" if np.isnan(element) else "Infinity" if element > 0 else "-Infinity"
    return element


main()
