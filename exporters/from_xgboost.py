"""Exports a model of XGBoost from its JSON or UBJSON file to ONNX.

    python exporters/from_xgboost.py MODEL.json MODEL.onnx

XGBoost writes such a file by model.save_model("MODEL.json"), or with the ending .ubj. The network takes one matrix of
numbers, a column for each feature.
"""

import json

import numpy as np
import xgboost
from onnxmltools import convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType

from onnx_file import fail, note, parse_arguments
from trees import ROWS, finish

OPSET = 15


def main():
    arguments = parse_arguments(__doc__)
    try:
        booster = xgboost.Booster(model_file=str(arguments.file))
    except xgboost.core.XGBoostError as error:
        fail(f"expected a file of XGBoost; {arguments.file} cannot be read: {str(error).splitlines()[0]}")
    learner = json.loads(booster.save_raw("json"))["learner"]
    kind, objective = learner["gradient_booster"]["name"], learner["objective"]["name"]
    if kind != "gbtree":
        fail(f"expected the booster gbtree, which has a counterpart in ONNX; got {kind}")
    names, types = booster.feature_names, booster.feature_types
    columns = [{"name": name, "datatype": "number"} for name in names or numbered(booster)]
    for column, type_ in zip(columns, types or []):
        if type_ == "c":
            note(f"{column['name']} takes the numbers of its categories")

    def predict(rows):
        matrix = xgboost.DMatrix(rows, feature_names=names, feature_types=types, enable_categorical=True)
        return booster.predict(matrix)

    rows = sample(learner, len(columns), types or [])
    expected = predict(rows)
    finish(
        convert(booster, len(columns), objective),
        arguments.onnx,
        columns=columns,
        rows=rows,
        predict=lambda given: expected if given is rows else predict(given),
    )


def numbered(booster):
    return [f"column {at}" for at in range(booster.num_features())]


def convert(booster, count, objective):
    # The converter takes no names but its own, f0 and so on.
    booster.feature_names = None
    try:
        return convert_xgboost(booster, initial_types=[("row", FloatTensorType([None, count]))], target_opset=OPSET)
    except Exception as error:  # the converter has several classes of errors
        fail(f"expected a model that onnxmltools can export; got the objective {objective}: {type(error).__name__}: {error}")


def sample(learner, count, types):
    """Draws numbers around those at which the trees divide."""
    random = np.random.default_rng(1)
    limits = [[] for _ in range(count)]
    for tree in learner["gradient_booster"]["model"]["trees"]:
        for feature, limit, left in zip(tree["split_indices"], tree["split_conditions"], tree["left_children"]):
            if left >= 0:
                limits[feature].append(limit)
    rows = np.zeros((ROWS, count), np.float32)
    for at in range(count):
        if at < len(types) and types[at] == "c":
            continue
        if limits[at]:
            rows[:, at] = random.choice(limits[at], ROWS) * random.uniform(0.9, 1.1, ROWS)
    return rows


if __name__ == "__main__":
    main()
