"""Trains the mixture and writes what serving and tests need. `python train.py --help`.

    model.onnx        the model (graph.py); the weights of the embedding stay in minilm.onnx
    expected.json     of each held-out duplicate its id, the best class and its probability
    metrics.json      what was measured, on which data, with which settings

The corpus, its split and the pipeline are those of models/faq-matcher. `--check` trains again and compares.
"""

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime
from threadpoolctl import threadpool_limits

HERE = Path(__file__).resolve().parent
MATCHER = HERE.parent / "faq-matcher"
sys.path.insert(0, str(MATCHER))

from corpus import read_banking77, read_corpus, split_corpus  # noqa: E402
from embedding import MINILM, Embedder  # noqa: E402
from mixture import PARTS, Mixture, MixtureSettings  # noqa: E402
from ranking import ranking_metrics  # noqa: E402

# graph.py of both folders would have one name.
import importlib.util  # noqa: E402

KINDS = (
    *("bare title", "bare title", "long story", "error message", "beginner", "typos", "no word in common"),
    *("code only", "goal alone", "another language", "non-native speaker", "expert", "wrong assumption"),
)
AGREEMENT_MAX = 0.03  # between the parts in Python and the graph: a last bit can move 8-bit numbers
TIMED_ROUNDS = 5
# Products in 8 bits round differently on processors without VNNI.
ACCURACY_TOLERANCE = 0.015


def main():
    parser = argparse.ArgumentParser(description="Train the semantic FAQ matcher.")
    parser.add_argument("--banking77", type=Path, help="folder with Banking77's train.csv and test.csv; measured too")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--check", action="store_true", help="write nothing, compare with the files that are there")
    parser.add_argument("--time", action="store_true", help="train nothing, time model.onnx on one thread")
    options = parser.parse_args()
    if not (MINILM / "minilm.onnx").is_file():
        print("error: expected the weights of models/minilm; first run: npm run models -- pull minilm", file=sys.stderr)
        return 2
    with threadpool_limits(1):
        return run(options)


def run(options):
    embed = Embedder()
    paths = [MATCHER / "data" / f"{name}.tsv" for name in ("orig-q", "dup-q", "ans")]
    corpus = read_corpus(*paths, min_text=0, min_dupes=8, keep_code=True, cache=MATCHER / "cache")
    split = split_corpus(corpus, test_fraction=0.21, seed=options.seed)
    strangers = read_banking77(options.banking77) if options.banking77 else None
    foreign = [duplicate.text for duplicate in strangers[1].test] if strangers else []
    if options.time:
        return time_model(embed, split.test)

    mixture, block = measure("corpus", corpus, split, embed, options, foreign)
    block["byKind"] = by_kind(mixture, split)
    metrics = {"seed": options.seed, "settings": dataclasses.asdict(MixtureSettings()), "corpus": block}
    if strangers:
        own = [duplicate.text for duplicate in split.test]
        metrics["banking77"] = measure("banking77", *strangers, embed, options, own)[1]

    model = load_graph().make_model(mixture).SerializeToString(deterministic=True)
    expected = run_model(model, embed, split.test, mixture)
    return check(metrics, options) if options.check else write(model, metrics, expected)


def load_graph():
    spec = importlib.util.spec_from_file_location("semantic_graph", HERE / "graph.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Measuring


def measure(name, corpus, split, embed, options, foreign):
    """Returns (mixture, metrics)."""
    mixture = Mixture(corpus, split.train, embed, seed=options.seed)
    truth = np.array([duplicate.original for duplicate in split.test])
    decisions = mixture.decide([duplicate.text for duplicate in split.test])
    untrained = Untrained(corpus, embed, mixture.settings)
    scores = mixture.probabilities(decisions)
    block = {
        "originals": len(corpus.originals),
        "train": len(split.train),
        "test": len(split.test),
        "mixtureCrossValidated": ranking_metrics(mixture.train_scores, mixture.train_truth),
        "mixture": ranking_metrics(scores, truth),
        "pipeline": ranking_metrics(decisions["pipeline"], truth),
        "semantic": ranking_metrics(decisions["semantic"], truth),
        "centre": ranking_metrics(decisions["centre"], truth),
        "nearnessWithDuplicates": ranking_metrics(decisions["nearness"], truth),
        "nearness": ranking_metrics(untrained(split.test), truth),
        "noneOfThese": none_of_these(mixture, scores, decisions, truth, foreign),
        "noneOfTheseAlone": none_alone(mixture, decisions, truth, foreign),
        "factors": mixture.factors | {"none": mixture.none_logit},
    }
    for key, value in block.items():
        say(f"{name}: {key} {json.dumps(value)}")
    return mixture, block


class Untrained:
    """Nearness to questions and answers alone: what an FAQ without any duplicates has."""

    def __init__(self, corpus, embed, settings):
        from mixture import Members

        self._embed, self._factor = embed, settings.nearness_factor
        self._members = Members(corpus, [], embed, settings)

    def __call__(self, duplicates):
        vectors = self._embed([duplicate.text for duplicate in duplicates])
        return self._members.nearness(vectors, self._factor)


def none_of_these(mixture, scores, decisions, truth, foreign):
    """The threshold comes from the training part. `absent`: each question asked as if the FAQ lacked it."""
    right = scores.argmax(axis=1) == truth
    best = scores.max(axis=1)
    absent = mixture.probabilities_without(decisions, truth).max(axis=1)
    # The threshold at which exactly 90 % of the right held-out answers stay, to compare methods with.
    exact = float(np.quantile(best[right], 1 - mixture.settings.kept))
    block = {
        "threshold": round(mixture.threshold, 4),
        "rightKept": share(best[right] >= mixture.threshold),
        "wrongAnswered": share(best[~right] >= mixture.threshold),
        "absentAnswered": share(absent >= mixture.threshold),
        "absentAnsweredAt90": share(absent >= exact),
    }
    if foreign:
        strange = mixture.probabilities(mixture.decide(foreign)).max(axis=1)
        block["otherSubjectAnswered"] = share(strange >= mixture.threshold)
        block["otherSubjectAnsweredAt90"] = share(strange >= exact)
    return block


def none_alone(mixture, decisions, truth, foreign):
    """The same at 90 % for each part by itself, whose threshold is on its own probabilities."""
    rows = np.arange(len(truth))
    strangers = mixture.decide(foreign) if foreign else None
    block = {}
    for part in PARTS:
        best = mixture.probabilities_alone(part, decisions).max(axis=1)
        right = decisions[part].argmax(axis=1) == truth
        exact = float(np.quantile(best[right], 1 - mixture.settings.kept))
        lacking = decisions[part].copy()
        lacking[rows, truth] = -np.inf
        absent = mixture.probabilities_alone(part, {part: lacking}).max(axis=1)
        block[part] = {"absentAnsweredAt90": share(absent >= exact)}
        if strangers:
            strange = mixture.probabilities_alone(part, strangers).max(axis=1)
            block[part]["otherSubjectAnsweredAt90"] = share(strange >= exact)
    return block


def by_kind(mixture, split):
    """The thirteen duplicates of each question are in the order of KINDS."""
    truth = np.array([duplicate.original for duplicate in split.test])
    kinds = np.array([KINDS[(duplicate.id - 10001) % len(KINDS)] for duplicate in split.test])
    decisions = mixture.decide([duplicate.text for duplicate in split.test])
    found = {"mixture": mixture.mix(decisions), **decisions}
    return {
        kind: {"test": int((kinds == kind).sum())}
        | {name: share((scores.argmax(axis=1) == truth)[kinds == kind]) for name, scores in found.items()}
        for kind in dict.fromkeys(KINDS)
    }


def share(values):
    return round(float(np.mean(values)), 4)


def run_model(model, embed, duplicates, mixture):
    """Runs the graph on the held-out duplicates and compares it with its parts in Python."""
    session = open_model(model)
    expected, differences = [], []
    for duplicate in duplicates:
        ((probabilities,), (known,)) = session.run(["probabilities", "known"], feeds_of(embed, duplicate.text))
        own = mixture.probabilities(mixture.decide([duplicate.text]))[0]
        differences.append(float(np.abs(own - probabilities).max()))
        best = int(probabilities.argmax())
        expected.append(
            {"id": duplicate.id, "class": best, "score": float(f"{probabilities[best]:.4g}"), "known": bool(known > 0)}
        )
    say(f"the graph and its parts differ by {np.mean(differences):.1e}, and by {max(differences):.1e} at most")
    if not max(differences) < AGREEMENT_MAX:
        raise AssertionError(f"expected less than {AGREEMENT_MAX}. This is a bug.")
    return expected


def time_model(embed, duplicates):
    """Runs the committed graph on one text at a time, as serving does, without queue and API."""
    session = open_model((HERE / "model.onnx").read_bytes())
    feeds = [feeds_of(embed, duplicate.text) for duplicate in duplicates]
    took_ms = np.empty((TIMED_ROUNDS, len(feeds)))
    for times in took_ms:
        for at, each in enumerate(feeds):
            started = time.perf_counter()
            session.run(["probabilities", "known"], each)
            times[at] = (time.perf_counter() - started) * 1000
    tokens = [each["input_ids"].size for each in feeds]
    # What else the machine does meets single runs, so each text counts with its median.
    for name, values in (("tokens", tokens), ("ms", np.median(took_ms, axis=0)), ("ms of all runs", took_ms)):
        median, slow = np.quantile(values, (0.5, 0.99))
        say(f"{name}: p50 {median:.1f}, p99 {slow:.1f}, mean {np.mean(values):.1f}")
    say(f"texts in less than 10 ms: {share(np.median(took_ms, axis=0) < 10)}")
    return 0


def open_model(model):
    beside = HERE / "trained.part"  # beside the weights that it refers to
    beside.write_bytes(model)
    weights = HERE / "minilm.onnx"
    if not weights.exists():
        weights.hardlink_to(MINILM / "minilm.onnx")
    try:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        return onnxruntime.InferenceSession(str(beside), options, providers=["CPUExecutionProvider"])
    finally:
        beside.unlink()


def feeds_of(embed, text):
    ids = np.array([embed.tokenizer.encode(text).ids])
    return {"text": np.array([text], dtype=object), "input_ids": ids, "attention_mask": np.ones_like(ids)}


# Files


def write(model, metrics, expected):
    (HERE / "model.onnx").write_bytes(model)
    (HERE / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    lines = ",\n".join(json.dumps(case) for case in expected)
    (HERE / "expected.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    for name in ("model.onnx", "metrics.json", "expected.json"):
        say(f"{HERE / name}: {(HERE / name).stat().st_size} bytes")
    return 0


def check(metrics, options):
    committed = json.loads((HERE / "metrics.json").read_text(encoding="utf-8"))
    differences = []
    for data in ("corpus", "banking77") if options.banking77 else ("corpus",):
        for method, values in metrics[data].items():
            known = committed[data][method]
            if method in ("byKind", "factors", "noneOfTheseAlone") or not isinstance(values, dict):
                continue
            for key, value in values.items():
                tolerance = 0.5 if key == "meanRank" else 2 * ACCURACY_TOLERANCE if key == "threshold" else ACCURACY_TOLERANCE
                if key in known and abs(known[key] - value) > tolerance:
                    differences.append(f"{data}: {method}: {key}: expected {value}, got {known[key]}")
    for difference in differences:
        print(f"differs: {difference}", file=sys.stderr)
    say("check failed" if differences else "check passed")
    return 1 if differences else 0


def say(text):
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
