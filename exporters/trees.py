"""What the exporters of boosted trees share: one matrix of numbers goes in, and rows with gaps are compared, too."""

import numpy as np
from onnx import TensorProto
from onnx.helper import make_node, make_tensor

from categories import feeds_of, gap_of, table_of, take_names
from comparison import compare, difference
from onnx_file import run, save

ROWS = 256


DOWN = [("Floor", ["row"], "whole")]
TOWARDS_ZERO = [
    ("Sign", ["row"], "sign"),
    ("Abs", ["row"], "size"),
    ("Floor", ["size"], "whole size"),
    ("Mul", ["sign", "whole size"], "whole"),
]
# What boosters may read in another way than a tree of ONNX
ODD = [0.0, -0.0, 1e-36, -1e-36, 1e30, -1e30]


def finish(network, path, columns, rows, predict, categories=(), whole=(), lists=None, labels=None, output=None):
    """Compares a network with its booster, and saves it as a table of these columns.

    predict     answers to a matrix, and to a DataFrame with pandas' categories
    categories  the places of the columns that hold numbers of categories
    whole       how the booster makes whole numbers of those: TOWARDS_ZERO or DOWN
    lists       the names of the categories by the places of their columns, of those that can be told
    labels      the names of the classes, if the file has them
    output      the section of the manifest; without it, a network of one output answers with a number, or with several
    """
    make_whole(network, [at in categories for at in range(len(columns))], whole)
    rng = np.random.default_rng(3)
    odd = np.where(rng.random(rows.shape) < 0.2, rng.choice(ODD, rows.shape), rows)
    for at in categories:
        odd[:, at] = rows[:, at] + rng.choice([0, 0.3, 0.9, -0.9, 1000, -1000], len(rows))
    rows = np.concatenate([rows, odd.astype(np.float32)])
    # The converters declare that there is one label, whatever the number of rows.
    for value in network.graph.output:
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    compare(*scores(network, rows, predict), f"{len(rows)} rows")
    gaps = np.where(np.random.default_rng(2).random(rows.shape) < 0.2, np.nan, rows).astype(np.float32)
    if difference(*scores(network, gaps, predict)) < 1e-4:
        for column in columns:
            column["missing"] = gap_of(column)
    if lists:
        names = [column["name"] for column in columns]
        take_names(network, names, lists)
        table = table_of(rows, names, lists)
        found, expected = floats(run(network, feeds_of(table, lists))), predict(table)
        compare(align(found, expected), expected, f"{len(rows)} rows with names of categories")
    manifest = {"input": {"kind": "table", "columns": columns}}
    if output is None and len(network.graph.output) == 1:
        output = {"kind": "regression" if np.size(predict(rows[:1])) == 1 else "tensors"}
    save(network, path, labels=labels, manifest={**manifest, "output": output} if output else manifest)


def make_whole(network, is_category, whole):
    """Makes whole numbers of those of categories, as boosters do. A tree of ONNX compares them as they are."""
    if not any(is_category):
        return
    # The converters declare the least that their nodes need, and no operators of ONNX where trees are all.
    own = next((opset for opset in network.opset_import if opset.domain == ""), None) or network.opset_import.add(domain="")
    own.version = max(own.version, 9)
    graph = network.graph
    for node in graph.node:
        node.input[:] = ["whole row" if name == "row" else name for name in node.input]
    graph.initializer.append(make_tensor("is category", TensorProto.BOOL, [1, len(is_category)], is_category))
    for at, (kind, inputs, output) in enumerate([*whole, ("Where", ["is category", "whole", "row"], "whole row")]):
        graph.node.insert(at, make_node(kind, inputs, [output]))


def scores(network, rows, predict):
    """Returns the answers of a network and of its booster."""
    expected = predict(rows)
    return align(floats(run(network, {"row": rows})), expected), expected


def floats(outputs):
    return next(value for value in outputs.values() if value.dtype.kind == "f")


def align(found, expected):
    """Boosters give the probability of the second of two classes, networks those of both. Two numbers are compared as such."""
    is_binary = np.ndim(expected) == 1 and found.ndim == 2 and found.shape[1] == 2
    return found[:, 1] if is_binary else found
