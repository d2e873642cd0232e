"""Exports a fitted pipeline, classifier or regressor of scikit-learn from a pickle to ONNX.

    python exporters/from_scikit_learn.py PIPELINE.joblib MODEL.onnx

Reading a pickle runs the code in it, so export only files whose origin you trust. A pickle fits the version of
scikit-learn that wrote it.

A pipeline that begins with a text vectorizer takes texts. One that begins with a ColumnTransformer has an input for each
column. Any other model takes one matrix of numbers.
"""

import re
import warnings

import joblib
import numpy as np
import pandas as pd
import sklearn
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.base import BaseEstimator, is_classifier, is_regressor
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.svm import LinearSVC

from onnx_file import OTHERWISE, compare, difference, fail, note, parse_arguments, run, save

# Classes of letters, which Python takes from all of Unicode and ONNX Runtime from ASCII
UNICODE_CLASSES = {r"\w": r"\p{L}\p{N}_", r"\d": r"\p{Nd}"}
TENSORS = {"text": StringTensorType, "whole": Int64TensorType, "number": FloatTensorType}
SAMPLES = 50
OPSET = {"": 18, "ai.onnx.ml": 3}


def main():
    arguments = parse_arguments(__doc__)
    model = load(arguments.file)
    inputs = describe_inputs(model)
    network = convert(model, inputs)
    expected = answer(model, inputs.sample())
    compare(floats(run(network, inputs.feeds(inputs.sample()))), expected, "a sample")
    save(network, arguments.onnx, labels=getattr(model, "classes_", None), manifest=describe(model, inputs, network))


def load(file):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", InconsistentVersionWarning)
            model = joblib.load(file)
    except InconsistentVersionWarning as warning:
        fail(
            f"expected a pickle of scikit-learn {sklearn.__version__}; {file} was written by "
            f"{warning.original_sklearn_version}. Export it with the Python of its training: --python PATH"
        )
    except ModuleNotFoundError as error:
        fail(
            f"expected a pickle that needs no package but scikit-learn; {file} needs {error.name}. "
            "Export it with the Python of its training: --python PATH"
        )
    except Exception as error:  # a pickle can raise anything
        fail(f"expected a pickle of a scikit-learn model; {file} cannot be read: {type(error).__name__}: {error}")
    if not isinstance(model, BaseEstimator) or not hasattr(model, "predict"):
        fail(f"expected a pickle of a scikit-learn model with predict(); {file} has {type(model).__module__}.{type(model).__name__}")
    return model


def describe_inputs(model):
    first = first_step(model)
    if isinstance(first, CountVectorizer):
        return Texts(first)
    if isinstance(first, ColumnTransformer):
        return Columns(first)
    if not hasattr(model, "n_features_in_"):
        fail(f"expected a fitted model of numbers, texts or columns; got {type(model).__name__} with {type(first).__name__}")
    return Matrix(model)


def first_step(model):
    while isinstance(model, (Pipeline, FeatureUnion)):
        model = (model.steps if isinstance(model, Pipeline) else model.transformer_list)[0][1]
    return model


class Texts:
    """One input of texts."""

    types = [("text", StringTensorType([None, 1]))]
    manifest = {"kind": "text"}
    columns = []

    def __init__(self, vectorizer):
        self.terms = sorted(vectorizer.vocabulary_)[:: max(1, len(vectorizer.vocabulary_) // SAMPLES)]

    def sample(self):
        """Terms as they are, in capitals, and as a part of a longer word, which a wrong pattern cuts out."""
        texts = [f"{term}, {term.upper()}. {term}\u00e9" for term in self.terms]
        return [*texts, " ".join(self.terms), " ".join(f"{term}\u00e9 \u043c{term}" for term in self.terms)]

    def feeds(self, texts):
        return {"text": np.array(texts, dtype=object).reshape(-1, 1)}


class Matrix:
    """One input of numbers, a column for each feature."""

    def __init__(self, model):
        count = model.n_features_in_
        names = getattr(model, "feature_names_in_", [f"column {at}" for at in range(count)])
        self.has_names = hasattr(model, "feature_names_in_")
        self.columns = [{"name": str(name), "datatype": "number"} for name in names]
        self.types = [("row", FloatTensorType([None, count]))]
        self.manifest = {"kind": "table", "columns": self.columns}

    def sample(self):
        row = np.ones((1, len(self.columns)))
        return pd.DataFrame(row, columns=[column["name"] for column in self.columns]) if self.has_names else row

    def feeds(self, rows):
        return {"row": np.asarray(rows, np.float32)}


class Columns:
    """An input for each column of a ColumnTransformer, with the type and the categories that its transformers know."""

    def __init__(self, transformer):
        self.names = list(getattr(transformer, "feature_names_in_", range(transformer.n_features_in_)))
        self.has_names = hasattr(transformer, "feature_names_in_")
        self.columns, self.kinds = [], []
        for at in range(len(self.names)):
            uses = list(uses_of(transformer, at))
            self.columns.append(self.column(at, uses) if uses else None)
        self.types = [
            (column["name"], TENSORS[kind]([None, 1])) for column, kind in zip(self.used(), self.kinds)
        ]
        self.manifest = {"kind": "table", "columns": self.used()}

    def used(self):
        return [column for column in self.columns if column]

    def column(self, at, uses):
        name = str(self.names[at]) if self.has_names else f"column {at}"
        kinds = {kind_of(step, place) for step, place in uses} - {None}
        kind = next((kind for kind in ("text", "whole", "number") if kind in kinds), "number")
        self.kinds.append(kind)
        column = {"name": name, "datatype": "category" if kind == "text" else "number"}
        lists = [values for step, place in uses if (values := categories_of(step, place)) is not None]
        if lists:
            column["categories"] = [value for value in lists[0] if all(value in others for others in lists[1:])]
        if kind == "text":
            fills = [step.missing_values for step, _ in uses if isinstance(getattr(step, "missing_values", None), str)]
            if fills:
                column["missing"] = fills[0]
                column["categories"] = [value for value in column.get("categories", []) if value != fills[0]] or None
                if column["categories"] is None:
                    del column["categories"]
        return column

    def sample(self):
        cells = [first_value(column) if column else 0 for column in self.columns]
        # A column that is not used may be missing from the table, but not from the matrix.
        return pd.DataFrame([cells], columns=self.names) if self.has_names else np.array([cells], dtype=object)

    def feeds(self, rows):
        types = {"text": object, "whole": np.int64, "number": np.float32}
        table = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(rows)
        cells = [np.asarray(table.iloc[:, at]) for at, column in enumerate(self.columns) if column]
        names = [runtime_name(column["name"]) for column in self.used()]
        return {name: cell.astype(types[kind]).reshape(-1, 1) for name, cell, kind in zip(names, cells, self.kinds)}


def runtime_name(name):
    """Returns the name that skl2onnx gives to an input."""
    return "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in name)


def first_value(column):
    if column.get("categories"):
        return column["categories"][0]
    return 1.0 if column["datatype"] == "number" else column.get("missing", "a")


def uses_of(transformer, at):
    """Yields each step that sees this column as it is, or only with its gaps filled, and the place of the column in it."""
    for name, step, _ in transformer.transformers_:
        places = list(transformer._transformer_to_input_indices.get(name, []))
        if at not in places or (isinstance(step, str) and step == "drop"):
            continue
        steps = [inner for _, inner in step.steps] if isinstance(step, Pipeline) else [step]
        for inner in steps:
            yield inner, places.index(at)
            if not hasattr(inner, "statistics_"):
                break


def kind_of(step, place):
    if isinstance(step, CountVectorizer):
        return "text"
    if hasattr(step, "categories_"):
        values = np.asarray(step.categories_[place])
        if values.dtype.kind in "iu":
            return "whole"
        return "text" if values.dtype.kind in "OUS" else "number"
    if hasattr(step, "statistics_"):
        fit = getattr(step, "_fit_dtype", np.dtype(float))
        return "text" if fit.kind in "OUS" else "number"
    return "number"


def categories_of(step, place):
    """Returns the categories of an encoder that refuses others."""
    if not hasattr(step, "categories_") or step.handle_unknown != "error":
        return None
    values = step.categories_[place].tolist()
    return [value for value in values if not (value is None or (isinstance(value, float) and np.isnan(value)))]


def convert(model, inputs):
    options = {id(step): settings for step in steps_of(model) if (settings := options_of(step))}
    try:
        network = to_onnx(model, initial_types=inputs.types, options=options, target_opset=OPSET)
    except Exception as error:  # skl2onnx has several classes of errors, and texts of several paragraphs
        reason = " ".join(str(error).split())[:400]
        fail(f"expected a model that skl2onnx can export; {reason}. {OTHERWISE}")
    return network


def steps_of(model):
    """Yields a model and the models inside of it."""
    yield model
    if isinstance(model, Pipeline):
        children = [step for _, step in model.steps]
    elif isinstance(model, ColumnTransformer):
        children = [step for _, step, _ in model.transformers_]
    elif isinstance(model, FeatureUnion):
        children = [step for _, step in model.transformer_list]
    else:
        children = []
    for child in children:
        if isinstance(child, BaseEstimator):
            yield from steps_of(child)


def options_of(step):
    if isinstance(step, CountVectorizer):
        return vectorizer_options(step)
    if isinstance(step, LinearSVC):
        return {"raw_scores": True}
    # Otherwise, classifiers answer with maps instead of arrays.
    return {"zipmap": False} if is_classifier(step) and not isinstance(step, Pipeline) else {}


def vectorizer_options(step):
    terms = "".join(step.vocabulary_)
    # Every machine has the locale C, which lowers only the letters of ASCII. Others matter only if a term has some.
    options = {"locale": "C" if terms.isascii() or not step.lowercase else "C.UTF-8"}
    if step.analyzer == "word":
        options["tokenexp"] = runtime_pattern(step.token_pattern)
    for name in ("preprocessor", "tokenizer", "strip_accents"):
        if getattr(step, name) is not None:
            fail(f"expected a vectorizer without {name}, which has no counterpart in ONNX. {OTHERWISE}")
    return options


def runtime_pattern(pattern):
    """Writes a token pattern of scikit-learn in the syntax of ONNX Runtime, which is that of RE2."""
    pattern = pattern.replace("(?u)", "")
    # Words are as long as they can be, so their ends need no \b, which knows only ASCII there.
    pattern = re.sub(r"^\\b(?=\\w)|(?<=\\w\+)\\b$", "", pattern)
    parts = re.findall(r"\[(?:\\.|[^\]\\])*\]|\\.|[^\\\[]+|.", pattern)
    return "".join(translate(part) for part in parts)


def translate(part):
    if part.startswith("["):
        return re.sub(r"\\[wd]", lambda found: UNICODE_CLASSES[found[0]], part)
    return f"[{UNICODE_CLASSES[part]}]" if part in UNICODE_CLASSES else part


def answer(model, rows):
    if hasattr(model, "predict_proba"):
        return model.predict_proba(rows)
    if not is_classifier(model):
        return model.predict(rows)
    values = model.decision_function(rows)
    return np.column_stack([-values, values]) if values.ndim == 1 else values


def floats(outputs):
    return next(value for value in outputs.values() if np.asarray(value).dtype.kind == "f")


def describe(model, inputs, network):
    """Returns the sections of the manifest that the file does not tell."""
    gaps = [(column, difference_with_gap(model, inputs, network, column)) for column in inputs.columns if column]
    # Forests take gaps that they were not trained with, each in a way of its own.
    if all(apart is None or apart < 1e-4 for _, apart in gaps):
        for column, apart in gaps:
            if apart is not None:
                column["missing"] = "NaN"
    if is_classifier(model):
        if not hasattr(model, "predict_proba"):
            note(f"{type(model).__name__} has no predict_proba, so its scores are decision values and no probabilities")
        return {"input": inputs.manifest}
    outputs = np.asarray(answer(model, inputs.sample()))
    if is_regressor(model) and outputs.size == 1:
        return {"input": inputs.manifest, "output": {"kind": "regression"}}
    return {"input": {"kind": "tensors"}, "output": {"kind": "tensors"}}


def difference_with_gap(model, inputs, network, column):
    """Returns how far the network is from the model without a number in this column; None if the model refuses that."""
    at = inputs.columns.index(column)
    is_float = not isinstance(inputs, Columns) or inputs.kinds[inputs.used().index(column)] == "number"
    if column["datatype"] != "number" or not is_float:
        return None
    rows = inputs.sample()
    if isinstance(rows, pd.DataFrame):
        rows = rows.astype({rows.columns[at]: float})
        rows.iloc[0, at] = np.nan
    else:
        rows[0, at] = np.nan
    try:
        expected = answer(model, rows)
    except ValueError:
        return None
    return difference(floats(run(network, inputs.feeds(rows))), expected)


if __name__ == "__main__":
    main()
