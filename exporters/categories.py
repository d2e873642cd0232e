"""Columns of pandas' categories in networks of boosters, which know them by their numbers: the names go in instead."""

import numpy as np
import pandas as pd
from onnx import TensorProto
from onnx.helper import make_node, make_tensor_value_info

from program import note
from value_names import name_values

# What a missing text is in a network. skl2onnx writes `nan`, which can be a text.
GAP = "<missing>"
# So many names of categories show which column they belong to.
NOTED_MAX = 5


def describe_column(name, values, refuses_others):
    """Returns a column of the manifest for these categories, or for numbers if there are none."""
    if values is None:
        return {"name": name, "datatype": "number"}
    is_text = isinstance(values[0], str)
    column = {"name": name, "datatype": "category" if is_text else "number"}
    return {**column, "categories": [value if is_text else float(value) for value in values]} if refuses_others else column


def gap_of(column):
    """Returns what a missing value of a column is in the network."""
    return GAP if column["datatype"] == "category" else "NaN"


def can_be_named(values):
    """Whether categories are texts alone or numbers that floats of 32 bits tell apart."""
    if all(isinstance(value, str) for value in values):
        return GAP not in values
    are_numbers = all(isinstance(value, (bool, int, float)) for value in values)
    return are_numbers and len(set(np.float32(values).tolist())) == len(values)


def table_of(rows, names, lists):
    """Returns rows with numbers of categories as pandas has them. Numbers that are none of a category are missing."""
    table = pd.DataFrame(rows, columns=names)
    for at, values in lists.items():
        codes = np.where(np.isin(rows[:, at], range(len(values))), rows[:, at], -1).astype(int)
        table[names[at]] = pd.Categorical.from_codes(codes, values)
    return table


def feeds_of(table, lists):
    """Returns the inputs of a network that takes names."""
    cells = [table.iloc[:, at] for at in range(table.shape[1])]
    are_texts = [at in lists and isinstance(lists[at][0], str) for at in range(len(cells))]
    feeds = [
        cell.astype(object).where(cell.notna(), GAP).to_numpy(object) if is_text else np.asarray(cell.astype(object), np.float32)
        for cell, is_text in zip(cells, are_texts)
    ]
    return {name: feed.reshape(-1, 1) for name, feed in zip(table.columns, feeds)}


def take_names(network, names, lists):
    """Gives a network of one input `row` an input for each column. Those of categories take names, and other names are missing."""
    graph = network.graph
    nodes, cells, inputs = [], [], []
    for at in range(len(names)):
        values, given = lists.get(at), f"column {at}"
        kind = "strings" if values and isinstance(values[0], str) else "floats"
        inputs.append(make_tensor_value_info(given, TensorProto.STRING if kind == "strings" else TensorProto.FLOAT, [None, 1]))
        cells.append(f"cell {at}" if values else given)
        if values:
            some = ", ".join(map(str, values[:NOTED_MAX]))
            note(f"{names[at]} takes names of categories: {some}{', …' if len(values) > NOTED_MAX else ''}")
            keys = values if kind == "strings" else list(map(float, values))
            codes = {f"keys_{kind}": keys, "values_floats": [float(code) for code in range(len(values))], "default_float": np.nan}
            nodes.append(make_node("LabelEncoder", [given], [cells[-1]], domain="ai.onnx.ml", **codes))
    nodes.append(make_node("Concat", cells, [graph.input[0].name], axis=1))
    del graph.input[:]
    graph.input.extend(inputs)
    for at, node in enumerate(nodes):
        graph.node.insert(at, node)
    for domain, least in (("", 13), ("ai.onnx.ml", 2)):
        known = [opset for opset in network.opset_import if opset.domain == domain] or [network.opset_import.add(domain=domain)]
        known[0].version = max(known[0].version, least)
    name_values(network, names, [None] * len(graph.output))
