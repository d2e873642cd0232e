"""Trains pipelines of scikit-learn, and writes them with what they answer to the held-out data.

    npm run python -- exporters/scikit-learn.txt test/exporters/train_scikit_learn.py FOLDER [MODEL …]
"""

import csv
import sys
from collections import Counter
from pathlib import Path

import joblib
import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes, load_digits
from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, OneHotEncoder, StandardScaler
from xgboost import XGBClassifier

from held_out import rows_of, write

QUESTIONS = Path(__file__).resolve().parents[2] / "models/faq-matcher/data/dup-q.tsv"
CLASSES = 10
SPACES = [" ", "\u00a0", "\u2003", "\u3000", "\t", "\u0085"]


def main():
    out, wanted = Path(sys.argv[1]), sys.argv[2:] or MODELS
    for name in wanted:
        folder = out / f"scikit-learn-{name}"
        folder.mkdir(parents=True)
        MODELS[name](folder)
    digits = load_digits()
    np.savez(out / "digits.npz", inputs=digits.data, classes=digits.target)


def read_questions():
    """Returns questions, and the answer that each asks for."""
    with QUESTIONS.open(encoding="utf-8") as file:
        rows = [(row[2], row[1]) for row in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]
    frequent = {answer for answer, _ in Counter(answer for _, answer in rows).most_common(CLASSES)}
    return zip(*[(text, answer) for text, answer in rows if answer in frequent])


def texts(folder):
    """Questions, some with letters beyond ASCII."""
    questions, classes = read_questions()
    questions = [f"{text} Ärger, Öl und GRÖSSE" for text in questions]
    pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(questions[::2], classes[::2])
    joblib.dump(pipeline, folder / "model.joblib")
    held_out = questions[1::2]
    what = "texts: TfidfVectorizer, LogisticRegression"
    write(folder, "model.joblib", what, "questions", held_out, pipeline.predict_proba(held_out), labels=pipeline.classes_)


def phrases(folder):
    """Phrases that span stop words, and repeated words. Each name of a class begins with what could be an id."""
    questions, answers = read_questions()
    questions = [f"{text} the {text.split()[0]} of {text}" for text in questions]
    classes = [f"{answer} is the answer" for answer in answers]
    vectorizer = TfidfVectorizer(stop_words="english", ngram_range=(1, 2), sublinear_tf=True)
    pipeline = make_pipeline(vectorizer, LogisticRegression(C=10)).fit(questions[::2], classes[::2])
    joblib.dump(pipeline, folder / "model.joblib")
    held_out = questions[1::2]
    what = "texts: phrases without stop words, sublinear counts, LogisticRegression"
    write(folder, "model.joblib", what, "questions", held_out, pipeline.predict_proba(held_out), labels=pipeline.classes_)


def words(folder):
    """A number of a text, whose words lie between spaces of every kind."""
    questions, _ = read_questions()
    questions = [text.replace(" ", SPACES[at % len(SPACES)]) for at, text in enumerate(questions)]
    lengths = [len(text) for text in questions]
    pipeline = make_pipeline(CountVectorizer(token_pattern=r"[^\s,]+"), Ridge()).fit(questions[::2], lengths[::2])
    joblib.dump(pipeline, folder / "model.joblib")
    held_out = questions[1::2]
    what = "a number of a text: CountVectorizer, Ridge"
    write(folder, "model.joblib", what, "questions", held_out, pipeline.predict(held_out))


def columns(folder):
    """Patients with numbers and a category, of which some are missing."""
    data = load_diabetes(as_frame=True, scaled=False)
    rows = data.data.assign(sex=np.where(data.data["sex"] == 1, "one", "two"))
    rng = np.random.default_rng(1)
    rows["bmi"] = rows["bmi"].mask(rng.random(len(rows)) < 0.2)
    rows["sex"] = rows["sex"].mask(rng.random(len(rows)) < 0.2)
    classes = np.where(data.target > data.target.median(), "higher", "lower")
    numbers = [name for name in rows.columns if name != "sex"]
    known = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder())
    prepare = ColumnTransformer(
        [("numbers", make_pipeline(SimpleImputer(), StandardScaler()), numbers), ("sex", known, ["sex"])]
    )
    pipeline = make_pipeline(prepare, LogisticRegression()).fit(rows[::2], classes[::2])
    joblib.dump(pipeline, folder / "model.joblib")
    held_out = rows[1::2]
    what = "columns and categories, some missing: ColumnTransformer, LogisticRegression"
    inputs = rows_of(rows.columns, held_out.to_numpy(dtype=object))
    write(folder, "model.joblib", what, "diabetes", inputs, pipeline.predict_proba(held_out), labels=pipeline.classes_)


def sparse(folder):
    """Columns and categories before XGBoost, which reads a 0 of sparse rows as missing."""
    data = load_diabetes(as_frame=True, scaled=False)
    rows = data.data.assign(sex=np.where(data.data["sex"] == 1, "one", "two"), s4=data.data["s4"].round() - 4)
    classes = (data.target > data.target.median()).astype(int)
    numbers = [name for name in rows.columns if name != "sex"]
    prepare = ColumnTransformer([("numbers", MaxAbsScaler(), numbers), ("sex", OneHotEncoder(), ["sex"])], sparse_threshold=1)
    pipeline = make_pipeline(prepare, XGBClassifier(n_estimators=50, max_depth=3)).fit(rows[::2], classes[::2])
    joblib.dump(pipeline, folder / "model.joblib")
    held_out = rows[1::2]
    inputs = rows_of(rows.columns, held_out.to_numpy(dtype=object))
    what = "columns and categories: ColumnTransformer, XGBClassifier"
    write(folder, "model.joblib", what, "diabetes", inputs, pipeline.predict_proba(held_out), labels=pipeline.classes_)


def scaled(folder):
    """Whole numbers, scaled before a forest: many lie on its splits, where the last bit of a scaled number decides."""
    data = load_diabetes(as_frame=True, scaled=False)
    rows = data.data.round()
    rows["age"] = rows["age"].mask(np.random.default_rng(1).random(len(rows)) < 0.2)
    classes = np.where(data.target > data.target.median(), "higher", "lower")
    others = [name for name in rows.columns if name != "age"]
    prepare = ColumnTransformer(
        [("age", make_pipeline(SimpleImputer(), StandardScaler()), ["age"]), ("others", StandardScaler(), others)]
    )
    pipeline = make_pipeline(prepare, RandomForestClassifier(51, random_state=1)).fit(rows[::2], classes[::2])
    joblib.dump(pipeline, folder / "model.joblib", compress=3)
    held_out = rows[1::2]
    what = "scaled whole numbers, some missing: RandomForestClassifier"
    inputs = rows_of(rows.columns, held_out)
    write(folder, "model.joblib", what, "diabetes", inputs, pipeline.predict_proba(held_out), labels=pipeline.classes_)


def boosted(folder):
    """Trees that take gaps as they are."""
    data = load_diabetes(as_frame=True, scaled=False)
    rows = data.data.mask(np.random.default_rng(1).random(data.data.shape) < 0.1)
    model = HistGradientBoostingRegressor(random_state=1).fit(rows[::2], data.target[::2])
    joblib.dump(model, folder / "model.pkl")
    held_out = rows[1::2]
    what = "a number, a tenth of the others missing: HistGradientBoostingRegressor"
    write(folder, "model.pkl", what, "diabetes", rows_of(rows.columns, held_out), model.predict(held_out))


def forest(folder):
    data = load_digits(as_frame=True)
    model = RandomForestClassifier(50, random_state=1).fit(data.data[::2], data.target[::2])
    joblib.dump(model, folder / "model.joblib", compress=3)
    held_out = data.data[1::2]
    inputs = rows_of(held_out.columns, held_out)
    what = "a matrix of numbers: RandomForestClassifier"
    write(folder, "model.joblib", what, "digits", inputs, model.predict_proba(held_out), labels=model.classes_)


def regression(folder):
    data = load_diabetes(as_frame=True)
    model = GradientBoostingRegressor(random_state=1).fit(data.data[::2], data.target[::2])
    joblib.dump(model, folder / "model.pkl")
    held_out = data.data[1::2]
    what = "a number: GradientBoostingRegressor"
    write(folder, "model.pkl", what, "diabetes", rows_of(held_out.columns, held_out), model.predict(held_out))


MODELS = {
    "texts": texts,
    "phrases": phrases,
    "words": words,
    "columns": columns,
    "scaled": scaled,
    "sparse": sparse,
    "forest": forest,
    "boosted": boosted,
    "regression": regression,
}

if __name__ == "__main__":
    main()
