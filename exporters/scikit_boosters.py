"""Boosters of XGBoost and LightGBM as models of scikit-learn: alone, and as steps of pipelines and of other models."""

import sys
from functools import lru_cache

import numpy as np
import pandas as pd
from onnx import TensorProto
from onnx.helper import make_node
from onnx.numpy_helper import from_array
from skl2onnx import update_registered_converter
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType
from skl2onnx.helpers import add_onnx_graph
from sklearn.base import is_classifier

from program import OTHERWISE, fail
from trees import TOWARDS_ZERO, make_whole

# The boosters of XGBoost that get sparse rows, by id(). They read what is not there as missing, not as 0.
SPARSE = set()
# LightGBM parts what is missing from all numbers by a larger one.
NUMBERS_MAX = 1e300
# It parts 0 from other numbers by one as small as this. A sample around that would know no other number.
ZERO = 1e-30
# How a booster is written to a file of its own
WRITTEN = {"xgboost": 'model.save_model("model.json")', "lightgbm": 'model.booster_.save_model("model.txt")'}


def package_of(step):
    """Returns the package of a booster, None for any other step."""
    name = type(step).__module__.partition(".")[0]
    return name if name in WRITTEN else None


def replace_boosters():
    """Lets skl2onnx convert the boosters of the packages that the pickle has loaded."""
    classes = []
    if "xgboost" in sys.modules:
        from xgboost import XGBClassifier, XGBRegressor, XGBRFClassifier, XGBRFRegressor

        classes += [XGBClassifier, XGBRegressor, XGBRFClassifier, XGBRFRegressor]
    if "lightgbm" in sys.modules:
        from lightgbm import LGBMClassifier, LGBMRegressor

        classes += [LGBMClassifier, LGBMRegressor]
    for each in classes:
        options = {"zipmap": [True, False]} if is_classifier(each()) else None
        update_registered_converter(each, f"Booster{each.__name__}", shape_of_booster, convert_booster, options=options)


def shape_of_booster(operator):
    rows, model = operator.inputs[0].get_first_dimension(), operator.raw_operator
    if is_classifier(model):
        operator.outputs[0].type = Int64TensorType([rows])
        operator.outputs[1].type = FloatTensorType([rows, len(model.classes_)])
    else:
        operator.outputs[0].type = FloatTensorType([rows, 1])


def convert_booster(scope, operator, container):
    """Converts a booster, whose trees compare floats. LightGBM's compare doubles, which makes no difference but on a split."""
    model = operator.raw_operator
    network = network_of(model)
    gaps = [0.0] if id(model) in SPARSE else []
    missing = getattr(model, "missing", np.nan)
    if missing is not None and not np.isnan(missing):
        gaps.append(missing)
    prepare(network, gaps)
    add_onnx_graph(scope, operator, container, network)


def network_of(model):
    """Returns the network of a booster: from `row` to labels and probabilities, or to a number."""
    if package_of(model) == "xgboost":
        from from_xgboost import convert

        # Rounds up to the best are what predict() uses after early stopping.
        rounds = getattr(model, "best_iteration", model.get_booster().num_boosted_rounds() - 1) + 1
        booster = model.get_booster()[:rounds]
        if model.objective == "multi:softmax":
            booster.set_param("objective", "multi:softprob")  # the same trees, with scores
        return convert(booster, model.n_features_in_, model.objective)
    from lightgbm import Booster

    from from_lightgbm import categories_of, convert, infos_of

    # The text has the rounds that predict() uses: after early stopping, those up to the best.
    booster = Booster(model_str=model.booster_.model_to_string())
    categories = categories_of(infos_of(booster))
    network = convert(booster)
    make_whole(network, [at in categories for at in range(model.n_features_in_)], TOWARDS_ZERO)
    return network


def lists_of(model):
    """Returns the names of pandas' categories that a booster was trained with, by the places of their columns, as far as they are known."""
    if package_of(model) == "xgboost":
        from from_xgboost import lists_of as find

        return find(model.get_booster())
    from from_lightgbm import lists_of as find

    return find(model.booster_)


def refuse_booster(step, model):
    """Fails if a booster has no counterpart in ONNX, or takes other columns than numbers. Alone, it may take categories."""
    package = package_of(step)
    if package == "xgboost" and step.booster not in (None, "gbtree"):
        fail(f"expected the booster gbtree, which has a counterpart in ONNX; got {step.booster}. {OTHERWISE}")
    has_categories = "c" in (step.get_booster().feature_types or []) if package == "xgboost" else step.booster_.pandas_categorical
    if has_categories and step is not model:
        fail(
            f"expected columns of numbers; the {type(step).__name__} in a {type(model).__name__} was trained with pandas' categories. Train "
            f"it alone, or encode them with a ColumnTransformer at the beginning of the pipeline. {OTHERWISE}"
        )
    if has_categories and not lists_of(step):
        fail(
            f"expected pandas' categories whose names {type(step).__name__} keeps: for XGBoost, texts of ASCII or whole numbers; for LightGBM, no "
            f"ordered ones. To send their numbers instead, save the booster by {WRITTEN[package]}, and add that file. {OTHERWISE}"
        )


def prepare(network, gaps):
    """Lets a network take doubles, and read these numbers as missing."""
    graph, cells, nodes = network.graph, "cells", [make_node("Cast", ["row"], ["cells"], to=TensorProto.FLOAT)]
    for at, gap in enumerate(gaps):
        graph.initializer.append(from_array(np.float32(gap), f"gap {at}"))
        graph.initializer.append(from_array(np.float32(np.nan), f"missing {at}"))
        nodes.append(make_node("Equal", [cells, f"gap {at}"], [f"is gap {at}"]))
        nodes.append(make_node("Where", [f"is gap {at}", f"missing {at}", cells], [f"cells {at}"]))
        cells = f"cells {at}"
    for node in graph.node:
        node.input[:] = [cells if name == "row" else name for name in node.input]
    for at, node in enumerate(nodes):
        graph.node.insert(at, node)
    for at, node in enumerate(graph.node):
        node.name = f"{node.op_type} {at}"  # skl2onnx wants one


@lru_cache
def splits(step):
    """Returns the numbers at which a booster splits each column, by the place of the column."""
    if package_of(step) == "xgboost":
        from from_xgboost import learner_of, limits_of

        return [np.array(limits) for limits in limits_of(learner_of(step.get_booster()), step.n_features_in_)]
    booster = step.booster_
    table = booster.trees_to_dataframe()
    limits = pd.to_numeric(table["threshold"], errors="coerce")
    limits = limits.mask(limits.abs() < ZERO, 0.0)
    return [limits[(table["split_feature"] == name) & (limits.abs() < NUMBERS_MAX)].to_numpy() for name in booster.feature_name()]
