"""Exports a model of LightGBM from its text file to ONNX.

    python exporters/from_lightgbm.py MODEL.txt MODEL.onnx

LightGBM writes such a file by booster.save_model("MODEL.txt"); a classifier of its scikit-learn interface has the booster
as model.booster_. The network takes one matrix of numbers, a column for each feature.
"""

import json

import lightgbm
import numpy as np
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType

from program import OTHERWISE, fail, note, parse_arguments, run_exporter
from trees import ROWS, TOWARDS_ZERO, finish

OPSET = 15


def main():
    arguments = parse_arguments(__doc__)
    try:
        booster = lightgbm.Booster(model_file=str(arguments.file))
    except lightgbm.basic.LightGBMError as error:
        fail(f"expected a text file of LightGBM; {arguments.file} cannot be read: {error}")
    columns = [{"name": name, "datatype": "number"} for name in booster.feature_name()]
    infos = infos_of(booster)
    lists = booster.pandas_categorical or []
    places = categories_of(infos)
    # The file has a list for each column of categories, in their order, but not their names. Ordered categories count as numbers.
    is_named = len(places) == len(lists)
    for at, values in enumerate(lists):
        name = columns[places[at]]["name"] if is_named else "a column of categories"
        note(f"{name} takes the numbers of its categories: {', '.join(f'{number} {value}' for number, value in enumerate(values))}")
    finish(
        convert(booster),
        arguments.onnx,
        columns=columns,
        rows=sample(infos),
        predict=booster.predict,
        categories=categories_of(infos),
        whole=TOWARDS_ZERO,
    )


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
        fail(f"expected a model that onnxmltools can export; {type(error).__name__}: {error}")


def infos_of(booster):
    """Returns what is known of the training's values, for each feature."""
    dumped = booster.dump_model()
    return [dumped["feature_infos"].get(name, {}) for name in dumped["feature_names"]]


def categories_of(infos):
    return [at for at, info in enumerate(infos) if info.get("values")]


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
