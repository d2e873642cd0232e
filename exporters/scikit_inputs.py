"""The inputs of a model of scikit-learn: texts, a matrix of numbers, or named columns, with rows to try them."""

import numpy as np
import pandas as pd
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, Int64TensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.pipeline import Pipeline

from categories import GAP, describe_column, feeds_of, gap_of, table_of, take_names
from comparison import largest_apart, rows_of
from program import OTHERWISE, fail
from scikit_boosters import lists_of, package_of
from scikit_converters import is_gap
from scikit_rows import ROWS, around
from scikit_steps import first_step, steps_before_change, steps_of, uses_of
from scikit_texts import hint_of_texts, sample_texts


def describe_inputs(model):
    first = first_step(model)
    if isinstance(first, CountVectorizer):
        return Texts(model)
    if isinstance(first, ColumnTransformer):
        return Columns(first, model.steps[1][1] if isinstance(model, Pipeline) and len(model.steps) > 1 else model)
    if not hasattr(model, "n_features_in_"):
        fail(f"expected a fitted model of numbers, texts or columns; got {type(model).__name__} with {type(first).__name__}")
    if package_of(model) and lists_of(model):
        return Table(model)
    inputs = Matrix(model)
    for step in inputs.steps:
        has_texts = any(np.asarray(values).dtype.kind in "OUS" for values in getattr(step, "categories_", []))
        if has_texts:
            fail(
                f"expected a matrix of numbers; {type(step).__name__} was trained with categories. "
                f"Encode them with a ColumnTransformer at the beginning of a pipeline, and train again. {OTHERWISE}"
            )
    return inputs


class Texts:
    """One input of texts."""

    types = [("text", StringTensorType([None, 1]))]
    manifest = {"kind": "text"}
    columns = []
    # Whether numbers go into the network as doubles
    is_wide = False

    def __init__(self, model):
        self.vectorizers = [step for step in steps_of(model) if isinstance(step, CountVectorizer)]

    def sample(self):
        return [text for vectorizer in self.vectorizers for text in sample_texts(vectorizer)]

    def plain_sample(self):
        return ["a"]

    def feeds(self, texts):
        return {"text": np.array(texts, dtype=object).reshape(-1, 1)}

    def rounded(self, texts):
        """Returns as many texts of terms alone. The sample has odd ones."""
        terms = sorted(self.vectorizers[0].vocabulary_)
        return [" ".join(drawn) for drawn in np.random.default_rng(1).choice(terms, (len(texts), 5))]

    def to_send(self, texts, at):
        return texts[at]

    def hint(self, texts, found, expected):
        return hint_of_texts(self.vectorizers, texts, found, expected)


class Matrix:
    """One input of numbers, a column for each feature."""

    def __init__(self, model):
        count = model.n_features_in_
        names = getattr(model, "feature_names_in_", [f"column {at}" for at in range(count)])
        self.has_names = hasattr(model, "feature_names_in_")
        self.columns = [{"name": str(name), "datatype": "number"} for name in names]
        self.steps = list(steps_before_change(model))
        self.manifest = {"kind": "table", "columns": self.columns}
        self.is_wide = False

    @property
    def types(self):
        return [("row", number_type(self.is_wide)([None, len(self.columns)]))]

    def sample(self):
        rng = np.random.default_rng(1)
        return self.table(np.column_stack([self.cells(at, rng) for at in range(len(self.columns))]))

    def cells(self, at, rng):
        return around([(step, at) for step in self.steps], rng)

    def plain_sample(self):
        return self.table(np.ones((1, len(self.columns))))

    def table(self, rows):
        return pd.DataFrame(rows, columns=[column["name"] for column in self.columns]) if self.has_names else rows

    def feeds(self, rows):
        return {"row": np.asarray(rows, np.float64 if self.is_wide else np.float32)}

    def rounded(self, rows):
        return shortened(rows)

    def to_send(self, rows, at):
        return row_to_send(self.columns, pd.DataFrame(rows).iloc[at])

    def takes_gaps(self, at):
        return True

    def is_imputed(self, at):
        return any(hasattr(step, "statistics_") for step in self.steps)

    def hint(self, rows, found, expected):
        return hint_of_row([column["name"] for column in self.columns], worst_row(rows, found, expected))


class Table(Matrix):
    """An input for each column of a booster that was trained with pandas' categories."""

    def __init__(self, model):
        super().__init__(model)
        self.lists = lists_of(model)
        self.names = [column["name"] for column in self.columns]
        refuses_others = package_of(model) == "xgboost"
        self.columns[:] = [describe_column(name, self.lists.get(at), refuses_others) for at, name in enumerate(self.names)]
        for at in self.lists:
            self.columns[at]["missing"] = gap_of(self.columns[at])
        self.takes_names = False

    def cells(self, at, rng):
        return rng.integers(-1, len(self.lists[at]), ROWS) if at in self.lists else super().cells(at, rng)

    def table(self, rows):
        return table_of(rows, self.names, self.lists)

    def feeds(self, rows):
        if self.takes_names:
            return feeds_of(rows, self.lists)
        codes = [rows.iloc[:, at].cat.codes.replace(-1, np.nan) if at in self.lists else rows.iloc[:, at] for at in range(rows.shape[1])]
        return super().feeds(np.column_stack(codes))

    def finish(self, network):
        """Lets a network of the numbers of categories take the names."""
        take_names(network, self.names, self.lists)
        self.takes_names = True

    def takes_gaps(self, at):
        return at not in self.lists


class Columns:
    """An input for each column of a ColumnTransformer, with the type and the categories that its transformers know."""

    def __init__(self, transformer, final):
        self.names = list(getattr(transformer, "feature_names_in_", range(transformer.n_features_in_)))
        self.has_names = hasattr(transformer, "feature_names_in_")
        self.uses = [list(uses_of(transformer, at, final)) for at in range(len(self.names))]
        self.columns, self.kinds = [], []
        for at, uses in enumerate(self.uses):
            self.columns.append(self.column(at, uses) if uses else None)
        self.manifest = {"kind": "table", "columns": self.used()}
        self.is_wide = False

    @property
    def types(self):
        types = {"text": StringTensorType, "whole": Int64TensorType, "number": number_type(self.is_wide)}
        return [(column["name"], types[kind]([None, 1])) for column, kind in zip(self.used(), self.kinds)]

    @property
    def all_types(self):
        """The types with those of columns that are not used, which have a place, too."""
        types = dict(self.types)
        names = [column["name"] if column else f"unused {at}" for at, column in enumerate(self.columns)]
        return [(name, types.get(name, FloatTensorType([None, 1]))) for name in names]

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
            shared = [value for value in lists[0] if all(value in others for others in lists[1:])]
            # The network takes Booleans as the numbers 0 and 1.
            column["categories"] = [int(value) if isinstance(value, bool) else value for value in shared]
        if kind == "text":
            others = [value for use in uses for value in categories_seen(use) if not isinstance(value, str) and not is_gap(value)]
            if others:
                fail(
                    f"expected texts as the categories of {name}; got {others[:4]}. If it is imputed, do that apart from "
                    "columns of texts; else cast it, as with astype(str). Then train again"
                )
            fills = [step.missing_values for step, _ in uses if isinstance(getattr(step, "missing_values", None), str)]
            if fills:
                column["missing"] = fills[0]
                column["categories"] = [value for value in column.get("categories", []) if value != fills[0]] or None
                if column["categories"] is None:
                    del column["categories"]
            elif any(gaps_of(use) for use in uses) or all(takes_unknown(step) for step, _ in uses):
                column["missing"] = GAP
        return column

    def sample(self):
        rng = np.random.default_rng(1)
        return self.table([self.cells(at, rng) for at in range(len(self.names))])

    def plain_sample(self):
        return self.table([[first_value(column) if column else 0] for column in self.columns])

    def cells(self, at, rng):
        column = self.columns[at]
        if not column:
            return [0] * ROWS
        seen = [value for use in self.uses[at] for value in categories_seen(use)]
        gaps = [value for use in self.uses[at] for value in gaps_of(use)]
        known = column.get("categories") or [value for value in seen if not is_gap(value)]
        if known and column["datatype"] == "category":
            known = [*known, *gaps, *([] if "categories" in column else ["nan", "None"])]
        if known:
            # As objects, since pandas would make NaN of None
            drawn = pd.Series([known[place] for place in rng.integers(0, len(known), ROWS)], dtype=object)
            return drawn if column["datatype"] == "category" else drawn.infer_objects()
        texts = [text for step, _ in self.uses[at] if isinstance(step, CountVectorizer) for text in sample_texts(step)]
        if texts:
            return list(np.resize(rng.permutation(texts), ROWS))
        return around(self.uses[at], rng) if column["datatype"] == "number" else [first_value(column)] * ROWS

    def table(self, cells):
        # A column that is not used may be missing from the table, but not from the matrix.
        table = pd.DataFrame({at: column if isinstance(column, pd.Series) else list(column) for at, column in enumerate(cells)})
        return table.set_axis(self.names, axis=1) if self.has_names else table.infer_objects().to_numpy()

    def feeds(self, rows):
        types = {"text": object, "whole": np.int64, "number": np.float64 if self.is_wide else np.float32}
        table = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(rows)
        cells = [np.asarray(table.iloc[:, at]) for at, column in enumerate(self.columns) if column]
        cells = [np.where(pd.isna(cell), GAP, cell) if kind == "text" else cell for cell, kind in zip(cells, self.kinds)]
        names = [column["name"] for column in self.used()]
        return {name: cell.astype(types[kind]).reshape(-1, 1) for name, cell, kind in zip(names, cells, self.kinds)}

    def rounded(self, rows):
        return shortened(rows)

    def to_send(self, rows, at):
        return row_to_send(self.columns, pd.DataFrame(rows).iloc[at])

    def takes_gaps(self, at):
        column = self.columns[at]
        return bool(column) and column["datatype"] == "number" and self.kinds[self.used().index(column)] == "number"

    def is_imputed(self, at):
        return any(hasattr(step, "statistics_") for step, _ in self.uses[at])

    def hint(self, rows, found, expected):
        cells = worst_row(rows, found, expected)
        names = [column and column["name"] for column in self.columns]
        for name, cell, uses in zip(names, cells, self.uses):
            if name and cell is None and fills_only_nan(uses):
                return (
                    f"The difference is largest where {name} is null: the pipeline was trained with None there, which its "
                    f"SimpleImputer does not impute. Make it NaN, as with fillna(np.nan), and train again."
                )
        return hint_of_row(names, cells)


def fills_only_nan(uses):
    """Whether an imputer among the steps leaves None as it is."""
    return any(hasattr(step, "statistics_") and isinstance(step.missing_values, float) for step, _ in uses)


def worst_row(rows, found, expected):
    """Returns the cells of the row whose answers differ the most."""
    apart = [largest_apart(*pair) for pair in zip(rows_of(found), rows_of(expected))]
    return pd.DataFrame(rows).iloc[int(np.argmax(apart))].tolist()


def hint_of_row(names, cells):
    """Returns which row differs the most. A column without a name is not used."""
    given = [f"{name}: {'null' if is_gap(cell) else cell}" for name, cell in zip(names, cells) if name]
    return f"The difference is largest where {', '.join(given)[:200]}."


def shortened(rows):
    """Rounds the numbers of rows to what a person would write."""

    def short(number):
        return float(f"{number:.4g}") if isinstance(number, float) else number

    if not isinstance(rows, pd.DataFrame):
        return np.array([[short(cell) for cell in row] for row in rows.tolist()], rows.dtype)
    return rows.apply(lambda column: column.map(short) if column.dtype.kind == "f" else column)


def row_to_send(columns, row):
    """Returns a row as a request has it; None if a value is missing, odd, or none of the column's categories."""
    sent = {}
    for column, cell in zip(columns, row.tolist()):
        if not column:
            continue
        value = cell.item() if hasattr(cell, "item") else cell
        if isinstance(value, (bool, float)) and abs(value) < 2**53 and value == int(value):
            value = int(value)
        if is_gap(value) or value in ("nan", "None", np.inf, -np.inf, column.get("missing")):
            return None
        if value not in column.get("categories", [value]):
            return None
        sent[column["name"]] = value
    return sent


def number_type(is_wide):
    return DoubleTensorType if is_wide else FloatTensorType


def first_value(column):
    if column.get("categories"):
        return column["categories"][0]
    missing = column.get("missing", GAP)
    return 1.0 if column["datatype"] == "number" else "a" if missing == GAP else missing


def categories_seen(use):
    step, place = use
    return step.categories_[place].tolist() if hasattr(step, "categories_") else []


def takes_unknown(step):
    """Whether an OrdinalEncoder has a number for what it has not seen, which a gap is then as well."""
    return getattr(step, "handle_unknown", None) == "use_encoded_value"


def gaps_of(use):
    """Returns what a missing value can be for a step that knows it."""
    step, _ = use
    values = [*categories_seen(use), *([step.missing_values] if hasattr(step, "statistics_") else [])]
    return [value for value in values if is_gap(value)]


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
    if getattr(step, "handle_unknown", None) != "error" or not hasattr(step, "categories_"):
        return None
    values = step.categories_[place].tolist()
    return [value for value in values if not is_gap(value)]

