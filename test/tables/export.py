"""Writes the models of tables for the tests, and in expected.json what scikit-learn answers to some rows.

    npm run python -- test/requirements.txt test/tables/export.py

voyages  an input for each column: floats, whole numbers and texts, with missing values
houses   one matrix of floats, and a number as the answer
orders   a matrix for each group of columns; an unknown category is an error of the network
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

HERE = Path(__file__).resolve().parent
ROWS = 200
VALUE = ("name", "datatype", "shape")


def main():
    random = np.random.default_rng(1)
    expected = {"voyages": make_voyages(random), "houses": make_houses(random), "orders": make_orders(random)}
    (HERE / "expected.json").write_text(json.dumps(expected, indent=2) + "\n", encoding="utf-8")


def make_voyages(random):
    """The pipeline imputes ages and harbours, and knows every category that it may get."""
    rows = pd.DataFrame(
        {
            "age (years)": np.where(random.random(ROWS) < 0.2, np.nan, random.uniform(1, 80, ROWS).round(1)),
            "class": random.integers(1, 4, ROWS),
            "harbour": random.choice(["Cork", "Brest", "Kiel", ""], ROWS),
            "fare": random.uniform(5, 90, ROWS).round(2),
        }
    ).astype({"harbour": object})
    classes = np.where(rows["fare"] / rows["class"] + 10 * (rows["harbour"] == "Kiel") > 25, "early", "late")
    columns = ColumnTransformer(
        [
            ("age", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), ["age (years)"]),
            ("class", OneHotEncoder(), ["class"]),
            (
                "harbour",
                make_pipeline(SimpleImputer(missing_values="", strategy="most_frequent"), OneHotEncoder()),
                ["harbour"],
            ),
            ("fare", StandardScaler(), ["fare"]),
        ]
    )
    pipeline = make_pipeline(columns, LogisticRegression()).fit(rows, classes)
    inputs = [
        ("age (years)", FloatTensorType([None, 1])),
        ("class", Int64TensorType([None, 1])),
        ("harbour", StringTensorType([None, 1])),
        ("fare", FloatTensorType([None, 1])),
    ]
    write(
        "voyages",
        to_onnx(pipeline, initial_types=inputs, options={"zipmap": False}, target_opset=21),
        labels=pipeline.classes_,
        columns=[
            {"name": "age (years)", "datatype": "number", "missing": "NaN"},
            {"name": "class", "datatype": "number", "categories": [1, 2, 3]},
            {"name": "harbour", "datatype": "category", "categories": ["Brest", "Cork", "Kiel"], "missing": ""},
            {"name": "fare", "datatype": "number"},
        ],
        inputs=[
            ("age__years_", "FP32", [-1, 1]),
            ("class", "INT64", [-1, 1]),
            ("harbour", "BYTES", [-1, 1]),
            ("fare", "FP32", [-1, 1]),
        ],
        outputs=[("label", "BYTES", [-1]), ("probabilities", "FP32", [-1, 2])],
    )
    asked = rows.head(20)
    return cases(asked, [dict(zip(pipeline.classes_, row)) for row in pipeline.predict_proba(asked)])


def make_houses(random):
    names = ["rooms", "area", "year"]
    rows = np.column_stack([random.integers(1, 9, ROWS), random.uniform(30, 300, ROWS), random.integers(1900, 2026, ROWS)])
    rows = rows.round(1).astype(np.float32)
    prices = 3 * rows[:, 1] + 20 * rows[:, 0] + (rows[:, 2] - 1900)
    model = GradientBoostingRegressor(n_estimators=5, random_state=1).fit(rows, prices)
    write(
        "houses",
        to_onnx(model, initial_types=[("X", FloatTensorType([None, 3]))], target_opset=21),
        columns=[{"name": name, "datatype": "number"} for name in names],
        inputs=[("X", "FP32", [-1, 3])],
        outputs=[("variable", "FP32", [-1, 1])],
    )
    asked = pd.DataFrame(rows[:20].astype(float).round(1), columns=names)
    return cases(asked, [float(value) for value in model.predict(rows[:20])])


def make_orders(random):
    rows = pd.DataFrame(
        {
            "weight": random.uniform(0.1, 30, ROWS).round(2),
            "pieces": random.integers(1, 20, ROWS).astype(float),
            "country": random.choice(["DE", "FR", "PL"], ROWS),
            "carrier": random.choice(["road", "rail"], ROWS),
        }
    )
    classes = np.where(rows["weight"] * (rows["country"] == "PL") + rows["pieces"] > 15, 1, 0)
    columns = ColumnTransformer(
        [("numbers", StandardScaler(), ["weight", "pieces"]), ("texts", OneHotEncoder(), ["country", "carrier"])]
    )
    pipeline = make_pipeline(columns, LogisticRegression()).fit(rows, classes)
    # A pipeline that was trained on names takes matrices once its columns are numbered.
    numbered = make_pipeline(
        ColumnTransformer([("numbers", StandardScaler(), [0, 1]), ("texts", OneHotEncoder(), [2, 3])]),
        LogisticRegression(),
    ).fit(rows.to_numpy(dtype=object), classes)
    inputs = [("numbers", FloatTensorType([None, 2])), ("texts", StringTensorType([None, 2]))]
    write(
        "orders",
        to_onnx(numbered, initial_types=inputs, options={"zipmap": False}, target_opset=21),
        labels=numbered.classes_,
        columns=[
            {"name": "weight", "datatype": "number"},
            {"name": "pieces", "datatype": "number"},
            {"name": "country", "datatype": "category"},
            {"name": "carrier", "datatype": "category"},
        ],
        inputs=[("numbers", "FP32", [-1, 2]), ("texts", "BYTES", [-1, 2])],
        outputs=[("label", "INT64", [-1]), ("probabilities", "FP32", [-1, 2])],
    )
    asked = rows.head(20)
    labels = [str(label) for label in pipeline.classes_]
    return cases(asked, [dict(zip(labels, row)) for row in pipeline.predict_proba(asked)])


def write(name, model, columns, inputs, outputs, labels=None):
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    content = model.SerializeToString(deterministic=True)
    (folder / "model.onnx").write_bytes(content)
    if labels is not None:
        (folder / "labels.txt").write_text("".join(f"{at} {label}\n" for at, label in enumerate(labels)))
    output = "{ kind: regression }" if labels is None else "{ kind: classification, labels: labels.txt }"
    lines = [
        f"name: {name}",
        "version: 1",
        f"description: A table for tests, {name}.",
        "source:",
        "  file: model.onnx",
        f"  bytes: {len(content)}",
        f"  sha256: {hashlib.sha256(content).hexdigest()}",
        "input:",
        "  kind: table",
        "  columns:",
        *(f"    - {flow(column)}" for column in columns),
        f"output: {output}",
        "network:",
        "  inputs:",
        *(f"    - {flow(dict(zip(VALUE, value)))}" for value in inputs),
        "  outputs:",
        *(f"    - {flow(dict(zip(VALUE, value)))}" for value in outputs),
        "batch: { max: 8 }",
        "device: { type: cpu, threads: 1 }",
    ]
    (folder / "model.yaml").write_text("\n".join(lines) + "\n")


def flow(mapping):
    return "{ " + ", ".join(f"{key}: {json.dumps(value)}" for key, value in mapping.items()) + " }"


def cases(rows, answers):
    """JSON has no NaN, so a missing number is null."""
    records = json.loads(rows.to_json(orient="records"))
    return [{"row": row, "answer": answer} for row, answer in zip(records, answers)]


if __name__ == "__main__":
    main()
