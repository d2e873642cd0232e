"""Trains the breast-cancer model and writes what serving and tests need. `python train.py --help`.

    model.onnx          the pipeline, exported by skl2onnx
    labels.txt          the classes, in the order of the probabilities
    held-out.jsonl.gz   a line for each held-out row: row, class, scikit-learn's probabilities
    metrics.json        what was measured, with which settings

It also prints the columns for model.yaml. The data are those that scikit-learn carries, so nothing is
downloaded. `--check` trains again and compares with the files that are there.
"""

import argparse
import gzip
import importlib.metadata
import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_breast_cancer
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

HERE = Path(__file__).resolve().parent
PACKAGES = ("numpy", "onnx", "onnxruntime", "scikit-learn", "scipy", "skl2onnx")
SETTINGS = {"seed": 1, "testFraction": 0.25, "regularization": 1.0, "folds": 5}
SINGLE_COLUMN = "worst perimeter"

# The solver goes on until the optimum itself, and what training has found is rounded to fewer digits than
# processors agree in. So the file is the same on all of them.
SOLVER_TOLERANCE = 1e-10
DIGITS = 7

AGREEMENT_MAX = 1e-5  # between scikit-learn's and ONNX Runtime's probabilities
# What --check lets pass. The smallest change that was tried, C by a 1000th, makes a difference of 8e-5.
PROBABILITY_TOLERANCE = 1e-6
METRIC_TOLERANCE = 1e-4


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Train the breast-cancer model.")
    parser.add_argument("--out", type=Path, default=HERE, help="folder for the files")
    parser.add_argument("--check", action="store_true", help="write nothing, compare with the files in --out")
    options = parser.parse_args(arguments)
    with threadpool_limits(1):
        trained = train()
    return check(trained, options.out) if options.check else write(trained, options.out)


def train():
    data = load_breast_cancer()
    rows, held_out, classes, truth = train_test_split(
        data.data,
        data.target,
        test_size=SETTINGS["testFraction"],
        stratify=data.target,
        random_state=SETTINGS["seed"],
    )
    pipeline = round_parameters(make_pipeline_of_ours().fit(rows, classes))
    probabilities = pipeline.predict_proba(held_out)
    single = [list(data.feature_names).index(SINGLE_COLUMN)]
    methods = {
        "pipeline": probabilities,
        "singleColumn": make_pipeline_of_ours().fit(rows[:, single], classes).predict_proba(held_out[:, single]),
        "mostFrequent": DummyClassifier(strategy="prior").fit(rows, classes).predict_proba(held_out),
    }
    folds = StratifiedKFold(SETTINGS["folds"], shuffle=True, random_state=SETTINGS["seed"])
    across = cross_val_predict(make_pipeline_of_ours(), rows, classes, cv=folds, method="predict_proba")
    metrics = {
        "settings": SETTINGS,
        "packages": {package: importlib.metadata.version(package) for package in PACKAGES},
        "rows": len(data.data),
        "train": len(rows),
        "test": len(held_out),
        "pipelineCrossValidated": measure(classes, across),
    } | {name: measure(truth, scores) for name, scores in methods.items()}
    return {
        "columns": [str(name) for name in data.feature_names],
        "labels": "".join(f"{at} {name}\n" for at, name in enumerate(data.target_names)),
        "metrics": metrics,
        "model": export(pipeline),
        "held_out": held_out,
        "truth": truth,
        "probabilities": probabilities,
    }


def make_pipeline_of_ours():
    classifier = LogisticRegression(
        C=SETTINGS["regularization"], solver="newton-cholesky", tol=SOLVER_TOLERANCE, max_iter=1000
    )
    return make_pipeline(StandardScaler(), classifier)


def round_parameters(pipeline):
    """Both scikit-learn and the exported graph get the rounded numbers."""
    scaler, classifier = (step for _, step in pipeline.steps)
    for owner, name in ((scaler, "mean_"), (scaler, "scale_"), (classifier, "coef_"), (classifier, "intercept_")):
        setattr(owner, name, np.vectorize(lambda number: float(f"{number:.{DIGITS}g}"))(getattr(owner, name)))
    return pipeline


def export(pipeline):
    """One matrix of all columns, and the probabilities as an array instead of a list of maps."""
    inputs = [("row", FloatTensorType([None, pipeline.n_features_in_]))]
    model = to_onnx(pipeline, initial_types=inputs, options={"zipmap": False}, target_opset=21)
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)


def measure(truth, probabilities):
    likeliest = probabilities.argmax(axis=1)
    malignant = truth == 0
    return {
        "accuracy": round(float(accuracy_score(truth, likeliest)), 4),
        "areaUnderCurve": round(float(roc_auc_score(truth, probabilities[:, 1])), 4),
        "logLoss": round(float(log_loss(truth, probabilities)), 4),
        "malignantFound": round(float((likeliest[malignant] == 0).mean()), 4),
    }


def run_model(model, rows):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(["probabilities"], {"row": rows.astype(np.float32)})[0]


def write(trained, out):
    agreement = float(np.abs(run_model(trained["model"], trained["held_out"]) - trained["probabilities"]).max())
    say(f"scikit-learn and ONNX Runtime differ by at most {agreement:.1e}")
    if not agreement < AGREEMENT_MAX:
        raise AssertionError(f"expected less than {AGREEMENT_MAX}, got {agreement}. This is a bug.")
    out.mkdir(parents=True, exist_ok=True)
    (out / "model.onnx").write_bytes(trained["model"])
    (out / "labels.txt").write_text(trained["labels"])
    (out / "metrics.json").write_text(json.dumps(trained["metrics"], indent=2) + "\n")
    # No name and no time in the gzip header, so equal content is equal bytes.
    with (out / "held-out.jsonl.gz").open("wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
        for case in cases_of(trained):
            packed.write((json.dumps(case) + "\n").encode())
    say(json.dumps(trained["metrics"], indent=2))
    for name in trained["columns"]:
        say(f"    - {{ name: {name}, datatype: number }}")
    return 0


def check(trained, out):
    """Returns 0 if training again gives the files in `out`, else 1 after naming what differs."""
    with gzip.open(out / "held-out.jsonl.gz", "rt", encoding="utf-8") as file:
        committed = [json.loads(line) for line in file]
    cases = cases_of(trained)
    differences = [] if (out / "labels.txt").read_text() == trained["labels"] else ["labels.txt"]
    differences += list(compare(trained["metrics"], json.loads((out / "metrics.json").read_text()), "metrics.json"))
    if [{**case, "probabilities": 0} for case in cases] != [{**case, "probabilities": 0} for case in committed]:
        differences.append("held-out.jsonl.gz: the rows differ")
    else:
        probabilities = np.array([case["probabilities"] for case in committed])
        again = float(np.abs(trained["probabilities"] - probabilities).max())
        served = float(np.abs(run_model((out / "model.onnx").read_bytes(), trained["held_out"]) - probabilities).max())
        say(f"held-out probabilities: trained again within {again:.1e}, model.onnx within {served:.1e}")
        if not again <= PROBABILITY_TOLERANCE:
            differences.append(f"held-out.jsonl.gz: probabilities differ by {again:.1e} from training again")
        if not served <= AGREEMENT_MAX:
            differences.append(f"model.onnx: its probabilities differ by {served:.1e} from held-out.jsonl.gz")
    say(f"model.onnx: {'the same' if trained['model'] == (out / 'model.onnx').read_bytes() else 'other'} bytes")
    for difference in differences:
        print(f"differs: {difference}", file=sys.stderr)
    say("check failed" if differences else "check passed")
    return 1 if differences else 0


def cases_of(trained):
    return [
        {
            "row": dict(zip(trained["columns"], map(float, row))),
            "class": int(label),
            "probabilities": [float(f"{value:.7g}") for value in probabilities],
        }
        for row, label, probabilities in zip(trained["held_out"], trained["truth"], trained["probabilities"])
    ]


def compare(new, old, place):
    for key in new:
        if isinstance(new[key], dict):
            yield from compare(new[key], old.get(key, {}), f"{place}: {key}")
        elif isinstance(new[key], float):
            if not abs(new[key] - old.get(key, float("inf"))) <= METRIC_TOLERANCE:
                yield f"{place}: {key}: expected {new[key]}, got {old.get(key)}"
        elif new[key] != old.get(key):
            yield f"{place}: {key}: expected {new[key]!r}, got {old.get(key)!r}"


def say(text):
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
