"""Trains boosters of XGBoost, and writes them with what they answer to the held-out data.

    npm run python -- exporters/scikit-learn.txt test/exporters/train_xgboost.py FOLDER
"""

import sys
from pathlib import Path

import numpy as np
import xgboost
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine

from held_out import rows_of, write

FILES = {"wine": "model.json", "breast-cancer": "model.ubj", "diabetes": "model.json"}


def main():
    out = Path(sys.argv[1])
    for name, data in {"wine": load_wine(), "breast-cancer": load_breast_cancer(), "diabetes": load_diabetes()}.items():
        folder = out / f"xgboost-{name}"
        folder.mkdir(parents=True)
        rows = np.where(np.random.default_rng(1).random(data.data.shape) < 0.1, np.nan, data.data)
        is_regression = name == "diabetes"
        held_out = rows[1::2]
        settings = {"n_estimators": 50, "random_state": 1}
        if is_regression:
            # It stops early, and answers with the trees up to the best round.
            model = xgboost.XGBRegressor(**settings, early_stopping_rounds=5)
            model.fit(rows[::2], data.target[::2], eval_set=[(held_out, data.target[1::2])], verbose=False)
        else:
            model = xgboost.XGBClassifier(**settings).fit(rows[::2], data.target[::2])
        model.get_booster().feature_names = [str(feature) for feature in data.feature_names]
        model.save_model(folder / FILES[name])
        scores = model.predict(held_out) if is_regression else model.predict_proba(held_out)
        inputs = rows_of(data.feature_names, held_out)
        write(folder, FILES[name], f"{type(model).__name__}, a tenth of the numbers missing", name, inputs, scores)


if __name__ == "__main__":
    main()
