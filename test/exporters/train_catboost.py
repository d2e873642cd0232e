"""Trains models of CatBoost, and writes them with what they answer to the held-out data.

    npm run python -- exporters/catboost.txt test/exporters/train_catboost.py FOLDER
"""

import sys
from pathlib import Path

import catboost
import numpy as np

from held_out import rows_of, write

SETTINGS = {"iterations": 50, "depth": 4, "random_seed": 1, "verbose": 0, "allow_writing_files": False}
NAMES = ["length", "width of the leaf", "größe", "4th"]
COUNT = 600


def main():
    out = Path(sys.argv[1])
    random = np.random.default_rng(1)
    rows = random.normal(size=(COUNT, len(NAMES))).round(3)
    sums = rows[:, 0] + rows[:, 1] ** 2
    rows[random.random(rows.shape) < 0.1] = np.nan
    # predict() of a Poisson regression is the exponential of what the trees add up to.
    train(out / "catboost-counts", catboost.CatBoostRegressor(**SETTINGS, loss_function="Poisson"), rows, random.poisson(np.exp(sums.clip(-2, 2))))
    train(out / "catboost-two", catboost.CatBoostClassifier(**SETTINGS), rows, sums > 1)
    three = np.array(["few", "some", "many"])[np.digitize(sums, [0.3, 1.5])]
    train(out / "catboost-three", catboost.CatBoostClassifier(**SETTINGS), rows, three)


def train(folder, model, rows, targets):
    folder.mkdir(parents=True)
    model.fit(catboost.Pool(rows[::2], targets[::2], feature_names=NAMES))
    model.save_model(folder / "model.cbm")
    held_out = rows[1::2]
    is_regression = isinstance(model, catboost.CatBoostRegressor)
    scores = model.predict(held_out) if is_regression else model.predict_proba(held_out)
    labels = None if is_regression else model.classes_
    what = f"{type(model).__name__}, {model.get_all_params()['loss_function']}, a tenth of the numbers missing"
    write(folder, "model.cbm", what, "generated numbers", rows_of(NAMES, held_out), scores, labels=labels)


if __name__ == "__main__":
    main()
