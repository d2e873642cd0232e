"""Makes an optimised copy of an ONNX file with ONNX Runtime's own tools, for `npm run models -- optimize`.

    transform.py graph|fp16|int8-dynamic|int8 --source FILE --target FILE
        [--inputs FILE.ndjson] [--ranges minmax|entropy|percentile] [--reduce-range] [--keep NODE ...]

The inputs are the network's own tensors, as the worker stacks them: a line for each input, with name, datatype,
shape and the bytes in base64. Prints one line of JSON: {"changed": {operator: count}} or {"fault": reason}.
"""

import argparse
import base64
import collections
import contextlib
import json
import logging
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.registry import QDQRegistry
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

BYTES_MAX = 2**31 - 1
DYNAMIC = ["MatMul", "Gemm", "Attention", "LSTM", "Gather", "EmbedLayerNormalization"]
# Without one of these, there is nothing to gain.
HEAVY = ["Conv", "MatMul", "Gemm", "ConvTranspose", "LSTM", "Attention"]
# Eight bits have no room for probabilities: of a thousand classes, all but a few would become 0.
STATIC = [name for name in QDQRegistry if name not in ("Softmax", "Sigmoid")]
# What these answer stays float32: often it is logits, whose small differences decide.
FLOATING = ["Gemm", "MatMul"]
RANGES = {
    "minmax": CalibrationMethod.MinMax,
    "entropy": CalibrationMethod.Entropy,
    "percentile": CalibrationMethod.Percentile,
}
NUMBERS = {
    "BOOL": "?",
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}


class Fault(Exception):
    """The network cannot be changed in this way."""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("method", choices=["graph", "fp16", "int8-dynamic", "int8"])
    parser.add_argument("--source", required=True)
    parser.add_argument("--target", required=True)
    parser.add_argument("--inputs")
    parser.add_argument("--ranges", choices=RANGES, default="minmax")
    parser.add_argument("--reduce-range", action="store_true")
    parser.add_argument("--keep", nargs="*", default=[])
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    onnxruntime.set_default_logger_severity(3)
    try:
        # The tools print remarks, and standard output is for the result.
        with contextlib.redirect_stdout(sys.stderr):
            changed = METHODS[given.method](given)
            onnx.checker.check_model(given.target)
        print(json.dumps({"changed": changed}))
    except Fault as fault:
        print(json.dumps({"fault": str(fault)}))
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        print(json.dumps({"fault": f"ONNX Runtime's tools say: {type(error).__name__}: {lines[0][:500]}"}))


def optimise_graph(given):
    options = onnxruntime.SessionOptions()
    # The last level has layouts for one kind of processor.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = given.target
    options.log_severity_level = 4
    before = count_operators(given.source)
    onnxruntime.InferenceSession(given.source, options, providers=["CPUExecutionProvider"])
    after = count_operators(given.target)
    return {name: after[name] - before[name] for name in sorted(before | after) if after[name] != before[name]}


def convert_to_fp16(given):
    model = convert_float_to_float16(load(given.source), keep_io_types=True, node_block_list=given.keep)
    # The casts of the inputs are behind the nodes that take them.
    OnnxModel(model).topological_sort()
    count = sum(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in model.graph.initializer)
    if count == 0:
        raise Fault(f"expected weights of float32; the network has none that can be float16. {describe(given.source)}")
    save(model, given.target)
    return {"weights": count}


def load(source):
    """Loads a network without the shapes that its exporter noted: the tools change them, and then trip over them."""
    model = onnx.load(source)
    del model.graph.value_info[:]
    return model


def quantise_dynamic(given):
    expect(given, DYNAMIC)
    quantize_dynamic(
        load(given.source),
        given.target,
        op_types_to_quantize=DYNAMIC,
        per_channel=True,
        reduce_range=given.reduce_range,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=given.keep,
    )
    changed = collections.Counter(
        node.op_type
        for node in onnx.load(given.target, load_external_data=False).graph.node
        if node.op_type in ("MatMulInteger", "DynamicQuantizeLSTM", "QAttention", "QEmbedLayerNormalization")
    )
    return found(changed, given, DYNAMIC)


def quantise_static(given):
    expect(given, HEAVY)
    with tempfile.TemporaryDirectory(dir=Path(given.target).parent) as folder:
        prepared = str(Path(folder) / "prepared.onnx")
        prepare(given.source, prepared)
        quantize_static(
            prepared,
            given.target,
            Inputs(given.inputs),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=STATIC,
            per_channel=True,
            reduce_range=given.reduce_range,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=given.keep,
            calibrate_method=RANGES[given.ranges],
            extra_options={"OpTypesToExcludeOutputQuantization": FLOATING},
        )
    graph = onnx.load(given.target, load_external_data=False).graph
    numbers = {node.output[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    changed = collections.Counter(
        node.op_type
        for node in graph.node
        if node.op_type != "QuantizeLinear" and node.input and node.input[0] in numbers
    )
    return found(changed, given, HEAVY)


def prepare(source, target):
    """Folds and fuses, as the tools recommend; networks that they cannot prepare are taken as they are."""
    for skips in ({}, {"skip_symbolic_shape": True}, {"skip_symbolic_shape": True, "skip_onnx_shape": True}):
        with contextlib.suppress(Exception):
            quant_pre_process(source, target, **skips)
            return
    onnx.save(onnx.load(source), target)


class Inputs(CalibrationDataReader):
    def __init__(self, file):
        self.lines = Path(file).open(encoding="utf-8")

    def get_next(self):
        line = self.lines.readline()
        return {tensor["name"]: to_array(tensor) for tensor in json.loads(line)} if line else None


def to_array(tensor):
    data = base64.b64decode(tensor["data"])
    if tensor["datatype"] != "BYTES":
        return np.frombuffer(data, NUMBERS[tensor["datatype"]]).reshape(tensor["shape"])
    texts, at = [], 0
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "little")
        texts.append(data[at + 4 : end].decode())
        at = end
    return np.array(texts, dtype=object).reshape(tensor["shape"])


def expect(given, wanted):
    """The tools fail in odd ways on networks without an operator for them."""
    found(count_operators(given.source).keys() & set(wanted), given, wanted)


def found(changed, given, wanted):
    if changed:
        return dict(changed) if isinstance(changed, dict) else None
    raise Fault(f"expected operators that can become int8, such as {', '.join(wanted[:3])}. {describe(given.source)}")


def describe(source):
    names = [name for name, _ in count_operators(source).most_common(8)]
    return f"The network has {', '.join(names) or 'none'}"


def count_operators(file):
    return collections.Counter(node.op_type for node in onnx.load(file, load_external_data=False).graph.node)


def save(model, target):
    if model.ByteSize() > BYTES_MAX:
        raise Fault("expected a network that fits into one file of 2 GB")
    onnx.save(model, target)


METHODS = {
    "graph": optimise_graph,
    "fp16": convert_to_fp16,
    "int8-dynamic": quantise_dynamic,
    "int8": quantise_static,
}

if __name__ == "__main__":
    main()
