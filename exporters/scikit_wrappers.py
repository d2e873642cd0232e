"""Models of scikit-learn around another one: searches, frozen models and selections of columns answer as it does, thresholds
name another class, and transformed targets are turned back.
"""

import numpy as np
from onnx import TensorProto
from onnx.helper import make_node
from onnx.numpy_helper import from_array
from sklearn.compose import TransformedTargetRegressor
from sklearn.feature_selection import RFE
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)

from program import OTHERWISE, fail
from scikit_converters import FUNCTION, FUNCTIONS, interpolate
from scikit_steps import FrozenEstimator

# A score that is less below its threshold reaches it. Floats of a forest's shares are next to them, on either side.
TIE_MAX = 1e-6
# The inverse of these is a multiplication and an addition.
SCALERS = (MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler)


def without_search(step):
    """Returns the step inside of searches and frozen models. It only transforms."""
    if isinstance(step, Pipeline):
        return Pipeline([(name, without_search(each)) for name, each in step.steps])
    if hasattr(step, "best_estimator_"):
        return without_search(step.best_estimator_)
    return without_search(step.estimator) if isinstance(step, FrozenEstimator) else step


def unwrap(model):
    """Returns the model inside of others, which may be the last step of a pipeline, and those others, the innermost first."""
    if hasattr(model, "best_estimator_"):
        return unwrap(model.best_estimator_)
    if isinstance(model, Pipeline):
        *steps, (name, last) = model.steps
        inner, wrappers = unwrap(last)
        return Pipeline([*((each, without_search(step)) for each, step in steps), (name, inner)]), wrappers
    if isinstance(model, FrozenEstimator):
        return unwrap(model.estimator)
    if isinstance(model, RFE):
        return unwrap(Pipeline([("columns", model), ("model", model.estimator_)]))
    if isinstance(model, TransformedTargetRegressor):
        inner, wrappers = unwrap(model.regressor_)
    elif isinstance(model, (FixedThresholdClassifier, TunedThresholdClassifierCV)):
        inner, wrappers = unwrap(getattr(model, "estimator_", model.estimator))
    else:
        return model, []
    return inner, [*wrappers, model]


def thresholds_of(model):
    """Returns the least scores of the classes, in their order, by which a classifier of this threshold names one of two."""
    if model._get_response_method() == "decision_function" or not hasattr(model, "predict_proba"):
        fail(
            f"expected a threshold of probabilities; that of {type(model).__name__} is one of decision values. "
            f'Train it again with response_method="predict_proba". {OTHERWISE}'
        )
    if isinstance(model, TunedThresholdClassifierCV):
        threshold, positive = model.best_threshold_, model._curve_scorer._get_pos_label()
    else:
        threshold, positive = model.threshold, model.pos_label
    least = 0.5 if threshold == "auto" else float(threshold)
    least -= min(TIE_MAX, abs(least) / 1000, abs(1 - least) / 1000)
    is_first = positive is not None and model.classes_[0] == positive
    return [least, 1 - least] if is_first else [1 - least, least]


def turn_back(network, transformer):
    """Appends the inverse of the transformer of a target to the network of a regressor."""
    output = network.graph.output[0]
    before, add, constant = append_to(network.graph, output)
    wide = add("Cast", [before], 13, to=TensorProto.DOUBLE)
    turned = inverse(transformer, wide, add, constant)
    network.graph.node.append(make_node("Identity", [turned], [output.name]))
    output.type.tensor_type.elem_type = TensorProto.DOUBLE


def refuse_outside(network, refuses_gaps, refuses_infinities):
    """Makes the scores of a row NaN if the original refuses what a function makes of it. A request with it is refused then."""
    kinds = [kind for kind, is_refused in (("IsNaN", refuses_gaps), ("IsInf", refuses_infinities)) if is_refused]
    graph = network.graph
    functions = {node.output[0]: node for node in graph.node if node.name.startswith(FUNCTION)}
    inner = {name for node in functions.values() for name in node.input}
    ends = [name for name in functions if name not in inner]
    output = next(each for each in graph.output if each.type.tensor_type.elem_type in (TensorProto.FLOAT, TensorProto.DOUBLE))
    if not ends or not kinds:
        return
    before, add, constant = append_to(graph, output)
    faults = []
    for end in ends:
        start = end
        while start in functions:
            start = functions[start].input[0]
        is_number = add("Not", [add("IsNaN", [start], 13)], 1)
        for kind in kinds:
            lost = add("Cast", [add("And", [is_number, add(kind, [end], 13)], 7)], 13, to=TensorProto.FLOAT)
            faults.append(add("ReduceSum", [lost, constant([1])], 13, keepdims=int(len(output.type.tensor_type.shape.dim) > 1)))
    is_wrong = add("Cast", [add("Max", faults, 13)], 13, to=TensorProto.BOOL)
    nothing = add("Cast", [constant(np.nan, TensorProto.DOUBLE)], 13, to=output.type.tensor_type.elem_type)
    graph.node.append(make_node("Where", [is_wrong, nothing, before], [output.name]))


def append_to(graph, output):
    """Returns a new name of what an output was, and functions that add a node and a constant to a graph. Each returns a name."""
    name, before = output.name, f"{output.name} before {len(graph.node)}"
    for node in graph.node:
        node.input[:] = [before if each == name else each for each in node.input]
        node.output[:] = [before if each == name else each for each in node.output]

    def add(kind, inputs, _version, **attributes):
        result = f"{name} {len(graph.node)}"
        graph.node.append(make_node(kind, inputs, [result], **attributes))
        return result

    def constant(value, kind=TensorProto.INT64):
        result = f"{name} constant {len(graph.initializer)}"
        numbers = np.asarray(value, np.float64 if kind == TensorProto.DOUBLE else np.int64)
        graph.initializer.append(from_array(numbers, result))
        return result

    return before, add, constant


def inverse(transformer, cells, add, constant):
    """Adds what `inverse_transform` does with doubles of [rows, targets], and returns the name of the result."""

    def doubles(value):
        return constant(value, TensorProto.DOUBLE)

    def by_column(change):
        columns = [add("Gather", [cells, constant([at])], 13, axis=1) for at in range(transformer.n_features_in_)]
        return add("Concat", [change(at, column) for at, column in enumerate(columns)], 13, axis=1)

    if isinstance(transformer, Pipeline):
        for _, step in reversed(transformer.steps):
            cells = inverse(step, cells, add, constant)
        return cells
    if transformer in (None, "passthrough"):
        return cells
    if isinstance(transformer, FunctionTransformer):
        function = transformer.inverse_func
        if function not in FUNCTIONS or transformer.inv_kw_args:
            refuse(f"the inverse function {getattr(function, '__name__', function)}")
        for kind, *others in FUNCTIONS[function]:
            cells = add(kind, [cells, *map(doubles, others)], 13)
        return cells
    if isinstance(transformer, SCALERS):
        zero, one = (transformer.inverse_transform(np.full((1, transformer.n_features_in_), value)) for value in (0.0, 1.0))
        return add("Add", [add("Mul", [cells, doubles(one - zero)], 14), doubles(zero)], 14)
    if isinstance(transformer, PowerTransformer):
        if transformer.standardize:
            cells = inverse(transformer._scaler, cells, add, constant)
        is_signed = transformer.method == "yeo-johnson"
        return by_column(lambda at, column: without_power(transformer.lambdas_[at], column, is_signed, add, doubles))
    if isinstance(transformer, QuantileTransformer) and transformer.output_distribution == "uniform":
        points = transformer.references_
        return by_column(lambda at, column: interpolate(column, points, transformer.quantiles_[:, at], add, constant))
    refuse(transformer)


def without_power(power, cells, is_signed, add, doubles):
    """Adds the inverse of a Yeo-Johnson transformation, or of a Box-Cox one, which knows no sign."""

    def grown(cells, power):
        if abs(power) < np.spacing(1.0):
            return add("Exp", [cells], 13)
        base = add("Add", [add("Mul", [cells, doubles(power)], 14), doubles(1.0)], 14)
        return add("Pow", [base, doubles(1 / power)], 15)

    above = grown(cells, power)
    if not is_signed:
        return above
    below = grown(add("Neg", [cells], 13), 2 - power)
    is_below = add("Less", [cells, doubles(0.0)], 13)
    return add("Where", [is_below, add("Sub", [doubles(1.0), below], 14), add("Sub", [above, doubles(1.0)], 14)], 16)


def refuse(what):
    known = ", ".join(sorted({function.__name__ for function in FUNCTIONS if function}))
    fail(
        f"expected a TransformedTargetRegressor whose inverse is a function of NumPy or SciPy ({known}) or that of a scaler, of a "
        f"PowerTransformer or of a QuantileTransformer to uniform numbers; got {what}. {OTHERWISE}"
    )
