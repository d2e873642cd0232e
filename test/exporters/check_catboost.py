"""Says of models of CatBoost of every loss whether they are exported as they are, or refused.

    python test/exporters/check_catboost.py FOLDER
"""

import json
import sys
from pathlib import Path

import catboost
import numpy as np
import onnx
import onnxruntime
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "exporters"))
import from_catboost  # noqa: E402
from outcome import check, outcome  # noqa: E402

RNG = np.random.default_rng(1)
ROWS = RNG.normal(size=(400, 3))
ROWS[RNG.random(ROWS.shape) < 0.05] = np.nan
NUMBERS = np.nan_to_num(ROWS[:, 0]) + np.nan_to_num(ROWS[:, 1]) ** 2
HIGHER = NUMBERS > 1
THREE = np.digitize(NUMBERS, [0.3, 1.5])
SEVERAL = np.column_stack([HIGHER, NUMBERS > 2, NUMBERS < 0]).astype(int)
SETTINGS = {"iterations": 20, "depth": 3, "random_seed": 1, "verbose": 0, "allow_writing_files": False}
NONE = {"activation": "none"}
NUMBER = {"kind": "regression"}


def classifier(targets, rows=ROWS, **settings):
    return catboost.CatBoostClassifier(**SETTINGS, **settings).fit(rows, targets)


def regressor(targets, **settings):
    return catboost.CatBoostRegressor(**SETTINGS, **settings).fit(ROWS, targets)


def exported():
    """Yields models with their names of classes, and with the section `output` of their manifest."""
    yield "texts", classifier(np.where(HIGHER, "yes", "no")), ["no", "yes"], NONE
    yield "whole numbers", classifier(np.where(HIGHER, 7, -3)), ["-3", "7"], NONE
    yield "fractions", classifier(np.where(HIGHER, 2.5, 1.5)), ["1.5", "2.5"], NONE
    yield "truth values", classifier(HIGHER), ["False", "True"], NONE
    yield "ordered names", classifier(np.array(["x", "y", "z"])[THREE], class_names=["z", "y", "x"]), ["z", "y", "x"], NONE
    yield "one against all", classifier(THREE, loss_function="MultiClassOneVsAll"), ["0", "1", "2"], NONE
    labels = classifier(SEVERAL, loss_function="MultiLogloss")
    yield "several labels", labels, ["0", "1", "2"], {**NONE, "threshold": 0.5}
    threshold = classifier(HIGHER)
    threshold.set_probability_threshold(0.75)
    yield "a threshold", threshold, ["False", "True"], {**NONE, "threshold": [0.25, 0.75]}
    yield "a number", regressor(NUMBERS), None, NUMBER
    yield "counts", regressor(np.exp(NUMBERS.clip(-2, 2)), loss_function="Poisson"), None, NUMBER
    yield "amounts", regressor(np.exp(NUMBERS.clip(-2, 2)), loss_function="Tweedie:variance_power=1.5"), None, NUMBER
    yield "two numbers", regressor(np.column_stack([NUMBERS, -NUMBERS]), loss_function="MultiRMSE"), None, {"kind": "tensors"}


def refused():
    """Yields models that have no counterpart in ONNX, each with the reason."""
    table = pd.DataFrame(ROWS, columns=["a", "b", "c"])
    kinds = table.assign(kind=RNG.choice(["x", "y"], len(table)))
    yield "categories", classifier(HIGHER, kinds, cat_features=["kind"]), "it was trained with categories in kind. It can be served"
    phrases = table.assign(phrase=[" ".join(RNG.choice(["good", "bad"], 5)) for _ in range(len(table))])
    yield "phrases", classifier(HIGHER, phrases, text_features=["phrase"]), "it was trained with texts in phrase"
    yield "other trees", regressor(NUMBERS, grow_policy="Lossguide"), "expected grow_policy='SymmetricTree', whose trees"
    yield "a variance", regressor(NUMBERS, loss_function="RMSEWithUncertainty"), "RMSEWithUncertainty adds a variance. Train it"
    scaled = regressor(NUMBERS)
    scaled.set_scale_and_bias(2.0, 1.0)
    yield "a scale", scaled, "that CatBoost can write as ONNX; CatBoostError"


def main():
    folder = Path(sys.argv[1])
    file = folder / "model.cbm"
    for name, model, labels, output in exported():
        model.save_model(file)
        found = outcome(from_catboost, file)
        check(name, found, ["numbers" if labels is None else "probabilities"])
        path = folder / "model.cbm.onnx"
        rows = ROWS.astype(np.float32)
        expected = model.predict(rows) if labels is None else model.predict_proba(rows)
        (answers,) = onnxruntime.InferenceSession(path).run(None, {"row": rows})
        assert np.abs(answers.reshape(expected.shape) - expected).max() < 1e-4 * np.abs(expected).max(), name
        said = {entry.key: json.loads(entry.value) for entry in onnx.load(path).metadata_props}
        assert (said.get("labels"), said["scoreline"]["output"]) == (labels, output), (name, said)
        assert all(column["missing"] == "NaN" for column in said["scoreline"]["input"]["columns"]), (name, said)
        path.unlink()
    for name, model, reason in refused():
        model.save_model(file)
        check(name, outcome(from_catboost, file), reason)
    file.write_bytes(b"CBM1 cut off")
    check("a file that is cut off", outcome(from_catboost, file), "cannot be read: CatBoostError")


if __name__ == "__main__":
    main()
