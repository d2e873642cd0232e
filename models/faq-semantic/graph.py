"""The mixture as an ONNX graph: the embedding of models/minilm and the pipeline of models/faq-matcher, and
behind them what makes probabilities of both.

    text                        string [N]         for the pipeline
    input_ids, attention_mask   int64 [N, tokens]  for the embedding
    probabilities               float32 [N, C]     class i is entry i of models/faq-matcher/questions.json
    known                       float32 [N]        how far the best is above the threshold; 0: none of these
"""

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "faq-matcher"))

import graph as matcher_graph  # noqa: E402
from embedding import MINILM  # noqa: E402

ONNX_OPSET = 18


def make_model(mixture):
    minilm = onnx.load(MINILM / "model.onnx", load_external_data=False)
    matcher = onnx.compose.add_prefix(matcher_graph.make_model(mixture.pipeline), "matcher/", rename_inputs=False)
    head = _Head()
    logits = _add_logits(head, mixture, _scores_of(matcher))
    _add_ending(head, mixture, logits)
    classes = len(mixture.members.counts)
    nodes = [*minilm.graph.node, *_without_ending(matcher), *head.nodes]
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "faq-semantic",
            [helper.make_tensor_value_info("text", TensorProto.STRING, ["N"]), *minilm.graph.input],
            [
                helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", classes]),
                helper.make_tensor_value_info("known", TensorProto.FLOAT, ["N"]),
            ],
            _used([*minilm.graph.initializer, *matcher.graph.initializer, *head.initializers], nodes),
        ),
        opset_imports=[
            helper.make_opsetid("", ONNX_OPSET),
            helper.make_opsetid("ai.onnx.ml", matcher_graph.ONNX_ML_OPSET),
            helper.make_opsetid("com.microsoft", 1),
        ],
        ir_version=matcher_graph.ONNX_IR_VERSION,
        producer_name="scoreline",
    )
    return model


def _used(initializers, nodes):
    names = {name for node in nodes for name in node.input}
    return [initializer for initializer in initializers if initializer.name in names]


def _scores_of(matcher):
    """The name of the pipeline's decisions, before its softmax."""
    (softmax,) = [node for node in matcher.graph.node if node.op_type == "Softmax"]
    return softmax.input[0]


def _without_ending(matcher):
    outputs = {output.name for output in matcher.graph.output}
    return [node for node in matcher.graph.node if not outputs & set(node.output)]


def _add_logits(head, mixture, pipeline_scores):
    classifier = mixture.classifier
    pipeline = head.add("Mul", [pipeline_scores, head.number(mixture.factors["pipeline"])])

    # Both are linear, so they are one product.
    coefficients = classifier.coef_.T * mixture.factors["semantic"]
    coefficients = coefficients + mixture.centres.coefficients * mixture.factors["centre"]
    linear = head.add("MatMul", ["embedding", head.floats(coefficients)])
    linear = head.add("Add", [linear, head.floats(classifier.intercept_ * mixture.factors["semantic"])])

    logits = head.add("Add", [pipeline, linear])
    return _add_nearness(head, mixture, logits) if mixture.factors["nearness"] else logits


def _add_nearness(head, mixture, logits):
    members = mixture.members
    # Half the bytes, and the cosines differ by 1e-4 at most.
    vectors = head.add("Cast", [head.constant(members.vectors.T.astype(np.float16))], to=TensorProto.FLOAT)
    cosines = head.add("MatMul", ["embedding", vectors])
    near = head.add("Exp", [head.add("Mul", [cosines, head.number(mixture.settings.nearness_factor)])])
    columns = head.add("Expand", [head.constant(members.classes[np.newaxis]), head.add("Shape", [near])])
    zeros = head.add("Expand", [head.number(0), head.add("Shape", [logits])])
    sums = head.add("ScatterElements", [zeros, columns, near], axis=1, reduction="add")
    nearness = head.add("Log", [head.add("Div", [sums, head.floats(members.counts)])])
    nearness = head.add("Mul", [nearness, head.number(mixture.factors["nearness"])])
    return head.add("Add", [logits, nearness])


def _add_ending(head, mixture, logits):
    first, last = head.constant(np.array([0])), head.constant(np.array([-1]))
    none = head.add("Slice", [logits, first, head.constant(np.array([1])), head.constant(np.array([1]))])
    none = head.add("Add", [head.add("Mul", [none, head.number(0)]), head.number(mixture.none_logit)])
    beside = head.add("Softmax", [head.add("Concat", [logits, none], axis=1)], axis=-1)
    head.add("Slice", [beside, first, last, head.constant(np.array([1]))], output="probabilities")
    best = head.add("ReduceMax", ["probabilities", last], keepdims=0)
    head.add("Relu", [head.add("Sub", [best, head.number(mixture.threshold)])], output="known")


class _Head:
    """Collects nodes and initializers, and names what has no name."""

    def __init__(self):
        self.nodes = []
        self.initializers = []

    def add(self, operator, inputs, *, output=None, **attributes):
        output = output or f"head/{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def constant(self, value):
        name = f"head/constant_{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def floats(self, value):
        return self.constant(np.asarray(value, dtype=np.float32))

    def number(self, value):
        return self.floats([value])
