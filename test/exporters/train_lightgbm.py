"""Trains boosters of LightGBM, and writes them with what they answer to the held-out data.

    npm run python -- exporters/scikit-learn.txt test/exporters/train_lightgbm.py FOLDER
"""

import sys
from pathlib import Path

import lightgbm
import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine

from held_out import rows_of, write

SETTINGS = {"n_estimators": 50, "random_state": 1, "verbose": -1}


def main():
    out = Path(sys.argv[1])
    # Scaled, the same value differs in its last digit from row to row, and trees in ONNX compare seven digits.
    diabetes = load_diabetes(scaled=False)
    for name, data in {"wine": load_wine(), "breast-cancer": load_breast_cancer(), "diabetes": diabetes}.items():
        folder = out / f"lightgbm-{name}"
        folder.mkdir(parents=True)
        rows = np.where(np.random.default_rng(1).random(data.data.shape) < 0.1, np.nan, data.data)
        is_regression = name == "diabetes"
        model = (lightgbm.LGBMRegressor if is_regression else lightgbm.LGBMClassifier)(**SETTINGS)
        names = [feature.replace(" ", "_") for feature in data.feature_names]
        model.fit(rows[::2], data.target[::2], feature_name=names)
        model.booster_.save_model(folder / "model.txt")
        held_out = rows[1::2]
        scores = model.booster_.predict(held_out)
        if name == "breast-cancer":
            scores = np.column_stack([1 - scores, scores])
        write(folder, "model.txt", f"{type(model).__name__}, a tenth of the numbers missing", name, rows_of(names, held_out), scores)


if __name__ == "__main__":
    main()
