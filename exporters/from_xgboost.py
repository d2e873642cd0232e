"""Exports a model of XGBoost from its JSON or UBJSON file to ONNX.

    python exporters/from_xgboost.py MODEL.json MODEL.onnx

XGBoost writes such a file by model.save_model("MODEL.json"), or with the ending .ubj. The network takes one matrix of
numbers, a column for each feature.
"""

import json

import numpy as np
import xgboost
from onnxmltools import convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType

from categories import can_be_named, describe_column
from program import OTHERWISE, fail, note, parse_arguments, reason, run_exporter
from trees import DOWN, ROWS, finish

OPSET = 15


def main():
    arguments = parse_arguments(__doc__)
    try:
        booster = xgboost.Booster(model_file=str(arguments.file))
    except xgboost.core.XGBoostError as error:
        fail(f"expected a file of XGBoost; {arguments.file} cannot be read: {str(error).splitlines()[0]}")
    learner = learner_of(booster)
    kind, objective = learner["gradient_booster"]["name"], learner["objective"]["name"]
    if kind != "gbtree":
        fail(f"expected the booster gbtree, which has a counterpart in ONNX; got {kind}")
    booster = best_of(booster)
    if objective == "multi:softmax":
        booster.set_param("objective", "multi:softprob")  # the same trees, with scores
    names, types = booster.feature_names, booster.feature_types
    categories, lists = [at for at, type_ in enumerate(types or []) if type_ == "c"], lists_of(booster)
    # XGBoost takes a category of no training for another one, so it is refused.
    columns = [describe_column(name, lists.get(at), refuses_others=True) for at, name in enumerate(names or numbered(booster))]
    for at in categories if not lists else []:
        note(f"{columns[at]['name']} takes the numbers of its categories, as cat.codes has them: the file has no names, or some beyond ASCII")

    def predict(rows):
        # A DataFrame has its types, and only so are its categories recoded.
        of_numbers = {"feature_names": names, "feature_types": types} if isinstance(rows, np.ndarray) else {}
        matrix = xgboost.DMatrix(rows, **of_numbers, enable_categorical=True)
        return booster.predict(matrix)

    rows = sample(learner, len(columns), categories)
    # The converter changes the booster.
    network = convert(booster.copy(), len(columns), objective)
    finish(network, arguments.onnx, columns=columns, rows=rows, predict=predict, categories=categories, whole=DOWN, lists=lists)


def best_of(booster):
    """Returns what XGBoost's interface for scikit-learn predicts with: after early stopping, the trees up to the best round."""
    best, rounds = booster.attr("best_iteration"), booster.num_boosted_rounds()
    if best is None or int(best) + 1 >= rounds:
        return booster
    if booster.attr("scikit_learn") is None:
        note(f"all {rounds} rounds are exported, as Booster.predict uses them; save booster[:{int(best) + 1}] for the best ones alone")
        return booster
    note(f"the first {int(best) + 1} of {rounds} rounds are exported, the best ones by early stopping")
    return booster[: int(best) + 1]


def lists_of(booster):
    """Returns the names of pandas' categories by the places of their columns, or nothing if these cannot be told.

    XGBoost before 3.1 keeps none. Later ones cut names with letters beyond ASCII, and then mistake one for another.
    """
    lists = {}
    trees = learner_of(booster)["gradient_booster"].get("model", {})
    for at, encoder in enumerate(trees.get("cats", {}).get("enc", [])):
        values, offsets = encoder["values"], encoder.get("offsets")
        if offsets is not None:
            if min(values, default=0) < 0:
                return {}
            values = ["".join(map(chr, values[start:end])) for start, end in zip(offsets, offsets[1:])]
        if values:
            lists[at] = values
    return lists if all(map(can_be_named, lists.values())) else {}


def numbered(booster):
    return [f"column {at}" for at in range(booster.num_features())]


def convert(booster, count, objective):
    # The converter takes no names but its own, f0 and so on. XGBoost writes splits of whole numbers for it as whole numbers of
    # 32 bits, and those of Booleans without a number.
    types = [each if each == "c" else "float" for each in booster.feature_types or []] or None
    booster.feature_names, booster.feature_types = None, types
    try:
        network = convert_xgboost(booster, initial_types=[("row", FloatTensorType([None, count]))], target_opset=OPSET)
    except Exception as error:  # the converter has several classes of errors
        fail(f"expected a model that onnxmltools can export; got the objective {objective}: {reason(error)}. {OTHERWISE}")
    number_answers(network, learner_of(booster)["gradient_booster"]["model"]["tree_info"])
    return network


def number_answers(network, answers):
    """Has each tree add to its own answer: a class, or a number of several. The converter takes them for one tree each in turn."""
    for node in network.graph.node:
        attributes = {each.name: each.ints for each in node.attribute}
        for kind in ("class", "target"):
            if f"{kind}_ids" in attributes:
                attributes[f"{kind}_ids"][:] = [answers[tree] for tree in attributes[f"{kind}_treeids"]]
    if len(network.graph.output) == 1:  # it declares one number for several, too
        network.graph.output[0].type.tensor_type.shape.dim[1].dim_value = max(answers) + 1


def learner_of(booster):
    return json.loads(booster.save_raw("json"))["learner"]


def limits_of(learner, count):
    """Returns the numbers at which the trees divide each column."""
    limits = [[] for _ in range(count)]
    for tree in learner["gradient_booster"]["model"]["trees"]:
        for feature, limit, left in zip(tree["split_indices"], tree["split_conditions"], tree["left_children"]):
            if left >= 0:
                limits[feature].append(limit)
    return limits


def sample(learner, count, categories):
    """Draws numbers around those at which the trees divide."""
    random = np.random.default_rng(1)
    limits, known = limits_of(learner, count), [0] * count
    for tree in learner["gradient_booster"]["model"]["trees"]:
        for node, start, size in zip(*(tree[f"categories{name}"] for name in ("_nodes", "_segments", "_sizes"))):
            feature = tree["split_indices"][node]
            known[feature] = max([known[feature], *tree["categories"][start : start + size]])
    rows = np.zeros((ROWS, count), np.float32)
    for at in range(count):
        if at in categories:
            rows[:, at] = random.integers(0, known[at] + 2, ROWS)
        elif limits[at]:
            rows[:, at] = random.choice(limits[at], ROWS) * random.uniform(0.9, 1.1, ROWS)
    return rows


if __name__ == "__main__":
    run_exporter(main)
