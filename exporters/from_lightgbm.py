"""Exports a model of LightGBM from its text file to ONNX.

    python exporters/from_lightgbm.py MODEL.txt MODEL.onnx

LightGBM writes such a file by booster.save_model("MODEL.txt"); a classifier of its scikit-learn interface has the booster
as model.booster_. The network takes one matrix of numbers, a column for each feature.
"""

import json

import lightgbm
import numpy as np
import pandas as pd
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType

from categories import can_be_named, describe_column
from program import OTHERWISE, fail, note, parse_arguments, reason, run_exporter
from trees import ROWS, TOWARDS_ZERO, finish

OPSET = 15


def main():
    arguments = parse_arguments(__doc__)
    try:
        booster = lightgbm.Booster(model_file=str(arguments.file))
    except lightgbm.basic.LightGBMError as error:
        fail(f"expected a text file of LightGBM; {arguments.file} cannot be read: {error}")
    infos = infos_of(booster)
    lists = lists_of(booster)
    columns = [describe_column(name, lists.get(at), refuses_others=False) for at, name in enumerate(booster.feature_name())]
    for values in (booster.pandas_categorical or []) if not lists else []:
        listed = ", ".join(f"{number} {value}" for number, value in enumerate(values))
        note(f"a column of categories takes their numbers, since the file does not tell which: {listed}")
    pandas_categorical = booster.pandas_categorical
    network = convert(booster)

    def predict(rows):
        # Names need the categories, and numbers must not meet them.
        booster.pandas_categorical = pandas_categorical if isinstance(rows, pd.DataFrame) else None
        return booster.predict(rows)

    categories = categories_of(infos)
    finish(network, arguments.onnx, columns, sample(infos), predict, categories, TOWARDS_ZERO, lists)


def convert(booster):
    """Returns the network of a booster. It changes the booster, whose answers stay the same."""
    dumped = booster.dump_model()
    if '"missing_type": "Zero"' in json.dumps(dumped["tree_info"]):
        fail(
            "expected a model that takes 0 as a number; it was trained with zero_as_missing, which trees of ONNX do not know. "
            f"Train it with NaN for what is missing. {OTHERWISE}"
        )
    # The converter has no use for pandas' categories, since the trees hold their numbers.
    booster.pandas_categorical = None
    inputs = [("row", FloatTensorType([None, booster.num_feature()]))]
    try:
        return convert_lightgbm(booster, initial_types=inputs, zipmap=False, target_opset=OPSET)
    except Exception as error:  # the converter has several classes of errors
        fail(f"expected a model that onnxmltools can export; {reason(error)}. {OTHERWISE}")


def infos_of(booster):
    """Returns what is known of the training's values, for each feature."""
    dumped = booster.dump_model()
    return [dumped["feature_infos"].get(name, {}) for name in dumped["feature_names"]]


def categories_of(infos):
    return [at for at, info in enumerate(infos) if info.get("values")]


def lists_of(booster):
    """Returns the names of pandas' categories by the places of their columns, or nothing if these cannot be told.

    The file has a list for each such column, in their order, but not their places. Ordered categories count as numbers. A
    training with a categorical_feature of its own may have as many lists for other columns, which the note of the export shows.
    """
    infos, lists = infos_of(booster), booster.pandas_categorical or []
    places = categories_of(infos)
    fit = len(lists) == len(places) and all(max(infos[at]["values"]) < len(values) for at, values in zip(places, lists))
    return dict(zip(places, lists)) if fit and all(map(can_be_named, lists)) else {}


def sample(infos):
    """Draws rows from the ranges of the training."""
    random = np.random.default_rng(1)
    rows = np.zeros((ROWS, len(infos)), np.float32)
    for at, info in enumerate(infos):
        if info.get("values"):
            rows[:, at] = random.choice(info["values"], ROWS)
        elif info:
            rows[:, at] = random.uniform(info["min_value"], info["max_value"], ROWS)
    return rows


if __name__ == "__main__":
    run_exporter(main)
