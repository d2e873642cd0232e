"""Exports a fitted pipeline, classifier or regressor of scikit-learn, XGBoost or LightGBM from a pickle or a skops file to ONNX.

    python exporters/from_scikit_learn.py PIPELINE.joblib MODEL.onnx

Reading a pickle runs the code in it, so export only files whose origin you trust. A pickle fits the version of
scikit-learn that wrote it.

A pipeline that begins with a text vectorizer takes texts. One that begins with a ColumnTransformer has an input for each
column. Any other model takes one matrix of numbers.
"""

import re
import sys
import warnings
from zipfile import is_zipfile

import joblib
import numpy as np
import pandas as pd
import sklearn
from onnx import AttributeProto, TensorProto
from onnx.helper import make_attribute, make_node
from onnx.numpy_helper import from_array
from scipy.sparse import issparse
from skl2onnx import to_onnx
from skl2onnx.sklapi import CastTransformer
from sklearn.base import BaseEstimator, is_classifier, is_outlier_detector, is_regressor
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import VotingClassifier, VotingRegressor
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.feature_selection import RFE, SelectorMixin
from sklearn.impute import KNNImputer
from sklearn.linear_model import RidgeClassifier, RidgeClassifierCV
from sklearn.neighbors import RadiusNeighborsClassifier, RadiusNeighborsRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, KBinsDiscretizer, OneHotEncoder
from sklearn.svm import SVC, LinearSVC, NuSVC

from categories import GAP
from comparison import ROUNDING, compare, difference, rows_of
from onnx_file import infer, run, save
from program import OTHERWISE, fail, note, parse_arguments, reason, run_exporter
from scikit_boosters import SPARSE, package_of, refuse_booster, replace_boosters
from scikit_categories import split_categories
from scikit_converters import Selection, is_gap, replace_converters
from scikit_inputs import Table, Texts, describe_inputs
from scikit_rows import SIZES, finds_neighbours, trees_of, with_outliers, without_signs, without_zeros
from scikit_steps import FrozenEstimator, first_step, fitted_in, is_clusterer, steps_of
from scikit_texts import SPACES, vectorizer_options
from scikit_wrappers import refuse_outside, thresholds_of, turn_back, unwrap
from value_names import name_values

# A network that differs by less is taken, and no other way is tried.
CLOSE = 1e-5
# An example for the manifest is one of so many rows.
EXAMPLES = 50
# A larger share of labels that differ is more than that of ties.
TIES_MAX = 0.02
# Answers that are a larger multiple of the median are odd ones.
USUAL_MAX = 1000
# Scores of a network are off by a few units in the last place of a float, and probabilities may be off by so much for it.
FLOAT_ERRORS, STEP_MAX = 4, 1e-3
# Where functions have no number, and where they are infinite
OUTSIDE = [(-1e3,), (0.0, -1.0, 1e4)]
# What a label loses around it when it is read from a line
BLANKS = "".join(space for space in SPACES if space not in "\x1c\x1d\x1e\x1f\x85")
# A label of a classifier of several has this score at least.
THRESHOLD = 0.5
OPSET = {"": 18, "ai.onnx.ml": 3}


def main():
    arguments = parse_arguments(__doc__)
    # The sample has some on purpose.
    warnings.filterwarnings("ignore", "Found unknown categories")
    warnings.filterwarnings("ignore", "X does not have valid feature names")
    warnings.filterwarnings("ignore", category=RuntimeWarning)  # of numbers that a function does not take
    original = load(arguments.file)
    whole, wrappers = unwrap(original)
    model = split_categories(whole)
    prepare(model)
    inputs = describe_inputs(model)
    rows, expected = answer_samples(whole, inputs)
    if isinstance(expected, list):
        fail(f"expected a classifier of one answer; {type(model).__name__} has {len(expected)} at once. Train one for each. {OTHERWISE}")
    if is_classifier(model) and not hasattr(model, "predict_proba"):
        refuse_other_scores(model, rows, expected)
    if gives_sparse_rows(model, rows):
        SPARSE.update(id(step) for step in fitted_in(model.steps[-1][1]) if package_of(step) == "xgboost")
    network = convert(model, inputs, rows, expected)
    if isinstance(inputs, Table):
        inputs.finish(network)
    if any(isinstance(step, FunctionTransformer) for step in steps_of(model)):
        refuse_outside(network, *(any(refuses(model, inputs, rows, number) for number in numbers) for numbers in OUTSIDE))
    found = floats(run(network, inputs.feeds(rows)))
    compare(found, expected, f"{len(rows)} sample rows", hint=lambda: inputs.hint(rows, found, expected))
    if wrappers:
        model = original
        turn_targets_back(model, wrappers, inputs, network, rows)
    manifest = describe(model, inputs, network, rows, wrappers)
    save(network, arguments.onnx, labels=getattr(model, "classes_", None), manifest=manifest)


def load(file):
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("error", InconsistentVersionWarning)
            model = read(file)
    except InconsistentVersionWarning as warning:
        fail(
            f"expected a pickle of scikit-learn {sklearn.__version__}; {file} was written by "
            f"{warning.original_sklearn_version}. Export it with the Python of its training: --python PATH"
        )
    except ModuleNotFoundError as error:
        if error.name == "catboost":
            refuse_catboost(file)
        fail(
            f"expected a pickle that needs no package but scikit-learn, XGBoost and LightGBM; {file} needs {error.name}. "
            f"Export it with the Python of its training: --python PATH. {OTHERWISE}"
        )
    except Exception as error:  # a pickle can raise anything
        fail(f"expected a pickle of a scikit-learn model; {file} cannot be read: {reason(error)}")
    if any("older version of XGBoost" in str(each.message) for each in warned):
        fail(
            f"expected a pickle of XGBoost {sys.modules['xgboost'].__version__}; {file} was written by an older one. "
            "Export it with the Python of its training: --python PATH"
        )
    if any(type(step).__module__.startswith("catboost.") for step in steps_of(model)):
        refuse_catboost(file)
    if not isinstance(model, BaseEstimator) or not hasattr(model, "predict"):
        what = f"{type(model).__module__}.{type(model).__name__}"
        fail(
            f"expected a pickle of a scikit-learn model with predict(); {file} has {what}. Save the model alone, or one "
            f"pipeline of all its steps. {OTHERWISE}"
        )
    return model


def read(file):
    if not is_zipfile(file):
        return joblib.load(file)
    from skops import io

    # Whoever exports a file trusts it, as with a pickle.
    return io.load(file, trusted=io.get_untrusted_types(file=file))


def refuse_catboost(file):
    fail(
        f"expected a pickle of scikit-learn, XGBoost or LightGBM; {file} has a model of CatBoost. Of CatBoost, add the file of "
        f'model.save_model("model.cbm"), and train it without steps before it. {OTHERWISE}'
    )


def prepare(model):
    """Makes of a model what skl2onnx can convert, or refuses it."""
    for step in fitted_in(model):
        if isinstance(classes := vars(step).get("classes_"), np.ndarray) and classes.dtype.kind == "u":
            step.classes_ = classes.astype(np.int64)  # skl2onnx takes others for texts
        for each in getattr(step, "calibrated_classifiers_", []):
            if isinstance(each.estimator, FrozenEstimator):
                each.estimator = each.estimator.estimator
    for step in steps_of(model):
        if isinstance(step, Pipeline):
            step.steps = [(name, Selection(each) if isinstance(each, RFE) else each) for name, each in step.steps]
            step.steps = [each for each in step.steps if each[1] not in (None, "passthrough")] or step.steps
        if isinstance(step, (SVC, NuSVC)):
            step.decision_function_shape = "ovr"  # scores of classes; "ovo" gives those of pairs, of another number
        if isinstance(step, KBinsDiscretizer) and step.encode == "onehot":
            step.encode = "onehot-dense"  # the same numbers, and skl2onnx has no sparse ones
        if isinstance(step, OneHotEncoder) and step.handle_unknown in ("infrequent_if_exist", "warn"):
            step.handle_unknown = "ignore"  # the same without a group of rare ones, which is refused below
    refuse_hashes(model)
    refuse_searches(model)
    refuse_native_categories(model)
    refuse_inner_targets(model)
    refuse_rare_categories(model)
    refuse_weights(model)
    refuse_indicators(model)
    refuse_one_class(model)
    refuse_steep_steps(model)
    for step in fitted_in(model):
        if isinstance(step, (VotingClassifier, VotingRegressor)) and step.weights is not None:
            step.weights = np.array(step.weights)  # skl2onnx takes no list
        if package_of(step) and hasattr(step, "n_features_in_"):
            refuse_booster(step, model)


def refuse_hashes(model):
    """The hashes of words are no operator of ONNX."""
    if any(isinstance(step, HashingVectorizer) for step in steps_of(model)):
        fail(f"expected a TfidfVectorizer or CountVectorizer for texts; got a HashingVectorizer, which ONNX does not have. {OTHERWISE}")


def refuse_searches(model):
    """The networks of these end at a division by 0 in ONNX Runtime, and at a row without a neighbour."""
    for step in fitted_in(model):
        if isinstance(step, KNNImputer):
            fail(f"expected gaps that a SimpleImputer fills; got a KNNImputer, whose network ends ONNX Runtime. Train it with another imputer. {OTHERWISE}")
        if isinstance(step, (RadiusNeighborsClassifier, RadiusNeighborsRegressor)):
            counted = type(step).__name__.replace("Radius", "K")
            fail(f"expected as many neighbours of each row; got a {type(step).__name__}, which takes those within a radius. Train a {counted}. {OTHERWISE}")


def refuse_native_categories(model):
    """skl2onnx takes the numbers of categories for sizes. Those of the last step have become columns before."""
    for step in fitted_in(model):
        if np.any(getattr(step, "is_categorical_", None)):
            fail(
                f"expected columns of numbers; {type(step).__name__} inside of another model was trained with categorical_features. Train it alone or "
                f"as the last step of a pipeline, or encode them by a OneHotEncoder in a ColumnTransformer. {OTHERWISE}"
            )


def refuse_rare_categories(model):
    """skl2onnx knows no group of rare categories."""
    for step in fitted_in(model):
        if any(rare is not None for rare in getattr(step, "infrequent_categories_", ())):
            fail(
                f"expected an encoder with a place for each category; {type(step).__name__} has one for all that are rare, which skl2onnx does not "
                f"export. Put the rare ones together before the training, or train without min_frequency and max_categories. {OTHERWISE}"
            )


def refuse_inner_targets(model):
    """A target is turned back behind the whole network."""
    for step in fitted_in(model):
        if isinstance(step, TransformedTargetRegressor):
            fail(
                f"expected a TransformedTargetRegressor around the whole model; got one in a {type(model).__name__}. "
                f"Put it around that, and train again. {OTHERWISE}"
            )


def refuse_weights(model):
    """skl2onnx answers with other weights than scikit-learn."""
    for step in fitted_in(model):
        if hasattr(step, "_fit_X") and is_supervised(step) and getattr(step, "weights", None) not in ("uniform", None):
            fail(f"expected neighbours of equal weights; got {type(step).__name__}(weights={step.weights!r}). {OTHERWISE}")


def refuse_indicators(model):
    """skl2onnx leaves out the columns that say what is missing."""
    for step in fitted_in(model):
        if getattr(step, "add_indicator", False) and len(step.indicator_.features_):
            fail(
                f"expected an imputer that only fills gaps; got {type(step).__name__}(add_indicator=True), which adds columns. "
                f"Leave add_indicator out, and train again. {OTHERWISE}"
            )


def refuse_steep_steps(model):
    """An isotonic calibration can go from one probability to another between scores that floats do not tell apart."""
    calibrators = [each for step in fitted_in(model) for one in getattr(step, "calibrated_classifiers_", []) for each in one.calibrators]
    for step in calibrators:
        scores = getattr(step, "X_thresholds_", np.zeros(1))
        if len(scores) > 1:
            error = FLOAT_ERRORS * np.finfo(np.float32).eps * np.maximum(abs(scores[:-1]), abs(scores[1:]))
            if (np.diff(step.y_thresholds_) * np.minimum(error / np.diff(scores), 1)).max() > STEP_MAX:
                fail(
                    "expected a calibration of scores that floats tell apart; that of a CalibratedClassifierCV(method='isotonic') goes from "
                    f"one probability to another between two that are all but the same. Train it again with method='sigmoid'. {OTHERWISE}"
                )


def refuse_one_class(model):
    """A network of a classifier has two scores at least."""
    classes = getattr(model, "classes_", None)
    if is_classifier(model) and isinstance(classes, np.ndarray) and len(classes) < 2:
        fail(f"expected a classifier of two classes or more; {type(model).__name__} was trained with {classes.tolist()} alone")


def refuse_inner_columns(model):
    """Fails if a ColumnTransformer is where the inputs are no columns any more."""
    first = first_step(model)
    for step in fitted_in(model):
        if isinstance(step, ColumnTransformer) and step is not first:
            where = "another ColumnTransformer" if isinstance(first, ColumnTransformer) else f"a {type(first).__name__}"
            fail(
                f"expected a ColumnTransformer only at the beginning of a pipeline; got one in or behind {where}. "
                f"Put one there that does the work of all, and train again. {OTHERWISE}"
            )


def is_supervised(step):
    return is_classifier(step) or is_regressor(step)


def answer_samples(model, inputs):
    """Returns sample rows with the answers of the model."""
    rows = inputs.sample()
    if finds_neighbours(model):
        rows = with_outliers(rows, model)
    for change in (lambda rows: rows, without_signs, without_zeros):  # some models take none of them
        try:
            changed = change(rows)
            return changed, answer(model, changed)
        except Exception as error:  # models raise what their code raises
            reason = " ".join(str(error).split())[:200]
    note(f"only one plain row is compared, since {type(model).__name__} refuses the sample: {reason}")
    rows = inputs.plain_sample()
    try:
        return rows, answer(model, rows)
    except Exception as error:
        refuse_inner_columns(model)
        reason = " ".join(str(error).split())[:200]
        plain = " ".join(str(rows).split())
        fail(f"expected a model that answers to {plain}; {type(model).__name__} raised {type(error).__name__}: {reason}. {OTHERWISE}")


def gives_sparse_rows(model, rows):
    """Whether the last step of a pipeline gets sparse rows."""
    return isinstance(model, Pipeline) and len(model.steps) > 1 and issparse(model[:-1].transform(rows))


def convert(model, inputs, rows, expected):
    """Returns the network that comes closest to the model on the rows.

    scikit-learn scales in doubles, and its trees compare floats. So do the networks that are tried first. Where a
    converter or the runtime has no doubles, it is floats throughout.
    """
    replace_converters()
    replace_boosters()
    best, least, reason = None, np.inf, None
    for is_wide, original in ways(model, inputs):
        inputs.is_wide = is_wide
        options = {id(step): settings for step in steps_of(original) if (settings := options_of(step))}
        try:
            network = to_onnx(original, initial_types=getattr(inputs, "all_types", inputs.types), options=options, target_opset=OPSET)
            drop_unused(network, inputs)
            name_values(network, [name for name, _ in inputs.types], [None] * len(network.graph.output))
            name_gaps(network, original)
            if is_wide:
                keep_doubles(network, original)
            outputs = infer(network, inputs.feeds(rows))
            list_labels(network, outputs, len(rows))
            declare_outputs(network, outputs, len(rows))
            apart = difference(floats(outputs), expected)
        except Exception as error:  # skl2onnx and ONNX Runtime have several classes of errors, and texts of several paragraphs
            reason = reason_of(error)
            continue
        if best is None or apart < least:
            best, least = (network, is_wide), apart
        if least < CLOSE:
            break
    if best is None:
        refuse_inner_columns(model)
        fail(f"expected a model that skl2onnx can export; {reason}. {OTHERWISE}")
    network, inputs.is_wide = best
    return network


def reason_of(error):
    """Returns what skl2onnx or ONNX Runtime says, in a line. Of a class that it does not know, skl2onnx says little, or what it wants done."""
    text = " ".join(str(error).split())
    unknown = re.search(r"^(?:Unable to find a \w+ calculator for type '?)?<class '[\w.]*?(\w+)'>", text)
    return f"it has no converter for {unknown[1]}" if unknown else text[:400].rstrip(".")


def name_gaps(network, model):
    """Names the missing texts that encoders were trained with."""
    lists = [list(values) for step in steps_of(model) for values in getattr(step, "categories_", []) if any(map(is_gap, values))]
    for node in network.graph.node:
        for attribute in node.attribute:
            texts = [text.decode() for text in attribute.strings]
            for values in lists:
                if texts == [str(value) for value in values]:
                    attribute.strings[:] = [(GAP if is_gap(value) else value).encode() for value in values]


def drop_unused(network, inputs):
    """Drops the inputs of columns that are not used. A ColumnTransformer by places counts them."""
    for value, column in zip(list(network.graph.input), getattr(inputs, "columns", [])):
        if column is None:
            network.graph.input.remove(value)


def list_labels(network, outputs, count):
    """Makes a list of labels that are one row, as skl2onnx writes those of a QuadraticDiscriminantAnalysis."""
    for output in network.graph.output:
        if np.shape(outputs[output.name]) != (1, count) or outputs[output.name].dtype.kind == "f":
            continue
        outputs[output.name] = outputs[output.name].reshape(-1)
        row = f"{output.name}_row"
        for node in network.graph.node:
            node.output[:] = [row if name == output.name else name for name in node.output]
            node.input[:] = [row if name == output.name else name for name in node.input]
        network.graph.initializer.append(from_array(np.array([-1]), f"{row}_shape"))
        network.graph.node.append(make_node("Reshape", [row, f"{row}_shape"], [output.name]))


def declare_outputs(network, outputs, count):
    """Declares the sizes that came out for so many rows. skl2onnx declares one number for several, and at times one row."""
    for output in network.graph.output:
        rows, *sizes = np.shape(outputs[output.name]) or [None]
        if rows != count or not output.type.HasField("tensor_type"):
            continue
        shape = output.type.tensor_type.shape
        shape.Clear()
        shape.dim.add()
        for size in sizes:
            shape.dim.add(dim_value=size)


def keep_doubles(network, model):
    """Mends trees of doubles as skl2onnx writes them.

    It declares their outputs as doubles, and they are floats. Of a HistGradientBoosting model, whose trees compare doubles,
    it rounds the thresholds to floats.
    """
    trees = [node for node in network.graph.node if node.op_type.startswith("TreeEnsemble")]
    names = {name for node in trees for name in node.output}
    for output in network.graph.output:
        if output.name in names and output.type.tensor_type.elem_type == TensorProto.DOUBLE:
            output.type.tensor_type.elem_type = TensorProto.FLOAT
    boosters = [step for step in steps_of(model) if hasattr(step, "_predictors")]
    if len(boosters) == 1 and len(trees) == 1:
        predictors = [tree.nodes for round in boosters[0]._predictors for tree in round]
        next(opset for opset in network.opset_import if opset.domain == "ai.onnx.ml").version = OPSET["ai.onnx.ml"]
        widen(trees[0], [[float(node["num_threshold"]) for node in nodes] for nodes in predictors])


def widen(node, thresholds):
    """Gives a node of trees its thresholds as doubles, and so all of its numbers. `thresholds` are those of each tree."""
    given = {attribute.name: attribute for attribute in node.attribute}
    values = np.array(given["nodes_values"].floats, np.float64)
    places = zip(given["nodes_treeids"].ints, given["nodes_nodeids"].ints, given["nodes_modes"].strings)
    for at, (tree, place, mode) in enumerate(places):
        if mode != b"LEAF":
            if np.float32(thresholds[tree][place]) != np.float32(values[at]):
                raise NotImplementedError("The trees are numbered in another way.")
            values[at] = thresholds[tree][place]
    for name, attribute in given.items():
        if attribute.type == AttributeProto.FLOATS:
            numbers = values if name == "nodes_values" else np.array(attribute.floats, np.float64)
            node.attribute.remove(attribute)
            if len(numbers):
                node.attribute.append(make_attribute(f"{name}_as_tensor", from_array(numbers, name)))


def ways(model, inputs):
    """Yields ways to convert a model: whether numbers go in as doubles, and the model."""
    if isinstance(inputs, Texts):
        yield False, model
        return
    # Trees that compare doubles: only those of one model get doubles as thresholds. Others have to get floats, too.
    boosters = [step for step in fitted_in(model) if hasattr(step, "_predictors")]
    if len(boosters) == 1 and boosters[0] in steps_of(model):
        yield True, model
        yield False, model
    elif isinstance(model, Pipeline) and len(model.steps) > 1 and isinstance(model.steps[-1][1], BaseEstimator):
        cast = CastTransformer(dtype=np.float32).fit(np.zeros((1, 1)))
        cast_last = Pipeline([*model.steps[:-1], ("cast", cast), model.steps[-1]])
        # Other models than trees calculate with the doubles, and large terms may cancel each other.
        has_trees = next(trees_of(model.steps[-1][1]), None) is not None
        for way in (cast_last,) if boosters else (cast_last, model) if has_trees else (model, cast_last):
            yield True, way
        yield False, model
    else:
        # Floats take some neighbours to be as far as others.
        is_wide = any(hasattr(step, "_fit_X") for step in fitted_in(model))
        yield is_wide and not boosters, model
        if not boosters:
            yield not is_wide, model


def options_of(step):
    if isinstance(step, CountVectorizer):
        return vectorizer_options(step)
    if isinstance(step, (LinearSVC, RidgeClassifier, RidgeClassifierCV)):
        return {"raw_scores": True}
    if isinstance(step, (SVC, NuSVC)) and len(step.classes_) == 2 and not hasattr(step, "predict_proba"):
        # Otherwise, skl2onnx writes decision values of the other sign.
        return {"raw_scores": True, "zipmap": False}
    if isinstance(step, VotingClassifier):
        step.flatten_transform = False  # It matters to transform() alone, and skl2onnx takes no other.
    # Otherwise, classifiers answer with maps instead of arrays.
    return {"zipmap": False} if is_classifier(step) and not isinstance(step, (Pipeline, SelectorMixin)) else {}


def answer(model, rows):
    if hasattr(model, "predict_proba"):
        return model.predict_proba(rows)
    if is_outlier_detector(model):
        return model.decision_function(rows)
    if is_clusterer(model):
        if not hasattr(model, "transform"):
            fail(f"expected a clusterer with distances: with transform(); got {type(model).__name__}, which only names a cluster. {OTHERWISE}")
        return model.transform(rows)
    if not is_classifier(model):
        return model.predict(rows)
    if not hasattr(model, "decision_function"):
        hint = " Train it again with voting='soft'." if isinstance(model, VotingClassifier) else ""
        fail(
            "expected a classifier with scores: with predict_proba() or decision_function(); "
            f"got {type(model).__name__}, which only names a class.{hint} {OTHERWISE}"
        )
    values = model.decision_function(rows)
    return np.column_stack([-values, values]) if values.ndim == 1 else values


def refuse_other_scores(model, rows, values):
    """Nothing else says that decision values are those of the classes, in their order."""
    predicted = np.asarray(model.predict(rows))
    if predicted.ndim > 1:
        what = "which can name several classes of a row"
    elif values.shape[1] == len(model.classes_):
        others = np.mean(model.classes_[values.argmax(axis=1)] != predicted)
        if others < TIES_MAX:
            return
        what = f"of which the largest is another class than that of predict() for {others:.0%} of the sample"
    else:
        what = f"{values.shape[1]} for {len(model.classes_)} classes"
    fail(f"expected a decision value for each class; got those of {type(model).__name__}, {what}. {OTHERWISE}")


def floats(outputs):
    return next(value for value in outputs.values() if np.asarray(value).dtype.kind == "f")


def turn_targets_back(model, wrappers, inputs, network, rows):
    """Lets the network of a regressor inside of a TransformedTargetRegressor answer as that does."""
    targets = [wrapper.transformer_ for wrapper in wrappers if isinstance(wrapper, TransformedTargetRegressor)]
    for transformer in targets:
        turn_back(network, transformer)
    if targets:
        found, expected = floats(run(network, inputs.feeds(rows))), answer(model, rows)
        # One exponential can be so large that all others are as nothing.
        sizes = np.abs(rows_of(expected)).max(axis=1)
        usual = ~(sizes > USUAL_MAX * np.nanmedian(sizes))
        compare(found[usual], expected[usual], f"{usual.sum()} of them, turned back", hint=lambda: inputs.hint(rows, found, expected))


def describe(model, inputs, network, rows, wrappers):
    """Returns the sections of the manifest that the file does not tell."""
    for at in gaps_taken(model, inputs, network, rows):
        inputs.columns[at]["missing"] = "NaN"
    manifest = {"input": inputs.manifest}
    if is_classifier(model):
        if wrappers:
            manifest["output"] = {"threshold": thresholds_of(wrappers[-1])}
            refuse_other_labels(model, rows, manifest["output"]["threshold"])
        elif not hasattr(model, "predict_proba"):
            note(f"{type(model).__name__} has no predict_proba, so its scores are decision values and no probabilities")
            manifest["output"] = {"activation": "softmax"}
        elif names_several(model, rows):
            manifest["output"] = {"threshold": THRESHOLD}
        else:
            note_other_labels(model, rows)
    else:
        if is_outlier_detector(model):
            note("the answer is the decision value, which is below 0 for an outlier")
        elif not is_regressor(model) or np.size(answer(model, inputs.plain_sample())) != 1:
            return {**manifest, "output": {"kind": "tensors"}}
        manifest["output"] = {"kind": "regression"}
    example = example_of(model, inputs, network, rows)
    return {**manifest, "example": example} if example else manifest


def refuse_other_labels(model, rows, thresholds):
    """Says the threshold by which a classifier names one of two classes, and fails if others are named by it."""
    note(f"the labels are those of predict(): {model.classes_[1]} from a score of {thresholds[1]:.6g} on")
    others = share_of_others(model, rows, thresholds)
    if others >= TIES_MAX:
        fail(f"expected labels by the threshold of the model; predict() names others for {others:.0%} of the sample. {OTHERWISE}")


def note_other_labels(model, rows):
    others = share_of_others(model, rows, 0)
    if others >= TIES_MAX:
        note(f"the label with the highest score is another one than that of predict() for {others:.0%} of the sample")


def share_of_others(model, rows, thresholds):
    """Returns the share of rows of which predict() names another class than the one that is most above its threshold."""
    return np.mean(model.classes_[(answer(model, rows) - thresholds).argmax(axis=1)] != np.asarray(model.predict(rows)))


def example_of(model, inputs, network, rows):
    """Returns a row with the model's answer, of a classifier the one it is most certain of; None if no row can be sent as it is."""
    smaller = rows[:: len(SIZES)]  # of columns that nothing is known of
    example = example_among(model, inputs, network, smaller[:EXAMPLES])
    if example is None and names_several(model, rows):  # Perhaps only larger numbers have a label.
        return example_among(model, inputs, network, rows[:EXAMPLES])
    return example


def example_among(model, inputs, network, rows):
    rows = inputs.rounded(rows)
    sent = [inputs.to_send(rows, at) for at in range(len(rows))]
    try:
        expected = answer(model, rows)
    except Exception:  # an example is not worth a refusal
        return None
    expected = np.asarray(expected, np.float64).reshape(len(rows), -1)
    found = floats(run(network, inputs.feeds(rows))).reshape(expected.shape)
    is_close = np.abs(found - expected).max(axis=1) <= CLOSE * np.abs(expected).max()
    places = [at for at in range(len(rows)) if sent[at] is not None and is_close[at]]
    if names_several(model, rows):  # An answer has the labels from the threshold on, perhaps none.
        places = [at for at in places if expected[at].max() > THRESHOLD]
    elif is_classifier(model):
        # With a threshold, the answer that is expected has the label that is also the most probable one.
        predicted = np.asarray(model.predict(rows))
        places = [at for at in places if model.classes_[expected[at].argmax()] == predicted[at]]
    if not places or expected.shape[1] != (len(model.classes_) if is_classifier(model) else 1):
        return None
    if not is_classifier(model):
        value = float(f"{expected[places[0], 0]:.8g}")
        tolerance = float(f"{max(np.ptp(expected) / 1000, np.abs(expected).max() * ROUNDING):.1g}") or 0.001
        return {"input": sent[places[0]], "expected": {"value": value, "tolerance": tolerance}}
    at = max(places, key=lambda at: expected[at].max())
    best = expected[at].argmax()
    answered = {"label": str(model.classes_[best]).strip(BLANKS)}
    if hasattr(model, "predict_proba"):
        answered["score"] = round(float(expected[at, best]), 4)
    return {"input": sent[at], "expected": answered}


def names_several(model, rows):
    """Whether the model is a classifier that can name several classes of a row."""
    return is_classifier(model) and np.ndim(model.predict(rows)) > 1


def gaps_taken(model, inputs, network, rows):
    """Returns the places of the columns that may have gaps: the network answers to them as the model does."""
    apart = [difference_with_gap(model, inputs, network, rows, at) for at in range(len(inputs.columns))]
    known = {at for at, found in enumerate(apart) if found is not None}
    right = {at for at in known if apart[at] < 1e-4}
    imputed = {at for at in known if inputs.is_imputed(at)}
    # Of models that take gaps by themselves, a network may agree by chance.
    others = known - imputed
    return sorted(right & imputed | (others if others <= right else set()))


def refuses(model, inputs, rows, number):
    """Whether a model refuses rows with this number in one of its columns."""
    for at in range(len(inputs.columns)):
        if inputs.takes_gaps(at):
            try:
                answer(model, with_number(rows[:EXAMPLES], at, number))
            except ValueError:
                return True
    return False


def difference_with_gap(model, inputs, network, rows, at):
    """Returns how far the network is from the model without numbers in a column; None if the model refuses that."""
    if not inputs.takes_gaps(at):
        return None
    rows = with_number(rows, at, np.nan)
    try:
        expected = answer(model, rows)
    except ValueError:
        return None
    return difference(floats(run(network, inputs.feeds(rows))), expected)


def with_number(rows, at, number):
    """Returns rows with this number in a column."""
    if isinstance(rows, pd.DataFrame):
        rows = rows.astype({rows.columns[at]: float})
        rows.iloc[:, at] = number
    else:
        rows = rows.copy()
        rows[:, at] = number
    return rows


if __name__ == "__main__":
    run_exporter(main)
