"""Exports small models of scikit-learn, and prints what the exporter says to each, as JSON.

    python test/exporters/check_scikit_learn.py FOLDER
"""

import io
import json
import sys
from contextlib import redirect_stdout
from pathlib import Path

import joblib
import numpy as np
import onnx
import onnxruntime
import pandas as pd
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument
from scipy import special
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans, MeanShift
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.feature_selection import RFE, RFECV, SelectKBest, SequentialFeatureSelector
from sklearn.frozen import FrozenEstimator
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeClassifier, RidgeClassifierCV
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV, TunedThresholdClassifierCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor, RadiusNeighborsClassifier, RadiusNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)
from lightgbm import LGBMClassifier, LGBMRegressor, early_stopping
from sklearn.svm import SVC, SVR, LinearSVC, NuSVC
from xgboost import XGBClassifier, XGBRegressor

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "exporters"))
import from_scikit_learn  # noqa: E402
import scikit_texts  # noqa: E402
from program import run_exporter  # noqa: E402

RNG = np.random.default_rng(1)
WORDS = "parcel late broken the a of was not courier glass refund für # a,b".split()
TEXTS = [" ".join(RNG.choice(WORDS, 9)) for _ in range(300)]
KINDS = ["damaged" if text.count("broken") > text.count("late") else "late" for text in TEXTS]
ROWS = pd.DataFrame({"a b": RNG.normal(size=200), "a_b": RNG.normal(size=200).round(), "ä": RNG.choice(["x", "y"], 200)})
NUMBERS = ROWS[["a b", "a_b"]]
CLASSES = np.where(ROWS["a b"] + (ROWS["ä"] == "x") > 0.5, "18-25 years", "26-35 years")
# Seconds and kilometres: a network of floats rounds the seconds to minutes.
TRIPS = pd.DataFrame({"time": RNG.integers(1.6e9, 1.7e9, 400).astype(float), "km": RNG.integers(0, 100, 400).astype(float)})
LATE = np.where((TRIPS["time"] - 1.65e9) / 2e6 + 0.3 * TRIPS["km"] > 15, "late", "soon")
PLACES = pd.DataFrame({"latitude": 52.4 + 0.2 * RNG.random(300), "longitude": 13.2 + 0.4 * RNG.random(300)})
WAVES = np.sin(30 * PLACES["latitude"]) + np.sin(30 * PLACES["longitude"])
FLAGS = ROWS.assign(member=RNG.random(200) < 0.5)
UNLIKE = [("trees", RandomForestClassifier(5, random_state=1)), ("bayes", GaussianNB())]


def of_texts(*steps):
    return make_pipeline(*steps, LogisticRegression(C=10)).fit(TEXTS, KINDS)


def of_columns(*transformers):
    return make_pipeline(ColumnTransformer(list(transformers)), LogisticRegression()).fit(ROWS, CLASSES)


def models():
    """Yields models by name, each with texts that may show a fault, if it takes texts."""
    for name, settings in {
        "stop words in phrases": {"stop_words": "english", "ngram_range": (1, 2)},
        "stop words beyond ASCII": {"stop_words": ["für", "the"], "ngram_range": (1, 3)},
        "stop words of a vocabulary": {"stop_words": ["the"], "vocabulary": ["the", "late", "broken"]},
        "stop words in capitals": {"stop_words": ["the"], "lowercase": False, "ngram_range": (2, 2)},
        "sublinear": {"sublinear_tf": True},
        "sublinear phrases": {"sublinear_tf": True, "norm": None, "stop_words": ["of"], "ngram_range": (1, 2)},
        "no spaces": {"token_pattern": r"\S+"},
        "no spaces in phrases": {"token_pattern": r"[\S]+", "ngram_range": (2, 2)},
        "no spaces and commas": {"token_pattern": r"[^\s,]+"},
        "letters": {"token_pattern": r"[^\W\d_]+"},
        "long words": {"token_pattern": r"\b\w{3,}\b"},
        "fewer lengths of phrases": {"ngram_range": (1, 3), "max_features": 12},
        "groups": {"token_pattern": r"#(\w+)|\w+"},
    }.items():
        yield name, of_texts(TfidfVectorizer(**settings))
    for name, analyzer in {"terms of letters": "char", "terms within words": "char_wb", "terms of a function": str.split}.items():
        yield name, of_texts(TfidfVectorizer(analyzer=analyzer))
    yield "a model beside its vectorizer", {"vectorizer": CountVectorizer(), "model": LogisticRegression()}
    greek = [" ".join(RNG.choice(["δρόμος", "οδός", "ναι", "τόπος"], 6)) for _ in range(200)]
    counts = [text.count("οδός") > 1 for text in greek]
    yield "sigma", make_pipeline(CountVectorizer(), LogisticRegression(C=10)).fit(greek, np.where(counts, "yes", "no"))
    for name, words in (
        ("capitals with a dot", ["istanbul", "izmir", "güzel", "soğuk", "deniz"]),
        ("cedillas of Romanian", ["iaşi", "mîine", "ţară", "bine", "viaţă"]),
    ):
        texts = [" ".join(RNG.choice(words, 6)) for _ in range(200)]
        counts = [text.count(words[0]) > 1 for text in texts]
        yield name, make_pipeline(TfidfVectorizer(), LogisticRegression(C=10)).fit(texts, np.where(counts, "yes", "no"))
    yield "hashes", of_texts(HashingVectorizer(n_features=32))
    yield "sublinear counts", of_texts(CountVectorizer(), TfidfTransformer(sublinear_tf=True))
    old = of_texts(TfidfVectorizer())
    old[0].stop_words_ = {"late", "parcel"}
    yield "an old vectorizer", old
    yield "a number of a text", make_pipeline(TfidfVectorizer(), Ridge()).fit(TEXTS, [text.count("late") for text in TEXTS])
    yield "texts in a column", make_pipeline(
        ColumnTransformer([("text", TfidfVectorizer(stop_words="english", ngram_range=(1, 2)), "text")]), MultinomialNB()
    ).fit(pd.DataFrame({"text": TEXTS}), KINDS)
    wide = ROWS.assign(sum=NUMBERS.sum(axis=1), noise=RNG.normal(size=200)).drop(columns="ä")
    plain = LogisticRegression()
    for name, selector in {
        "RFE": RFE(plain, n_features_to_select=2),
        "RFECV": RFECV(plain, cv=2),
        "SequentialFeatureSelector": SequentialFeatureSelector(plain, n_features_to_select=2, cv=2),
        "SelectKBest": SelectKBest(k=1),  # the first column alone
    }.items():
        yield f"columns of {name}", make_pipeline(StandardScaler(), selector, LogisticRegression()).fit(wide, CLASSES)
    yield "columns of RFE alone", RFE(plain, n_features_to_select=2).fit(wide, CLASSES)
    yield "columns of RFE for a number", make_pipeline(StandardScaler(), RFE(Ridge(), n_features_to_select=2)).fit(wide, wide["sum"])
    inner = ColumnTransformer([("few", make_pipeline(StandardScaler(), RFE(plain, n_features_to_select=2)), list(wide))])
    yield "columns of RFE in columns", make_pipeline(inner, LogisticRegression()).fit(wide, CLASSES)
    yield "unlike voters", VotingClassifier(UNLIKE, voting="soft").fit(NUMBERS, CLASSES)
    yield "unlike layers", StackingClassifier(UNLIKE).fit(NUMBERS, CLASSES)
    yield "no negative numbers", MultinomialNB().fit(NUMBERS.abs(), CLASSES)
    yield "votes", VotingClassifier(UNLIKE).fit(NUMBERS, CLASSES)
    yield "weighted classes", VotingClassifier(UNLIKE, voting="soft", weights=[1, 3]).fit(NUMBERS, CLASSES)
    yield "targets", of_columns(("targets", TargetEncoder(), ["ä"]), ("scaled", StandardScaler(), ["a b"]))
    yield "calibrated", CalibratedClassifierCV(make_pipeline(StandardScaler(), LinearSVC()), cv=2).fit(NUMBERS, CLASSES)
    yield "rare categories", of_columns(("kinds", OneHotEncoder(max_categories=1), ["ä"]))
    yield "no rare categories", of_columns(("kinds", OneHotEncoder(handle_unknown="infrequent_if_exist"), ["ä"]))
    yield "columns of like names", of_columns(("scaled", StandardScaler(), ["a_b", "a b"]), ("kinds", OneHotEncoder(), ["ä"]))
    names = {"a b": "label", "a_b": "probabilities"}
    steps = ColumnTransformer([("scaled", StandardScaler(), list(names.values()))])
    yield "columns named as outputs are", make_pipeline(steps, LogisticRegression()).fit(ROWS.rename(columns=names), CLASSES)
    yield "boosted Booleans", AdaBoostClassifier(n_estimators=5).fit(NUMBERS, NUMBERS["a b"] > 0)
    whole = NUMBERS["a b"].gt(0).astype(np.uint8)
    yield "whole classes without a sign", VotingClassifier([("bayes", GaussianNB())], voting="soft").fit(NUMBERS, whole)
    rows = ROWS.assign(ä=ROWS["ä"].astype(object).where(RNG.random(len(ROWS)) < 0.8, np.nan))
    for encoder in (
        OneHotEncoder(handle_unknown="ignore"),
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2),
    ):
        steps = ColumnTransformer([("kinds", encoder, ["ä"])]), LogisticRegression()
        yield f"missing texts of {type(encoder).__name__}", make_pipeline(*steps).fit(rows, CLASSES)
    encoder = OneHotEncoder(handle_unknown="ignore")
    for gap, imputer in (
        (np.nan, SimpleImputer(strategy="most_frequent", fill_value="y")),
        (np.nan, SimpleImputer(strategy="constant", fill_value="none")),
        (None, SimpleImputer(missing_values=None, strategy="most_frequent")),
        ("?", SimpleImputer(missing_values="?", strategy="most_frequent", fill_value="y")),
    ):
        steps = ColumnTransformer([("kinds", make_pipeline(imputer, encoder), ["ä"])]), LogisticRegression()
        gaps = ROWS.assign(ä=ROWS["ä"].astype(object).where(rows["ä"].notna(), gap))
        yield f"imputed texts, {gap} by {imputer.strategy}", make_pipeline(*steps).fit(gaps, CLASSES)
    steps = ColumnTransformer([("kinds", make_pipeline(SimpleImputer(strategy="most_frequent"), encoder), ["ä", "a_b"])])
    yield "imputed texts and numbers", make_pipeline(steps, LogisticRegression()).fit(rows, CLASSES)
    yield "two classes apart", LinearDiscriminantAnalysis().fit(NUMBERS, CLASSES)
    yield "two classes by a ridge", RidgeClassifier().fit(NUMBERS, CLASSES)
    three = np.where(ROWS["a b"] > 0.7, "high", np.where(ROWS["a b"] < -0.7, "low", "medium"))
    yield "pairs of classes", SVC(decision_function_shape="ovo").fit(NUMBERS, three)
    yield "numbers in bins", make_pipeline(KBinsDiscretizer(5), LogisticRegression()).fit(NUMBERS, CLASSES)
    for function in (np.abs, np.log, np.log10, np.log1p, np.log2, np.sqrt, np.square):
        curved = make_pipeline(FunctionTransformer(function), StandardScaler())
        steps = ColumnTransformer([("curved", curved, ["a b"]), ("alone", FunctionTransformer(function), ["a_b"])])
        rows = NUMBERS.abs() + 0.1
        yield f"{function.__name__} of columns", make_pipeline(steps, LogisticRegression()).fit(rows, CLASSES)
    yield "a function of NumPy's that is not known", make_pipeline(FunctionTransformer(np.cbrt), Ridge()).fit(rows, rows["a b"])
    scaled = Pipeline([("as it is", "passthrough"), ("scale", StandardScaler())])
    steps = ColumnTransformer([("kinds", OneHotEncoder(), ["ä"]), ("scaled", scaled, ["a b"])])
    yield "steps that pass", Pipeline([("none", "passthrough"), ("columns", steps), ("lines", LogisticRegression())]).fit(ROWS, CLASSES)
    both = np.column_stack([NUMBERS > 0, ROWS["ä"] == "x"]).astype(int)
    yield "several labels", OneVsRestClassifier(LinearSVC()).fit(NUMBERS, both)
    yield "several classifiers", MultiOutputClassifier(LogisticRegression()).fit(NUMBERS, both)
    yield "trees of several answers", RandomForestClassifier(3, random_state=1).fit(NUMBERS, both)
    yield "one class", make_pipeline(StandardScaler(), GaussianNB()).fit(NUMBERS, ["only"] * len(NUMBERS))
    yield "layers of two numbers", MLPRegressor(hidden_layer_sizes=(4,), max_iter=20, random_state=1).fit(NUMBERS, NUMBERS)
    columns = ColumnTransformer([("kinds", OneHotEncoder(), ["ä"]), ("scaled", StandardScaler(), ["a b"])])
    inner = make_pipeline(columns, LogisticRegression())
    yield "columns of voters", VotingClassifier([("columns", inner), ("again", inner)], voting="soft").fit(ROWS, CLASSES)
    yield "columns of a calibrated model", CalibratedClassifierCV(inner, cv=2).fit(ROWS, CLASSES)
    nested = make_pipeline(ColumnTransformer([("all", columns, ["ä", "a b"])]), LogisticRegression())
    yield "columns in columns", nested.fit(ROWS, CLASSES)
    nulls = rows_of_nulls()
    imputed = make_pipeline(SimpleImputer(strategy="constant", fill_value="none"), OneHotEncoder(handle_unknown="ignore"))
    for name, step in (
        ("None that is not imputed", imputed),
        ("None of OneHotEncoder", OneHotEncoder(handle_unknown="ignore")),
        ("None of OrdinalEncoder", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)),
    ):
        # It takes no negative number, so the sample is changed.
        steps = ColumnTransformer([("kinds", step, ["ä"]), ("sizes", FunctionTransformer(np.log1p), ["a b"])])
        yield name, make_pipeline(steps, LogisticRegression()).fit(nulls, CLASSES)
    for scale in (1, 100):
        rows = NUMBERS * scale
        yield f"several labels of {scale}", OneVsRestClassifier(LogisticRegression(max_iter=500)).fit(rows, both)
    far = NUMBERS + 20
    yield "several labels of larger numbers", OneVsRestClassifier(LogisticRegression(max_iter=500)).fit(far, (far > 20).astype(int))
    layers = MLPClassifier((4,), max_iter=50, random_state=1)
    yield "several labels of layers", make_pipeline(StandardScaler(), layers).fit(NUMBERS, both)
    yield "labels that none has", OneVsRestClassifier(LogisticRegression(C=1e-6)).fit(NUMBERS, np.eye(200, 2, dtype=int))
    gaps = NUMBERS.where(RNG.random(NUMBERS.shape) < 0.9)
    marked = SimpleImputer(add_indicator=True)
    yield "marked gaps", make_pipeline(marked, LogisticRegression()).fit(gaps, CLASSES)
    columns = ColumnTransformer([("kinds", OneHotEncoder(), ["ä"]), ("sizes", make_pipeline(marked, StandardScaler()), ["a b"])])
    yield "marked gaps of columns", make_pipeline(columns, LogisticRegression()).fit(ROWS.assign(**{"a b": gaps["a b"]}), CLASSES)
    yield "no gaps to mark", make_pipeline(marked, StandardScaler(), LogisticRegression()).fit(NUMBERS, CLASSES)
    higher = (NUMBERS["a b"] > 0.7).astype(int)
    yield "two numbers", RandomForestRegressor(5, random_state=1).fit(NUMBERS, NUMBERS)
    values = FixedThresholdClassifier(LogisticRegression(), threshold=-1, response_method="decision_function")
    yield "a threshold of decision values", values.fit(NUMBERS, higher)
    yield "a threshold of vectors", FixedThresholdClassifier(LinearSVC(), threshold=0.5).fit(NUMBERS, higher)
    cubes = TransformedTargetRegressor(Ridge(), func=np.exp, inverse_func=np.cbrt, check_inverse=False)
    yield "a target of cubes", cubes.fit(NUMBERS, NUMBERS["a b"])
    normal = QuantileTransformer(n_quantiles=20, output_distribution="normal")
    yield "a target of quantiles", TransformedTargetRegressor(Ridge(), transformer=normal).fit(NUMBERS, NUMBERS["a b"])
    yield "ridge by a search", make_pipeline(StandardScaler(), RidgeClassifierCV()).fit(NUMBERS, CLASSES)
    yield "outliers", make_pipeline(StandardScaler(), IsolationForest(n_estimators=20, random_state=1)).fit(NUMBERS)
    yield "clusters", make_pipeline(StandardScaler(), KMeans(3, n_init=1, random_state=1)).fit(NUMBERS)
    yield "clusters without distances", MeanShift().fit(NUMBERS)


def wrapped():
    """Yields models inside of others that change their answer, each with rows of its training."""
    higher = (NUMBERS["a b"] > 0.7).astype(int)
    tuned = TunedThresholdClassifierCV(LogisticRegression(), scoring="recall")
    yield "a threshold that was tuned", make_pipeline(StandardScaler(), tuned).fit(NUMBERS, higher), NUMBERS
    columns = ColumnTransformer([("kinds", OneHotEncoder(), ["ä"]), ("scaled", StandardScaler(), ["a b"])])
    first = FixedThresholdClassifier(make_pipeline(columns, LogisticRegression()), threshold=0.2, pos_label=CLASSES[0])
    yield "a threshold of the first class, of columns", first.fit(ROWS, CLASSES), ROWS
    places = make_pipeline(ColumnTransformer([("kinds", OneHotEncoder(), [2]), ("scaled", StandardScaler(), [0])]), LogisticRegression())
    yield "columns by their places, with one between that is not used", places.fit(ROWS, CLASSES), ROWS
    # Shares of ten trees are often the threshold itself.
    trees = FixedThresholdClassifier(RandomForestClassifier(10, max_depth=2, random_state=1), threshold=0.3)
    yield "a threshold of trees", GridSearchCV(trees, {"threshold": [0.3]}, cv=2).fit(NUMBERS, higher), NUMBERS
    texts = FixedThresholdClassifier(make_pipeline(TfidfVectorizer(), LogisticRegression()), threshold=0.9)
    yield "a threshold of texts", texts.fit(TEXTS, np.array(KINDS) == "late"), TEXTS
    price = np.exp(ROWS["a b"] + (ROWS["ä"] == "x"))
    for function, back in ((np.log, np.exp), (np.log1p, np.expm1), (np.log2, np.exp2), (np.sqrt, np.square)):
        turned = TransformedTargetRegressor(make_pipeline(columns, Ridge()), func=function, inverse_func=back)
        yield f"a target by {function.__name__}", turned.fit(ROWS, price), ROWS
    logarithm = FunctionTransformer(special.log1p, special.expm1)
    transformers = StandardScaler(), MinMaxScaler((2, 5)), make_pipeline(logarithm, RobustScaler()), PowerTransformer("box-cox")
    for transformer in (*transformers, PowerTransformer(), QuantileTransformer(n_quantiles=20)):
        turned = TransformedTargetRegressor(RandomForestRegressor(5, random_state=1), transformer=transformer)
        search = GridSearchCV(make_pipeline(StandardScaler(), turned), {"standardscaler__with_std": [True]}, cv=2)
        name = getattr(transformer, "method", type(transformer).__name__)
        yield f"a target by {name}", search.fit(NUMBERS, price), NUMBERS
        price = price - 0.9 if isinstance(transformer, PowerTransformer) else price  # Yeo-Johnson knows signs
    voters = VotingRegressor([("trees", RandomForestRegressor(5, random_state=1)), ("lines", Ridge())], weights=[1, 3])
    yield "weighted voters", voters.fit(NUMBERS, price), NUMBERS


def calibrated():
    """Yields calibrated models, each with rows of its training, which lie on its splits and steps."""
    rng = np.random.default_rng(2)  # others have steps that floats do not tell apart
    rows = pd.DataFrame(rng.normal(size=(600, 2)), columns=["a", "b"])
    kinds = np.digitize(rows["a"] + 0.3 * rng.normal(size=600), [-0.5, 0.5])
    trees = HistGradientBoostingClassifier(max_iter=10, random_state=1)
    scaled = make_pipeline(StandardScaler(), CalibratedClassifierCV(trees, cv=2))
    yield "calibrated trees of doubles", scaled.fit(rows, kinds), rows
    yield "trees in steps", CalibratedClassifierCV(trees, method="isotonic", cv=2).fit(rows, kinds), rows
    frozen = FrozenEstimator(RandomForestClassifier(10, max_depth=4, random_state=1).fit(rows, kinds))
    yield "frozen trees in steps", CalibratedClassifierCV(frozen, method="isotonic").fit(rows, kinds), rows
    few = CalibratedClassifierCV(frozen, method="isotonic").fit(rows, kinds)
    step = few.calibrated_classifiers_[0].calibrators[0]
    step.X_thresholds_, step.y_thresholds_ = np.array([1.0, 1.0 + 1e-9]), np.array([0.0, 1.0])
    yield "steps at one float", few, None


def rows_of_nulls():
    """Returns rows with None in the texts, which says much about the class, and with no negative number."""
    missing = (CLASSES == "18-25 years") ^ (RNG.random(len(ROWS)) < 0.1)
    return ROWS.assign(ä=pd.Series(np.where(missing, None, ROWS["ä"]), dtype=object), **{"a b": ROWS["a b"].abs()})


def of_numbers():
    """Yields models whose sample has to be where their training was, each with rows from there."""
    scaled_trees = make_pipeline(StandardScaler(), RandomForestClassifier(20, random_state=1))
    yield "neighbours", KNeighborsClassifier().fit(TRIPS, LATE), TRIPS
    far = pd.concat([PLACES.assign(**{name: size}) for name in PLACES for size in (1e5, 1e6, -1e7)])
    yield "neighbours of outliers", KNeighborsRegressor().fit(PLACES, WAVES), far
    yield "scaled neighbours of outliers", make_pipeline(StandardScaler(), KNeighborsRegressor()).fit(PLACES, WAVES), far
    bagged = BaggingRegressor(KNeighborsRegressor(), 3, random_state=1)
    yield "bagged neighbours of outliers", bagged.fit(PLACES, WAVES), far
    yield "close neighbours", KNeighborsRegressor(weights="distance").fit(PLACES, WAVES), PLACES
    yield "polynomials", make_pipeline(PolynomialFeatures(3), LinearRegression()).fit(PLACES, WAVES), PLACES
    zeros = pd.concat([NUMBERS, pd.DataFrame({"a b": [0.0], "a_b": [0.0]})])
    for norm in ("l1", "l2", "max"):
        normalised = make_pipeline(Normalizer(norm), RandomForestClassifier(20, random_state=1))
        yield f"rows of a length by {norm}", normalised.fit(NUMBERS, CLASSES), zeros
    yield "vectors far away", SVR(C=100).fit(TRIPS, TRIPS["km"]), TRIPS
    search = GridSearchCV(make_pipeline(StandardScaler(), SVC()), {"svc__C": [1]}, cv=2)
    yield "searched vectors", search.fit(TRIPS, LATE), TRIPS
    yield "few vectors", make_pipeline(StandardScaler(), NuSVC()).fit(NUMBERS, CLASSES), NUMBERS
    yield "calibrated trees", CalibratedClassifierCV(scaled_trees, cv=2).fit(TRIPS, LATE), TRIPS
    lines = make_pipeline(StandardScaler(), LogisticRegression())
    voters = VotingClassifier([("trees", scaled_trees), ("lines", lines)], voting="soft")
    yield "voting trees", voters.fit(TRIPS, LATE), TRIPS
    # Next to these answers, a difference or a gap is small.
    forest = RandomForestRegressor(5, random_state=1)
    voters = VotingRegressor([("trees", make_pipeline(StandardScaler(), forest)), ("lines", make_pipeline(StandardScaler(), Ridge()))])
    yield "voting trees of years", voters.fit(TRIPS, 2000 + 0.2 * TRIPS["km"]), TRIPS
    gaps = NUMBERS.mask(np.random.default_rng(2).random(NUMBERS.shape) < 0.1)
    yield "trees of large numbers", forest.fit(NUMBERS, NUMBERS["a b"] + 1e5), gaps
    yield "trees that part gaps", RandomForestRegressor(5, random_state=1).fit(gaps, gaps["a b"].isna() + 0.0), gaps
    # Beside a scaler, few numbers of the sample are on the threshold.
    large = NUMBERS.assign(**{"a b": np.repeat([7, 100, 1000, 3000], 50)})
    steps = ColumnTransformer([("scaled", StandardScaler(), ["a b"]), ("marked", Binarizer(threshold=7), ["a b"])])
    yield "numbers at a threshold", make_pipeline(steps, LogisticRegression()).fit(large, CLASSES), large
    # The logarithm of a number below 0 is a gap.
    logarithms = make_pipeline(FunctionTransformer(np.log1p), RandomForestClassifier(20, random_state=1))
    yield "trees behind a logarithm", logarithms.fit(NUMBERS.abs(), CLASSES), 3 * NUMBERS
    small = np.abs(WAVES) * 1e-5 + 1e-7
    yield "small numbers", HistGradientBoostingRegressor(loss="gamma", max_iter=5).fit(PLACES, small), PLACES
    steps = ColumnTransformer([("flags", OneHotEncoder(), ["member"]), ("scaled", StandardScaler(), ["a b"])])
    yield "Booleans", make_pipeline(steps, LogisticRegression()).fit(FLAGS, CLASSES), FLAGS
    steps = ColumnTransformer([("kinds", OneHotEncoder(), ["ä"]), ("scaled", StandardScaler(), ["a b"])])
    search = GridSearchCV(make_pipeline(steps, LogisticRegression()), {"logisticregression__C": [1]}, cv=2)
    yield "searched columns", search.fit(ROWS, CLASSES), ROWS
    yield "quadratic", QuadraticDiscriminantAnalysis().fit(NUMBERS, CLASSES), NUMBERS
    yield "neighbours fill gaps", make_pipeline(KNNImputer(), LogisticRegression()).fit(gaps, CLASSES), None
    steps = ColumnTransformer([("gaps", KNNImputer(), ["a b", "a_b"]), ("kinds", OneHotEncoder(), ["ä"])])
    yield "neighbours fill columns", make_pipeline(steps, LogisticRegression()).fit(ROWS, CLASSES), None
    yield "neighbours within a radius", RadiusNeighborsClassifier(outlier_label="most_frequent").fit(NUMBERS, CLASSES), None
    yield "scaled neighbours within a radius", make_pipeline(StandardScaler(), RadiusNeighborsRegressor()).fit(NUMBERS, WAVES[:200]), None
    steps = ColumnTransformer([("kinds", OrdinalEncoder(), ["ä"])], remainder="passthrough")
    native = HistGradientBoostingClassifier(max_iter=5, categorical_features=[0])
    odd = ROWS.assign(ä=RNG.choice(np.array(["x", "y", "z", "unknown", np.nan], object), 200))
    yield "native categories behind an encoder", make_pipeline(steps, native).fit(ROWS, CLASSES), ROWS
    of_kinds = odd.assign(ä=odd["ä"].replace("unknown", "x").astype("category"))
    of_kinds.loc[::9, "a b"] = np.nan
    yield "native categories", HistGradientBoostingClassifier(max_iter=5).fit(of_kinds, CLASSES), odd
    days = np.column_stack([RNG.integers(0, 40, 400) / 4, RNG.normal(size=(400, 2))])
    sums = (days[:, 1] > 0) * (days[:, 0] % 0.75 > 0.3) * days[:, 2] ** 2
    for loss in ("squared_error", "poisson"):
        counted = HistGradientBoostingRegressor(loss=loss, max_iter=20, categorical_features=[0]).fit(days, sums)
        yield f"native categories of numbers, {loss}", counted, pd.DataFrame(days).set_axis([f"column {at}" for at in range(3)], axis=1)
    voters = VotingClassifier([("native", native), ("linear", LogisticRegression())], voting="soft")
    yield "native categories in a vote", voters.fit(NUMBERS.round(), CLASSES), None
    inner = TransformedTargetRegressor(LinearRegression(), func=np.log, inverse_func=np.exp)
    positive = np.exp(NUMBERS["a b"])
    yield "targets in a vote", VotingRegressor([("first", inner), ("second", LinearRegression())]).fit(NUMBERS, positive), None
    yield "targets in bags", BaggingRegressor(inner, n_estimators=2).fit(NUMBERS, positive), None
    yield "steps without a converter", make_pipeline(SplineTransformer(), LogisticRegression()).fit(NUMBERS, CLASSES), None
    yield "texts in a matrix", make_pipeline(OneHotEncoder(), LogisticRegression()).fit(ROWS[["ä"]], CLASSES), ROWS[["ä"]]


def boosters():
    """Yields boosters, alone and in other models, each with rows of its training."""
    xgboost = {"n_estimators": 20, "max_depth": 3}
    lightgbm = {"n_estimators": 20, "min_child_samples": 5, "verbose": -1}
    number, higher = ROWS["a b"] + (ROWS["ä"] == "x"), (ROWS["a b"] > 0).astype(int)
    three = np.digitize(ROWS["a b"], [-0.7, 0.7])
    numbers = NUMBERS.set_axis(["a", "b"], axis=1)  # LightGBM writes `a b` as `a_b`
    later = [(numbers[:100], higher[:100])]
    # XGBoost reads a 0 of sparse rows as missing.
    sparse = ("kinds", OneHotEncoder(), ["ä"]), ("sizes", MaxAbsScaler(), ["a b", "a_b"])
    columns = ColumnTransformer(list(sparse), sparse_threshold=1)
    yield "XGBoost of sparse columns", make_pipeline(columns, XGBClassifier(**xgboost)).fit(ROWS, higher), ROWS
    yield "LightGBM of sparse columns", make_pipeline(columns, LGBMClassifier(**lightgbm)).fit(ROWS, CLASSES), ROWS
    columns = ColumnTransformer([("kinds", OneHotEncoder(sparse_output=False), ["ä"])], remainder=StandardScaler())
    yield "XGBoost of scaled columns", make_pipeline(columns, XGBRegressor(**xgboost)).fit(ROWS, number), ROWS
    yield "LightGBM of scaled columns", make_pipeline(columns, LGBMRegressor(**lightgbm)).fit(ROWS, number), ROWS
    search = GridSearchCV(make_pipeline(StandardScaler(), XGBClassifier(**xgboost)), {"xgbclassifier__max_depth": [2]}, cv=2)
    yield "XGBoost by a search", search.fit(NUMBERS, three), NUMBERS
    stopped = XGBClassifier(**{**xgboost, "n_estimators": 200}, early_stopping_rounds=3)
    yield "XGBoost that stopped early", stopped.fit(numbers[100:], higher[100:], eval_set=later, verbose=False), numbers
    stopped = LGBMClassifier(**{**lightgbm, "n_estimators": 200})
    stops = [early_stopping(3, verbose=False)]
    yield "LightGBM that stopped early", stopped.fit(numbers[100:], higher[100:], eval_set=later, callbacks=stops), numbers
    yield "XGBoost of classes alone", XGBClassifier(**xgboost, objective="multi:softmax").fit(NUMBERS, three), NUMBERS
    yield "XGBoost where 0 is missing", XGBClassifier(**xgboost, missing=0).fit(NUMBERS, higher), NUMBERS
    yield "XGBoost, calibrated", CalibratedClassifierCV(XGBClassifier(**xgboost), cv=2).fit(NUMBERS, higher), NUMBERS
    voters = VotingClassifier([("first", XGBClassifier(**xgboost)), ("second", LGBMClassifier(**lightgbm))], voting="soft")
    yield "voting boosters", voters.fit(numbers, CLASSES), numbers
    texts = make_pipeline(CountVectorizer(), XGBClassifier(**xgboost)).fit(TEXTS, np.array(KINDS) == "late")
    yield "XGBoost of texts", texts, None
    kind = pd.Series(np.where(ROWS["ä"] == "x", 10, 2)).astype("category")
    of_kinds = numbers.assign(ä=ROWS["ä"].astype("category"), kind=kind, label=higher == 1)
    of_kinds[["ä", "kind"]] = of_kinds[["ä", "kind"]].where(RNG.random((200, 2)) < 0.9)
    known = {**xgboost, "enable_categorical": True}
    yield "XGBoost of pandas' categories", XGBClassifier(**known).fit(of_kinds, three), of_kinds
    yield "XGBoost of Booleans", XGBRegressor(**xgboost).fit(of_kinds[["a", "label"]], number), of_kinds[["a", "label"]]
    unknown = of_kinds.assign(ä=of_kinds["ä"].cat.rename_categories({"y": "unknown"}))
    yield "LightGBM of pandas' categories", LGBMClassifier(**lightgbm).fit(of_kinds, CLASSES), unknown
    signs = pd.DataFrame(np.random.default_rng(2).integers(-1, 2, (200, 2)), columns=["a", "b"])
    yield "LightGBM of signs", LGBMRegressor(**lightgbm).fit(signs, 2 * signs["a"] + 3 * (signs["b"] == 0)), signs
    turned = TransformedTargetRegressor(LGBMRegressor(**lightgbm), func=np.log, inverse_func=np.exp)
    yield "a target of pandas' categories", turned.fit(of_kinds, np.exp(number)), of_kinds
    umlauts = of_kinds.assign(ä=of_kinds["ä"].cat.rename_categories({"y": "ü"}))
    yield "XGBoost of categories beyond ASCII", XGBClassifier(**known).fit(umlauts, higher), None
    ordered = of_kinds.assign(ä=of_kinds["ä"].cat.as_ordered())
    yield "LightGBM of ordered categories", LGBMClassifier(**lightgbm).fit(ordered, higher), None
    calibrated = CalibratedClassifierCV(LGBMClassifier(**lightgbm), cv=2)
    yield "LightGBM of categories, calibrated", calibrated.fit(of_kinds, higher), None
    yield "XGBoost that drops trees", XGBClassifier(**xgboost, booster="dart").fit(NUMBERS, higher), None
    yield "LightGBM where 0 is missing", LGBMClassifier(**lightgbm, zero_as_missing=True).fit(numbers, higher), None


def apart(model, rows, folder):
    """Returns the largest difference between the network and its original, as a share of the largest answer."""
    found = scores_of(rows, folder)
    expected = np.asarray(from_scikit_learn.answer(model, rows))
    return float(np.abs(found.reshape(expected.shape) - expected).max() / np.abs(expected).max())


def other_labels(model, rows, folder, thresholds):
    """Returns the share of rows whose classes from the thresholds on are not the one that the original names."""
    reached = scores_of(rows, folder) >= np.float32(thresholds)
    return float(np.mean((reached != (model.classes_ == np.asarray(model.predict(rows))[:, np.newaxis])).any(axis=1)))


def scores_of(rows, folder):
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    kinds = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(string)": object, "tensor(int64)": np.int64}
    inputs = session.get_inputs()
    rows = pd.DataFrame({"text": rows}) if isinstance(rows, list) else rows
    columns = {given.name: rows if given.name == "row" else rows[[given.name]] for given in inputs}
    gaps = {"tensor(string)": "<missing>"}
    filled = {given.name: columns[given.name].astype(object).fillna(gaps.get(given.type, np.nan)) for given in inputs}
    feeds = {given.name: filled[given.name].to_numpy().astype(kinds[given.type]) for given in inputs}
    return from_scikit_learn.floats(dict(enumerate(session.run(None, feeds))))


def export(model, folder):
    """Returns what the exporter says and, if it writes a network, its inputs, outputs and manifest."""
    joblib.dump(model, folder / "model.joblib")
    return export_file(folder)


def export_file(folder):
    sys.argv = ["from_scikit_learn.py", str(folder / "model.joblib"), str(folder / "model.onnx")]
    said = io.StringIO()
    try:
        with redirect_stdout(said):
            from_scikit_learn.main()
    except SystemExit as end:
        return {"refusal": str(end.code)}
    network = onnx.load(folder / "model.onnx")
    graph = network.graph
    manifest = json.loads(next(entry.value for entry in network.metadata_props if entry.key == "scoreline"))
    shapes = [[size.dim_value or -1 for size in output.type.tensor_type.shape.dim] for output in graph.output]
    names = [value.name for value in graph.input]
    return {"said": said.getvalue(), "inputs": names, "shapes": shapes, "manifest": manifest}


def outside(folder):
    """Exports neighbours behind a logarithm, and returns which of three rows have scores: it has no finite number for the first two."""
    positive = ROWS.assign(**{"a b": ROWS["a b"].abs()})
    steps = ColumnTransformer([("size", FunctionTransformer(np.log1p), ["a b"]), ("kinds", OneHotEncoder(sparse_output=False), ["ä"])])
    said = export(make_pipeline(steps, KNeighborsClassifier()).fit(positive, CLASSES), folder)
    scores = scores_of(positive[:3].assign(**{"a b": [-3.0, -1.0, 0.5]}), folder)
    return {**said, "answered": np.isfinite(scores).all(axis=1).tolist()}


def unknown(folder):
    """Exports trees behind an OrdinalEncoder, and returns which of three texts have scores: it refuses one that it has not seen."""
    rows = ROWS.assign(ä=ROWS["ä"].astype(object).where(ROWS["a b"] < 0.5, np.nan))
    steps = ColumnTransformer([("kinds", OrdinalEncoder(), ["ä"])], remainder="passthrough")
    said = export(make_pipeline(steps, RandomForestClassifier(5, random_state=1)).fit(rows, CLASSES), folder)
    answered = []
    for text in ("y", np.nan, "unknown"):
        try:
            answered.append(bool(np.isfinite(scores_of(rows[:1].assign(ä=[text]), folder)).all()))
        except InvalidArgument:
            answered.append(False)
    return {**said, "answered": answered}


def unexpected():
    """Returns what an exporter says to an exception that it does not expect."""

    def main():
        raise RuntimeError("first line\nsecond line")

    try:
        run_exporter(main)
    except SystemExit as end:
        return {"refusal": str(end.code)}


def faults():
    """Yields faults of networks that the sample texts have to show, each with a model."""

    def weigh(scope, operator, container):
        return scikit_texts.WEIGHER(scope, operator, container)

    def keep_words(scope, container, words, stops, pad):
        return words

    def keep_part(part):
        return part

    def keep_ends(scope, container, words, finals):
        return words

    for name, fault, settings in (
        ("weigh_counts", weigh, {"sublinear_tf": True}),
        ("without_words", keep_words, {"stop_words": ["of", "a", "the"], "ngram_range": (1, 2)}),
        ("translate", keep_part, {"token_pattern": r"[^\s,]+"}),
    ):
        yield name, fault, of_texts(TfidfVectorizer(**settings))
    # Of so many terms, a part is in the sample.
    texts = [f"w{at} w{at + 1} {'λόγος' if at % 2 else ''}" for at in range(201)]
    yield "with_final_sigma", keep_ends, make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, [at % 2 for at in range(201)])


def main():
    folder = Path(sys.argv[1])
    found = {name: export(model, folder) for name, model in models()}
    for name, model, rows in [*of_numbers(), *boosters(), *wrapped(), *calibrated()]:
        found[name] = export(model, folder)
        if "said" in found[name] and rows is not None:
            found[name]["apart"] = apart(model, rows, folder)
            thresholds = found[name]["manifest"].get("output", {}).get("threshold")
            if thresholds is not None:
                found[name]["otherLabels"] = other_labels(model, rows, folder, thresholds)
    # A pickle that names a class of a package that is not here
    (folder / "model.joblib").write_bytes(b"ccatboost\nCatBoostClassifier\n.")
    found["a package that is not here"] = export_file(folder)
    found["an unexpected exception"] = unexpected()
    found["numbers outside of a logarithm"] = outside(folder)
    found["a text that trees have not seen"] = unknown(folder)
    for name, fault, model in faults():
        right = getattr(scikit_texts, name)
        setattr(scikit_texts, name, fault)
        found[f"without {name}"] = export(model, folder)
        setattr(scikit_texts, name, right)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
