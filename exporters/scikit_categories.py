"""Histogram trees of scikit-learn that split categories by themselves. ONNX's trees compare numbers, so each such split
becomes a column that says to which side a row goes.
"""

from copy import copy, deepcopy

import numpy as np
import pandas as pd
from onnx import TensorProto
from skl2onnx import update_registered_converter
from skl2onnx.common.data_types import DoubleTensorType
from skl2onnx.operator_converters.common import concatenate_variables
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from scikit_texts import writers


def split_categories(model):
    """Returns the model with its last step in parts, if that has native categories: an encoder, the sides, and trees of numbers."""
    if isinstance(model, Pipeline):
        *steps, (_, last) = model.steps
        if not has_categories(last):
            return model
        sides = Sides(last, encoder=last._preprocessor)
        return Pipeline([*steps, ("sides", sides), ("trees", sides.trees)])
    if not has_categories(model):
        return model
    encoder = deepcopy(model._preprocessor)
    numbers = np.arange(model.n_features_in_)
    kept = {"numerical": FunctionTransformer()}  # in place of a check of its own
    encoder.transformers_ = [(name, kept.get(name, step), numbers[columns].tolist()) for name, step, columns in encoder.transformers_ if name != "remainder"]
    sides = Sides(model)
    return Pipeline([("columns", encoder), ("sides", sides), ("trees", sides.trees)])


def has_categories(model):
    """Whether it has native categories, and encodes them by itself, as since scikit-learn 1.4."""
    return getattr(model, "_preprocessor", None) is not None and bool(np.any(model.is_categorical_))


class Sides(TransformerMixin, BaseEstimator):
    """Appends a column for each way in which a split parts the categories of a column: 0 for those that go left, 1 for others.

    With an encoder, rows have the categories themselves, which are numbers.
    """

    def __init__(self, model, encoder=None):
        self.encoder = encoder
        self.n_features_in_ = model.n_features_in_
        self._bin_mapper = model._bin_mapper  # where the sample rows look for the splits of numbers
        categories = model._preprocessor.named_transformers_["encoder"].categories_
        self.categories = [[value for value in values if not pd.isna(value)] for values in categories]
        # By column, the numbers of the new columns by what they have for each category, and last for none
        self.ways = [{} for _ in categories]
        self.trees = self.without_categories(model)

    def without_categories(self, model):
        predictors = [[deepcopy(tree.nodes) for tree in round] for round in model._predictors]
        splits = [
            (node, tree.raw_left_cat_bitsets[node["bitset_idx"]])
            for round, copies in zip(model._predictors, predictors)
            for tree, nodes in zip(round, copies)
            for node in nodes
            if node["is_categorical"] and not node["is_leaf"]
        ]
        found = [(node, node["feature_idx"], self.way(node, left)) for node, left in splits]
        starts = self.n_features_in_ + np.cumsum([0, *map(len, self.ways)])
        for node, column, place in found:
            node["feature_idx"], node["num_threshold"] = starts[column] + place, 0.5
            node["is_categorical"], node["missing_go_to_left"] = 0, 0
        none = np.zeros((0, 8), np.uint32)
        trees = copy(model)
        trees._predictors = [[TreePredictor(nodes, none, none) for nodes in round] for round in predictors]
        trees._preprocessor = trees.is_categorical_ = None
        trees.n_features_in_ = starts[-1]
        vars(trees).pop("feature_names_in_", None)
        return trees

    def way(self, node, left):
        ways = self.ways[node["feature_idx"]]
        codes = np.arange(len(self.categories[node["feature_idx"]]))
        goes_left = (left[codes // 32] >> (codes % 32).astype(np.uint32)) & 1
        return ways.setdefault((*(1 - goes_left.astype(int)).tolist(), int(not node["missing_go_to_left"])), len(ways))

    def tables(self):
        """Returns what the new columns have, [categories + 1, ways] for each column with some."""
        return [(at, np.array(list(ways), np.float64).T) for at, ways in enumerate(self.ways) if ways]

    def fit(self, *_):
        return self

    def transform(self, rows):
        rows = self.encoder.transform(rows) if self.encoder else rows
        codes = [np.where(np.isnan(rows[:, at]), len(self.categories[at]), rows[:, at]).astype(int) for at, _ in self.tables()]
        return np.hstack([rows, *(table[code] for code, (_, table) in zip(codes, self.tables()))])


def shape_of_sides(operator):
    given = operator.inputs[0].type
    operator.outputs[0].type = type(given)([given.shape[0], int(operator.raw_operator.trees.n_features_in_)])


def append_sides(scope, operator, container):
    add, constant = writers(scope, container)
    sides = operator.raw_operator
    kind = TensorProto.DOUBLE if isinstance(operator.inputs[0].type, DoubleTensorType) else TensorProto.FLOAT
    cells = concatenate_variables(scope, operator.inputs, container)
    if sides.encoder:
        order = np.concatenate([np.arange(sides.n_features_in_)[columns] for _, _, columns in sides.encoder.transformers_[:2]])
        cells = add("Gather", [cells, constant(order)], 13, axis=1)
    columns = [cells]
    for at, table in sides.tables():
        code = add("Gather", [cells, constant(at)], 13, axis=1)
        known = sides.categories[at]
        if sides.encoder:
            floats = add("Cast", [code], 13, to=TensorProto.FLOAT)
            numbered = {"keys_floats": list(map(float, known)), "values_int64s": range(len(known)), "default_int64": len(known)}
            place = add("LabelEncoder", [floats], 2, op_domain="ai.onnx.ml", **numbered)
        else:
            filled = add("Where", [add("IsNaN", [code], 13), constant(float(len(known)), kind), code], 16)
            place = add("Cast", [filled], 13, to=TensorProto.INT64)
        columns.append(add("Gather", [constant(table, kind), place], 13))
    output = [operator.outputs[0].full_name]
    container.add_node("Concat", columns, output, name=scope.get_unique_operator_name("Concat"), op_version=13, axis=1)


update_registered_converter(Sides, "ScorelineSides", shape_of_sides, append_sides)
