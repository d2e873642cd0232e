"""Saves models with MLflow, and writes beside each what mlflow.pyfunc predicts of held-out rows.

    npm run python -- test/exporters/mlflow.txt test/exporters/train_mlflow.py FOLDER NAME …

PyTorch and TensorFlow end a process that loads both.
"""

import json
import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import xgboost
from mlflow.models import infer_signature
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

COUNT = 200
RANDOM = np.random.default_rng(1)
TARIFFS = """RATES = {"north": 1.1, "south": 0.9}


def rate(region):
    return RATES[region]
"""


class Premium(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        from tariffs import rate

        price = [age * rate(region) for age, region in zip(model_input["age"], model_input["region"])]
        return pd.DataFrame({"price": price, "since": model_input["since"].dt.year, "is_young": model_input["age"] < 25})


class Share(mlflow.pyfunc.PythonModel):
    """It reckons with all rows that it gets, so it may not get those of others."""

    def predict(self, context, model_input, params=None):
        return model_input["x"] / model_input["x"].sum()


class Count(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return {"rows": len(model_input), "names": [str(name) for name in model_input.columns]}


def customers():
    frame = pd.DataFrame(
        {
            "age": RANDOM.integers(18, 90, COUNT),
            "income": RANDOM.normal(50_000, 15_000, COUNT),
            "city": RANDOM.choice(["Berlin", "Köln", "Bonn"], COUNT),
            "is_member": RANDOM.random(COUNT) < 0.5,
        }
    )
    frame.loc[RANDOM.random(COUNT) < 0.1, "income"] = np.nan
    return frame


def save_columns(folder):
    rows = customers()
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    columns = ColumnTransformer([("numbers", numbers, ["age", "income"]), ("others", OneHotEncoder(), ["city", "is_member"])])
    answers = np.where((rows["age"] > 50) ^ (rows["city"] == "Köln"), "leaves", "stays")
    pipeline = make_pipeline(columns, LogisticRegression()).fit(rows, answers)
    mlflow.sklearn.save_model(pipeline, folder, **shown(rows, answers), skops_trusted_types=["numpy.dtype"])
    return rows


def save_booster(folder):
    rows = pd.DataFrame(RANDOM.normal(size=(COUNT, 4)).astype(np.float32), columns=list("abcd"))
    rows.iloc[::7, 1] = np.nan
    booster = xgboost.XGBRegressor(n_estimators=30).fit(rows, rows["a"] * 3 - rows["c"])
    mlflow.xgboost.save_model(booster, folder, **shown(rows, booster.predict(rows)))
    return rows


def save_own(folder):
    module = folder.parent / "tariffs.py"
    module.write_text(TARIFFS, encoding="utf-8")
    sys.path.insert(0, str(folder.parent))
    dates = pd.date_range("2001-02-03", periods=COUNT, freq="W")
    rows = customers()[["age"]].assign(region=RANDOM.choice(["north", "south"], COUNT), since=dates)
    model = Premium()
    settings = shown(rows, model.predict(None, rows))
    mlflow.pyfunc.save_model(folder, python_model=model, code_paths=[str(module)], **settings)
    return rows


def save_share(folder):
    rows = pd.DataFrame({"x": RANDOM.normal(size=COUNT)})
    mlflow.pyfunc.save_model(folder, python_model=Share(), **shown(rows, rows["x"]))
    return rows


def save_count(folder):
    mlflow.pyfunc.save_model(folder, python_model=Count())
    return pd.DataFrame({"x": RANDOM.normal(size=COUNT), "y": 1})


def save_pytorch(folder):
    import torch

    torch.manual_seed(1)
    network = torch.nn.Sequential(torch.nn.Linear(6, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3)).eval()
    rows = RANDOM.normal(size=(COUNT, 6)).astype(np.float32)
    mlflow.pytorch.save_model(network, folder, **shown(rows, network(torch.tensor(rows)).detach().numpy()))
    return rows


def save_keras(folder):
    import keras

    keras.utils.set_random_seed(1)
    layers = [keras.Input((6,)), keras.layers.Dense(16, activation="relu"), keras.layers.Dense(3, activation="softmax")]
    network = keras.Sequential(layers)
    network.compile("adam", "sparse_categorical_crossentropy")
    rows = RANDOM.normal(size=(COUNT, 6)).astype(np.float32)
    mlflow.tensorflow.save_model(network, folder, **shown(rows, network.predict(rows, verbose=0)))
    return rows


def shown(rows, answers):
    return {"signature": infer_signature(rows, answers), "input_example": rows[:5]}


def cases_of(model, rows, is_body):
    """Returns each row as it is sent, with what MLflow predicts of it alone."""
    if isinstance(rows, np.ndarray):
        return [{"input": row.tolist(), "prediction": model.predict(row[None])[0].tolist()} for row in rows]
    inputs = json.loads(rows.to_json(orient="records", date_format="iso", double_precision=15))
    return [
        {
            "input": {"dataframe_records": [given]} if is_body else given,
            "prediction": plain(model.predict(rows.iloc[[at]]), is_body),
        }
        for at, given in enumerate(inputs)
    ]


def plain(predicted, is_body):
    if is_body:
        return predicted
    if isinstance(predicted, pd.Series):
        predicted = predicted.to_frame()
    if isinstance(predicted, pd.DataFrame):
        return {name: value.item() if hasattr(value, "item") else value for name, value in predicted.iloc[0].items()}
    return predicted[0].item() if hasattr(predicted[0], "item") else predicted[0]


def main():
    out = Path(sys.argv[1])
    for name in sys.argv[2:]:
        folder = out / name
        rows = globals()[f"save_{name}"](folder)
        cases = cases_of(mlflow.pyfunc.load_model(str(folder)), rows, name == "count")
        (out / f"{name}.json").write_text(json.dumps(cases, allow_nan=False), encoding="utf-8")


if __name__ == "__main__":
    main()
