"""Exports a model of CatBoost from its file to ONNX.

    python exporters/from_catboost.py MODEL.cbm MODEL.onnx

CatBoost writes such a file by model.save_model("MODEL.cbm"). The network takes one matrix of numbers, a column for each
feature, and answers as predict_proba() of a classifier does, or as predict() of a regressor.

CatBoost writes the trees as ONNX by itself. What it writes behind them answers otherwise than CatBoost: the raw scores of a
Poisson regression, one softmax for labels that are independent, and classes by their places instead of their names.
"""

import json
from tempfile import TemporaryDirectory

import catboost
import numpy as np
import onnx
from onnx import TensorProto
from onnx.helper import get_attribute_value, make_graph, make_model, make_node, make_opsetid, make_tensor_value_info
from onnx.numpy_helper import from_array

from program import OTHERWISE, fail, note, parse_arguments, reason, run_exporter
from trees import ROWS, finish

OPSETS = [make_opsetid("", 15), make_opsetid("ai.onnx.ml", 2)]
IR_VERSION = 8
# The operator behind the trees, by the loss of the training. Raw scores are the answer of the others.
ENDS = {
    **dict.fromkeys(["Logloss", "CrossEntropy", "Focal", "MultiClassOneVsAll", "MultiLogloss", "MultiCrossEntropy"], "Sigmoid"),
    **dict.fromkeys(["Poisson", "Tweedie"], "Exp"),
    "MultiClass": "Softmax",
}
# The losses of classifiers that can name several classes of a row
OF_SEVERAL = ("MultiLogloss", "MultiCrossEntropy")
THRESHOLD = 0.5
SYMMETRIC = "SymmetricTree"
SCORES = "probabilities"
NAMED_MAX = 5
# CatBoost parts what is missing from all numbers by a larger one.
NUMBERS_MAX = 1e38
# The names of parts of trees for numbers, by those for classes
OF_NUMBERS = {f"class_{part}": f"target_{part}" for part in ("ids", "nodeids", "treeids", "weights")}
NOT_OF_NUMBERS = ("classlabels_int64s", "classlabels_strings", "post_transform", "n_targets")


def main():
    arguments = parse_arguments(__doc__)
    model = load(arguments.file)
    refuse_other_features(model)
    loss, classes = loss_of(model), list(model.classes_)
    refuse_other_trees(model, loss)
    names = model.feature_names_
    has_names = names != [str(at) for at in range(len(names))]
    columns = [{"name": name if has_names else f"column {name}", "datatype": "number"} for name in names]
    network, size = make_network(trees_of(arguments.file), loss, len(names), len(classes))
    answer = model.predict_proba if classes else model.predict
    outcome = {"labels": classes or None, "output": describe_output(model, loss, size)}
    finish(network, arguments.onnx, columns, sample(model, len(names)), answer, **outcome)


def load(file):
    """Returns a classifier or a regressor, whose answers are those of the training."""
    try:
        kind = catboost.CatBoostClassifier if len(catboost.CatBoost().load_model(str(file)).classes_) else catboost.CatBoostRegressor
        return kind().load_model(str(file))
    except catboost.CatBoostError as error:
        fail(f"expected a file of CatBoost; {file} cannot be read: {reason(error)}")


def refuse_other_features(model):
    """CatBoost makes numbers of categories, texts and vectors in ways that ONNX does not have."""
    for what, places in (
        ("categories", model.get_cat_feature_indices()),
        ("texts", model.get_text_feature_indices()),
        ("embeddings", model.get_embedding_feature_indices()),
    ):
        if places:
            names = ", ".join(model.feature_names_[at] for at in places[:NAMED_MAX])
            fail(f"expected a model of columns of numbers; it was trained with {what} in {names}. {OTHERWISE}")


def refuse_other_trees(model, loss):
    policy = model.get_all_params().get("grow_policy", SYMMETRIC)
    if policy != SYMMETRIC:
        fail(f"expected grow_policy='{SYMMETRIC}', whose trees CatBoost can write as ONNX; got '{policy}'. Train it with that one. {OTHERWISE}")
    if loss == "RMSEWithUncertainty":
        fail(f"expected a model that answers with one kind of number; RMSEWithUncertainty adds a variance. Train it with RMSE. {OTHERWISE}")


def loss_of(model):
    return json.loads(model.get_metadata()["params"])["loss_function"]["type"]


def trees_of(file):
    """Returns the node of the trees as CatBoost writes it."""
    model = catboost.CatBoost().load_model(str(file))
    # It writes no classes whose names are False and True, or fractions. The trees do not depend on the names.
    metadata = model.get_metadata()
    if "class_params" in metadata.keys():
        numbered = {"class_names": list(range(len(model.classes_))), "class_label_type": "Integer"}
        metadata["class_params"] = json.dumps({**json.loads(metadata["class_params"]), **numbered})
    with TemporaryDirectory() as folder:
        path = f"{folder}/trees.onnx"
        try:
            model.save_model(path, format="onnx")
        except catboost.CatBoostError as error:
            fail(f"expected a model that CatBoost can write as ONNX; {reason(error)}. {OTHERWISE}")
        return next(node for node in onnx.load(path).graph.node if node.op_type.startswith("TreeEnsemble"))


def make_network(trees, loss, width, classes):
    """Returns a network from `row` to the answers, and how many numbers one of those has."""
    given = {attribute.name: get_attribute_value(attribute) for attribute in trees.attribute}
    parts = {OF_NUMBERS.get(name, name): value for name, value in given.items() if name not in NOT_OF_NUMBERS}
    size = max(parts["target_ids"]) + 1
    nodes = [make_node("TreeEnsembleRegressor", ["row"], ["raw"], domain="ai.onnx.ml", n_targets=size, **parts)]
    nodes.append(make_node(ENDS.get(loss, "Identity"), ["raw"], ["answer"]))
    constants = []
    if classes == 2 and size == 1:
        # The trees have the score of the second class alone.
        constants = [from_array(np.float32(1), "one")]
        nodes += [make_node("Sub", ["one", "answer"], ["first"]), make_node("Concat", ["first", "answer"], [SCORES], axis=1)]
        size = 2
    else:
        nodes.append(make_node("Identity", ["answer"], [SCORES if classes else "numbers"]))
    inputs = [make_tensor_value_info("row", TensorProto.FLOAT, [None, width])]
    outputs = [make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, [None, size])]
    graph = make_graph(nodes, "catboost", inputs, outputs, constants)
    return make_model(graph, opset_imports=OPSETS, ir_version=IR_VERSION), size


def describe_output(model, loss, size):
    """Returns the section `output` of the manifest. Scores of several classes need not add up to 1, so it says how they are read."""
    if not len(model.classes_):
        return {"kind": "regression" if size == 1 else "tensors"}
    scores = {"activation": "none"}
    if loss in OF_SEVERAL:
        return {**scores, "threshold": THRESHOLD}
    threshold = model.get_probability_threshold()
    if size > 2 or threshold == THRESHOLD:
        return scores
    note(f"the labels are those of predict(): {model.classes_[1]} from a score of {threshold:.6g} on")
    return {**scores, "threshold": [1 - threshold, threshold]}


def sample(model, count):
    """Draws numbers around those at which the trees divide."""
    random = np.random.default_rng(1)
    rows = random.normal(size=(ROWS, count))
    for at, limits in model.get_borders().items():
        limits = [limit for limit in limits if abs(limit) < NUMBERS_MAX]
        if limits:
            rows[:, at] = random.choice(limits, ROWS) * random.uniform(0.9, 1.1, ROWS)
    return rows.astype(np.float32)


if __name__ == "__main__":
    run_exporter(main)
