"""Conversions of scikit-learn's steps that skl2onnx lacks, or makes in a way that answers otherwise than scikit-learn."""

from copy import copy
from types import SimpleNamespace

import numpy as np
import pandas as pd
from onnx import TensorProto
from scipy import special
from skl2onnx import update_registered_converter
from skl2onnx.common import tree_ensemble
from skl2onnx.common._registration import get_converter, get_shape_calculator
from skl2onnx.common.data_types import DoubleTensorType, Int64TensorType, StringTensorType
from skl2onnx.operator_converters import calibrated_classifier_cv, decision_tree, isolation_forest, random_forest
from skl2onnx.operator_converters.common import concatenate_variables
from sklearn._loss.link import LogLink
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import AdaBoostClassifier, HistGradientBoostingRegressor
from sklearn.feature_selection import (
    RFE,
    RFECV,
    GenericUnivariateSelect,
    SelectFdr,
    SelectFpr,
    SelectFromModel,
    SelectFwe,
    SelectKBest,
    SelectPercentile,
    SequentialFeatureSelector,
    VarianceThreshold,
)
from sklearn.impute import SimpleImputer
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.preprocessing import Binarizer, FunctionTransformer, Normalizer, OrdinalEncoder, PolynomialFeatures

from categories import GAP
from scikit_texts import replace_converter, replace_text_converters, writers


def replace_converters():
    replace_converter(SimpleImputer, "SklearnSimpleImputer", fill_gaps)
    replace_converter(OrdinalEncoder, "SklearnOrdinalEncoder", number_categories)
    replace_converter(PolynomialFeatures, "SklearnPolynomialFeatures", multiply_columns)
    replace_converter(Normalizer, "SklearnNormalizer", normalise_rows)
    for selector in SELECTORS:
        # skl2onnx counts the columns of each in the same way.
        replace_converter(selector, "SklearnVarianceThreshold", take_columns)
    replace_converter(Binarizer, "SklearnBinarizer", mark_larger)
    replace_converter(LinearDiscriminantAnalysis, "SklearnLinearClassifier", classify, LINEAR.get_allowed_options())
    for model, name in ((KNeighborsClassifier, "SklearnKNeighborsClassifier"), (KNeighborsRegressor, "SklearnKNeighborsRegressor")):
        converter = NEIGHBOURS[name]
        replace_converter(model, name, find_neighbours(converter), converter.get_allowed_options())
    replace_converter(AdaBoostClassifier, "SklearnAdaBoostClassifier", boost_booleans, ADA.get_allowed_options())
    replace_converter(HistGradientBoostingRegressor, "SklearnHistGradientBoostingRegressor", boost_numbers)
    calibrated_classifier_cv._transform_isotonic = calibrate_steps
    for module in (decision_tree, isolation_forest, random_forest):
        module.add_tree_to_attribute_pairs = add_tree
    tree_ensemble.sklearn_threshold = split_at
    # In a pipeline that is calibrated, skl2onnx gives a LinearSVC the option zipmap, and refuses it.
    get_converter("SklearnLinearSVC").get_allowed_options()["zipmap"] = [True, False]
    update_registered_converter(
        FunctionTransformer, "SklearnFunctionTransformer", shape_of_function, apply_function, overwrite=True, options={}
    )
    replace_text_converters()


def is_gap(value):
    return bool(pd.isna(value))


def fill_gaps(scope, operator, container):
    """Converts a SimpleImputer of texts, or of doubles, which ONNX's own operator does not take."""
    imputer = operator.raw_operator
    missing, fills = imputer.missing_values, imputer.statistics_
    is_text = isinstance(operator.inputs[0].type, StringTensorType)
    if not is_text and not (isinstance(operator.inputs[0].type, DoubleTensorType) and is_gap(missing)):
        return IMPUTER(scope, operator, container)
    if is_text and not all(isinstance(fill, str) for fill in fills):
        raise NotImplementedError(f"A SimpleImputer fills texts with {list(fills)}.")
    add, constant = writers(scope, container)
    cells = concatenate_variables(scope, operator.inputs, container)
    if is_text:
        names = {"keys_strings": [GAP if is_gap(missing) else missing], "values_int64s": [1], "default_int64": 0}
        found = add("LabelEncoder", [cells], 2, op_domain="ai.onnx.ml", **names)
        gaps = add("Cast", [found], 13, to=TensorProto.BOOL)
    else:
        gaps = add("IsNaN", [cells], 13)
    filled = constant([list(fills)], TensorProto.STRING if is_text else TensorProto.DOUBLE)
    output = [operator.outputs[0].full_name]
    container.add_node("Where", [gaps, filled, cells], output, name=scope.get_unique_operator_name("Where"), op_version=16)


IMPUTER = get_converter("SklearnSimpleImputer")


def number_categories(scope, operator, container):
    """Converts an OrdinalEncoder. skl2onnx makes a category of what is missing, and one of all that scikit-learn refuses."""
    add, constant = writers(scope, container)
    encoder = operator.raw_operator
    places = [(given, at) for given in operator.inputs for at in range(given.get_second_dimension())]
    # The place of others is that behind the last category. Without a number there, ONNX Runtime refuses them.
    others = [] if encoder.handle_unknown == "error" else [encoder.unknown_value]
    columns = []
    for (given, at), values in zip(places, encoder.categories_, strict=True):
        cells = add("Gather", [given.full_name, constant([at])], 13, axis=1)
        if isinstance(given.type, StringTensorType):
            kind, keys = "strings", [GAP if is_gap(value) else str(value) for value in values]
        elif isinstance(given.type, Int64TensorType):
            kind, keys = "int64s", [int(value) for value in values]
        else:
            kind, keys = "floats", [float(value) for value in values]
            cells = add("Cast", [cells], 13, to=TensorProto.FLOAT)
        numbered = {f"keys_{kind}": keys, "values_int64s": range(len(keys)), "default_int64": len(keys)}
        place = add("LabelEncoder", [cells], 2, op_domain="ai.onnx.ml", **numbered)
        # None is a category for scikit-learn, with a number of its own.
        codes = [code if value is None or not is_gap(value) else encoder.encoded_missing_value for code, value in enumerate(values)]
        columns.append(add("Gather", [constant([*codes, *others], TensorProto.FLOAT), place], 13))
    kind = TensorProto.FLOAT if np.issubdtype(encoder.dtype, np.floating) else TensorProto.INT64
    joined = add("Concat", columns, 13, axis=1)
    output = [operator.outputs[0].full_name]
    container.add_node("Cast", [joined], output, name=scope.get_unique_operator_name("Cast"), op_version=13, to=kind)


def multiply_columns(scope, operator, container):
    """Converts PolynomialFeatures also of doubles. skl2onnx mixes them with floats, which ONNX Runtime does not load."""
    if isinstance(operator.inputs[0].type, Int64TensorType):
        return POLYNOMIAL(scope, operator, container)
    add, constant = writers(scope, container)
    powers = operator.raw_operator.powers_
    kind = TensorProto.DOUBLE if isinstance(operator.inputs[0].type, DoubleTensorType) else TensorProto.FLOAT
    # A product of fewer columns than the others has ones instead, from a column behind the last.
    cells = add("Pad", [operator.inputs[0].full_name, constant([0, 0, 0, 1]), constant(1.0, kind)], 18)
    factors = [np.repeat(np.arange(powers.shape[1]), counts).tolist() for counts in powers]
    most = max(map(len, factors))
    places = np.array([[*each, *[powers.shape[1]] * (most - len(each))] for each in factors]).reshape(len(factors), most)
    product = None
    for each in places.T:
        column = add("Gather", [cells, constant(each)], 13, axis=1)
        product = column if product is None else add("Mul", [product, column], 14)
    output = [operator.outputs[0].full_name]
    container.add_node("Identity", [product], output, name=scope.get_unique_operator_name("Identity"), op_version=16)


POLYNOMIAL = get_converter("SklearnPolynomialFeatures")


class Selection(VarianceThreshold):
    """What RFE selects. Around a classifier, skl2onnx takes RFE for one."""

    def __init__(self, selector):
        self.selector = selector
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(selector, name):
                setattr(self, name, getattr(selector, name))

    def _get_support_mask(self):
        return self.selector.get_support()


SELECTORS = [
    *(GenericUnivariateSelect, SelectFdr, SelectFpr, SelectFromModel, SelectFwe, SelectKBest, SelectPercentile),
    *(RFE, RFECV, SequentialFeatureSelector, VarianceThreshold, Selection),
]


def take_columns(scope, operator, container):
    """Converts a selection of columns. skl2onnx writes no network of the first column alone."""
    _, constant = writers(scope, container)
    cells = concatenate_variables(scope, operator.inputs, container)
    places = constant(operator.raw_operator.get_support(indices=True))
    output = [operator.outputs[0].full_name]
    container.add_node("Gather", [cells, places], output, name=scope.get_unique_operator_name("Gather"), op_version=13, axis=1)


def normalise_rows(scope, operator, container):
    """Converts a Normalizer. Of a row of zeros skl2onnx makes NaN, and of numbers below 0 another maximum."""
    add, constant = writers(scope, container)
    norm = operator.raw_operator.norm
    kind = TensorProto.DOUBLE if isinstance(operator.inputs[0].type, DoubleTensorType) else TensorProto.FLOAT
    cells = add("Cast", [concatenate_variables(scope, operator.inputs, container)], 13, to=kind)
    if norm == "l2":
        size = add("ReduceL2", [cells, constant([1])], 18, keepdims=1)
    else:
        reduce, version = ("ReduceSum", 13) if norm == "l1" else ("ReduceMax", 18)
        size = add(reduce, [add("Abs", [cells], 13), constant([1])], version, keepdims=1)
    # scikit-learn leaves rows as they are that are all but zero.
    is_zero = add("Less", [size, constant(10 * np.finfo(np.float64).eps, kind)], 13)
    divisor = add("Where", [is_zero, constant(1.0, kind), size], 16)
    output = [operator.outputs[0].full_name]
    container.add_node("Div", [cells, divisor], output, name=scope.get_unique_operator_name("Div"), op_version=14)


def mark_larger(scope, operator, container):
    """Converts a Binarizer. Of doubles, skl2onnx marks its threshold, too."""
    if not isinstance(operator.inputs[0].type, DoubleTensorType):
        return BINARIZER(scope, operator, container)
    add, constant = writers(scope, container)
    cells = concatenate_variables(scope, operator.inputs, container)
    is_larger = add("Greater", [cells, constant(float(operator.raw_operator.threshold), TensorProto.DOUBLE)], 13)
    output = [operator.outputs[0].full_name]
    container.add_node("Cast", [is_larger], output, name=scope.get_unique_operator_name("Cast"), op_version=13, to=TensorProto.DOUBLE)


BINARIZER = get_converter("SklearnBinarizer")


def shape_of_function(operator):
    """Each function is applied to every number by itself."""
    original = operator.raw_operator
    if original.func in FUNCTIONS and not original.kw_args and not isinstance(operator.inputs[0].type, Int64TensorType):
        operator.raw_operator = FunctionTransformer()
    try:
        FUNCTION_SHAPE(operator)
    finally:
        operator.raw_operator = original


def apply_function(scope, operator, container):
    """Converts a FunctionTransformer also of the functions of NumPy that are there. skl2onnx knows none."""
    _, constant = writers(scope, container)
    kind = TensorProto.DOUBLE if isinstance(operator.inputs[0].type, DoubleTensorType) else TensorProto.FLOAT
    cells = concatenate_variables(scope, operator.inputs, container)
    for name, *others in FUNCTIONS[operator.raw_operator.func]:
        given, cells = [cells, *(constant(value, kind) for value in others)], scope.get_unique_variable_name(name)
        container.add_node(name, given, cells, name=scope.get_unique_operator_name(FUNCTION), op_version=13)
    output = [operator.outputs[0].full_name]
    container.add_node("Identity", [cells], output, name=scope.get_unique_operator_name("Identity"), op_version=16)


FUNCTION_SHAPE = get_shape_calculator("SklearnFunctionTransformer")
# What the names of their nodes begin with
FUNCTION = "Function"
# The operators for a function of NumPy or SciPy, each with what it gets besides the numbers
FUNCTIONS = {
    None: [],
    np.abs: [("Abs",)],
    np.exp: [("Exp",)],
    np.exp2: [("Mul", np.log(2)), ("Exp",)],
    np.expm1: [("Exp",), ("Sub", 1.0)],
    np.log: [("Log",)],
    np.log10: [("Log",), ("Div", np.log(10))],
    np.log1p: [("Add", 1.0), ("Log",)],
    np.log2: [("Log",), ("Div", np.log(2))],
    np.sqrt: [("Sqrt",)],
    np.square: [("Pow", 2.0)],
    special.exp10: [("Mul", np.log(10)), ("Exp",)],
    special.exp2: [("Mul", np.log(2)), ("Exp",)],
    special.expit: [("Sigmoid",)],
    special.expm1: [("Exp",), ("Sub", 1.0)],
    special.log1p: [("Add", 1.0), ("Log",)],
}


def interpolate(cells, points, values, add, constant):
    """Adds what numpy.interp() does with doubles of [rows, 1], and returns the name of the result."""

    def doubles(value):
        return constant(value, TensorProto.DOUBLE)

    points, values = np.asarray(points, np.float64), np.asarray(values, np.float64)
    cells = add("Min", [add("Max", [cells, doubles(points[0])], 13), doubles(points[-1])], 13)
    is_behind = add("GreaterOrEqual", [cells, doubles([points[1:-1]])], 16)
    place = add("ReduceSum", [add("Cast", [is_behind], 13, to=TensorProto.INT64), constant([1])], 13, keepdims=1)
    slopes = np.diff(values) / np.diff(points)
    start, value, slope = (add("Gather", [doubles(each), place], 13) for each in (points[:-1], values[:-1], slopes))
    return add("Add", [add("Mul", [add("Sub", [cells, start], 14), slope], 14), value], 14)


def calibrate_steps(scope, container, model, scores, at, *_types):
    """Converts the isotonic regression of a class. Between two scores of the training, skl2onnx takes the nearest one's value."""
    add, constant = writers(scope, container)
    steps = model.calibrators[at]
    kind = TensorProto.DOUBLE if _types[0] == np.float64 else TensorProto.FLOAT
    cells = add("Reshape", [add("Cast", [scores], 13, to=TensorProto.DOUBLE), constant([-1, 1])], 14)
    return add("Cast", [interpolate(cells, steps.X_thresholds_, steps.y_thresholds_, add, constant)], 13, to=kind)


def classify(scope, operator, container):
    """Converts linear classifiers. Of a LinearDiscriminantAnalysis of two classes, skl2onnx doubles the decision values."""
    model = operator.raw_operator
    if isinstance(model, LinearDiscriminantAnalysis) and len(model.classes_) == 2:
        operator.raw_operator = copy(model)
        operator.raw_operator.coef_, operator.raw_operator.intercept_ = model.coef_ / 2, model.intercept_ / 2
    try:
        return LINEAR(scope, operator, container)
    finally:
        operator.raw_operator = model


LINEAR = get_converter("SklearnLinearClassifier")


def add_tree(nodes, is_classifier, tree, *others, **named):
    """Adds the nodes of a tree with the way of gaps, which skl2onnx leaves out. A step before the tree may make some, as a logarithm does."""
    ADD_TREE(nodes, is_classifier, tree, *others, **named)
    nodes["nodes_missing_value_tracks_true"][-tree.node_count :] = [int(way) for way in tree.missing_go_to_left]


ADD_TREE = decision_tree.add_tree_to_attribute_pairs


def split_at(threshold, *others):
    """Returns the threshold of a split of floats. One that parts gaps from all numbers is infinite, and skl2onnx would never end."""
    return threshold if np.isinf(threshold) else SPLIT_AT(threshold, *others)


SPLIT_AT = tree_ensemble.sklearn_threshold


def find_neighbours(converter):
    """Converts neighbours by the squares of their distances. The root of a large square is that of its neighbours, too."""

    def convert(scope, operator, container):
        model = operator.raw_operator
        if model.effective_metric_ == "euclidean" and model.weights in ("uniform", None):
            operator.raw_operator = copy(model)
            operator.raw_operator.effective_metric_ = "sqeuclidean"
        try:
            return converter(scope, operator, container)
        finally:
            operator.raw_operator = model

    return convert


NEIGHBOURS = {name: get_converter(name) for name in ("SklearnKNeighborsClassifier", "SklearnKNeighborsRegressor")}


def boost_booleans(scope, operator, container):
    """Converts an AdaBoostClassifier also of Booleans. skl2onnx takes them for texts."""
    model = operator.raw_operator
    if model.classes_.dtype.kind == "b":
        operator.raw_operator = copy(model)
        operator.raw_operator.classes_ = model.classes_.astype(int)
    try:
        return ADA(scope, operator, container)
    finally:
        operator.raw_operator = model


ADA = get_converter("SklearnAdaBoostClassifier")


def boost_numbers(scope, operator, container):
    """Converts a HistGradientBoostingRegressor. With the losses poisson and gamma, skl2onnx answers with the logarithm."""
    if not isinstance(operator.raw_operator._loss.link, LogLink):
        return HIST(scope, operator, container)
    add, _ = writers(scope, container)
    logarithm, output = SimpleNamespace(full_name=scope.get_unique_variable_name("logarithm")), operator.outputs[0]
    given = {name: getattr(operator, name) for name in ("raw_operator", "inputs", "input_full_names")}
    HIST(scope, SimpleNamespace(outputs=[logarithm], **given), container)
    kind = TensorProto.DOUBLE if isinstance(output.type, DoubleTensorType) else TensorProto.FLOAT
    number = add("Exp", [add("Cast", [logarithm.full_name], 13, to=kind)], 13)
    container.add_node("Identity", [number], [output.full_name], name=scope.get_unique_operator_name("Identity"), op_version=16)


HIST = get_converter("SklearnHistGradientBoostingRegressor")
