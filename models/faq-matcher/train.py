"""Trains the FAQ matcher and writes what serving and tests need. `python train.py --help`.

    model.onnx          the model (graph.py)
    questions.json      the classes, in order: id, answerId, question, answer
    held-out.jsonl.gz   a line for each held-out duplicate: id, text, class, scikit-learn's probabilities
    metrics.json        what was measured, on which data, with which settings

The same input gives the same files, on every processor as far as it could be emulated (README.md).
`--check` trains again and compares with the files that are there.
"""

import argparse
import dataclasses
import gzip
import importlib.metadata
import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from threadpoolctl import threadpool_limits

import graph
from corpus import CorpusError, names_its_original, read_banking77, read_corpus, split_corpus
from pipeline import Settings, train_pipeline
from ranking import ranking_metrics
from reference_method import ReferenceSettings, reference_scores
from words_only import words_only_scores

HERE = Path(__file__).resolve().parent
PACKAGES = ("lightgbm", "numpy", "onnx", "onnxruntime", "scikit-learn", "scipy")
BATCH_SIZE = 32
AGREEMENT_MAX = 1e-5  # between scikit-learn's and ONNX Runtime's probabilities

# Our corpus has few right pairs, there more leaves helped the reference's method; Banking77 has eight
# times as many, there the trees are held to a few minutes.
REFERENCE_SETTINGS = {
    "corpus": ReferenceSettings(trees=600, leaves=127),
    "banking77": ReferenceSettings(trees=400, leaves=31, leaf_pairs_min=20),
}

# What --check lets pass. Emulated processors differ by 1e-16, and held-out.jsonl.gz rounds by 5e-8. The
# smallest change that was tried, C by a 5000th, makes a difference of 3e-3.
PROBABILITY_TOLERANCE = 1e-5
KNOWN_TOLERANCE = 1e-3  # of sums around 500 in float32
ACCURACY_TOLERANCE = 0.003  # one held-out duplicate of our corpus, for ranks that hang on a last bit
RANK_TOLERANCE = 0.02


def main(arguments=None):
    options = parse_arguments(arguments)
    try:
        return check(options) if options.check else train(options)
    except CorpusError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(description="Train the FAQ matcher.")
    parser.add_argument("--orig-q", default=HERE / "data/orig-q.tsv", help="path or URL; plain or gzip")
    parser.add_argument("--dup-q", default=HERE / "data/dup-q.tsv", help="path or URL; plain or gzip")
    parser.add_argument("--ans", default=HERE / "data/ans.tsv", help="path or URL; plain or gzip")
    parser.add_argument("--cache", default=HERE / "cache", help="folder for downloads; delete it to download again")
    parser.add_argument("--min-text", type=int, default=0, help="drop questions with fewer characters")
    parser.add_argument("--min-dupes", type=int, default=8, help="drop originals with fewer duplicates")
    parser.add_argument(
        "--keep-code",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="keep the text of code blocks; the reference drops them",
    )
    parser.add_argument("--test-fraction", type=float, default=0.21, help="share of each original's duplicates")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=HERE, help="folder for the files")
    parser.add_argument("--banking77", type=Path, help="folder with Banking77's train.csv and test.csv; measured too")
    parser.add_argument("--skip-reference", action="store_true", help="leave out the reference's method, the slow part")
    parser.add_argument("--trees", type=int, help="number of trees of the reference's method; it used 8000")
    parser.add_argument("--check", action="store_true", help="write nothing, compare with the files in --out")
    options = parser.parse_args(arguments)
    if not 0 < options.test_fraction < 1:
        parser.error(f"--test-fraction: expected more than 0 and less than 1, got {options.test_fraction}")
    return options


def train(options):
    corpus, split, pipeline, metrics = measure_ours(options)
    committed = read_json(options.out / "metrics.json") if (options.out / "metrics.json").is_file() else {}
    if options.banking77:
        metrics["banking77"] = measure_banking77(options)
    elif "banking77" in committed:
        metrics["banking77"] = committed["banking77"]

    model = graph.make_model(pipeline).SerializeToString(deterministic=True)
    texts = [duplicate.text for duplicate in split.test]
    probabilities = pipeline.predict_proba(texts)
    served, known = run_model(model, texts)
    agreement = float(np.abs(served - probabilities).max())
    say(f"scikit-learn and ONNX Runtime differ by at most {agreement:.1e}")
    say(f"known is {known.min():.1f} or more for every held-out text")
    if not agreement < AGREEMENT_MAX:
        raise AssertionError(f"expected less than {AGREEMENT_MAX}, got {agreement}. This is a bug.")

    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "model.onnx").write_bytes(model)
    write_json(options.out / "questions.json", questions_of(corpus))
    write_json(options.out / "metrics.json", metrics)
    write_held_out(options.out / "held-out.jsonl.gz", split.test, probabilities)
    for name in ("model.onnx", "questions.json", "metrics.json", "held-out.jsonl.gz"):
        say(f"{options.out / name}: {(options.out / name).stat().st_size} bytes")
    return 0


def check(options):
    """Returns 0 if training again gives the files in options.out, else 1 after naming what differs."""
    corpus, split, pipeline, metrics = measure_ours(options)
    if options.banking77:
        metrics["banking77"] = measure_banking77(options)
    committed = read_json(options.out / "metrics.json")
    differences = list(compare(metrics, committed, "metrics.json"))
    differences += compare(questions_of(corpus), read_json(options.out / "questions.json"), "questions.json")

    held_out = read_held_out(options.out / "held-out.jsonl.gz")
    cases = [{"id": duplicate.id, "text": duplicate.text, "class": duplicate.original} for duplicate in split.test]
    committed_cases = [{key: case[key] for key in ("id", "text", "class")} for case in held_out]
    differences += compare(cases, committed_cases, "held-out.jsonl.gz")
    if cases == committed_cases:
        committed_probabilities = np.array([case["probabilities"] for case in held_out])
        texts = [case["text"] for case in cases]
        retrained = float(np.abs(pipeline.predict_proba(texts) - committed_probabilities).max())
        if not retrained <= PROBABILITY_TOLERANCE:
            differences.append(f"held-out.jsonl.gz: probabilities differ by {retrained:.1e} from training again")
        served_probabilities, served_known = run_model((options.out / "model.onnx").read_bytes(), texts)
        served = float(np.abs(served_probabilities - committed_probabilities).max())
        if not served <= AGREEMENT_MAX:
            differences.append(f"model.onnx: its probabilities differ by {served:.1e} from held-out.jsonl.gz")
        _, known = run_model(graph.make_model(pipeline).SerializeToString(), texts)
        if not np.abs(served_known - known).max() <= KNOWN_TOLERANCE:
            differences.append("model.onnx: what it knows of the held-out texts differs from training again")
        say(f"held-out probabilities: trained again within {retrained:.1e}, model.onnx within {served:.1e}")

    for difference in differences[:10]:
        print(f"differs: {difference}", file=sys.stderr)
    if len(differences) > 10:
        print(f"and {len(differences) - 10} more", file=sys.stderr)
    say("check failed" if differences else "check passed")
    return 1 if differences else 0


# Measuring


def measure_ours(options):
    corpus = read_corpus(
        options.orig_q,
        options.dup_q,
        options.ans,
        min_text=options.min_text,
        min_dupes=options.min_dupes,
        keep_code=options.keep_code,
        cache=options.cache,
    )
    split = split_corpus(corpus, test_fraction=options.test_fraction, seed=options.seed)
    pipeline, block = measure("corpus", corpus, split, options)
    metrics = {
        "seed": options.seed,
        "testFraction": options.test_fraction,
        "minText": options.min_text,
        "minDupes": options.min_dupes,
        "keepCode": options.keep_code,
        "pipelineSettings": dataclasses.asdict(Settings()),
        "packages": {package: importlib.metadata.version(package) for package in PACKAGES},
        "corpus": block,
    }
    return corpus, split, pipeline, metrics


def measure_banking77(options):
    corpus, split = read_banking77(options.banking77)
    return measure("banking77", corpus, split, options)[1]


def measure(name, corpus, split, options):
    """Returns (pipeline, metrics). Three methods, one split."""
    truth = np.array([duplicate.original for duplicate in split.test])
    say(
        f"{name}: {len(corpus.originals)} originals, {len(corpus.duplicates)} duplicates, "
        f"{len(split.train)} for training, {len(split.test)} held out"
    )
    block = {
        "originals": len(corpus.originals),
        "duplicates": len(corpus.duplicates),
        "train": len(split.train),
        "test": len(split.test),
    }
    with threadpool_limits(1):
        pipeline, train_scores = train_pipeline(corpus, split, Settings(), seed=options.seed)
        block["pipelineCrossValidated"] = ranking_metrics(
            train_scores, [duplicate.original for duplicate in split.train]
        )
        scores = {
            "pipeline": pipeline.predict_proba([duplicate.text for duplicate in split.test]),
            "wordsOnly": words_only_scores(corpus, split),
        }
    if not options.skip_reference:
        settings = REFERENCE_SETTINGS[name]
        settings = dataclasses.replace(settings, trees=options.trees or settings.trees)
        block["referenceMethodSettings"] = dataclasses.asdict(settings)
        scores["referenceMethod"] = reference_scores(corpus, split, settings, seed=options.seed)
    block |= {method: ranking_metrics(values, truth) for method, values in scores.items()}

    honest = np.array([not names_its_original(duplicate.text) for duplicate in split.test])
    if not honest.all():
        block["withoutPossibleDuplicate"] = {"test": int(honest.sum())} | {
            method: ranking_metrics(values[honest], truth[honest]) for method, values in scores.items()
        }
    for method in scores:
        say(f"{name}: {method} {json.dumps(block[method])}")
    return pipeline, block


def run_model(model, texts):
    """Returns the outputs of a model: probabilities [N, C], known [N]."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    batches = [texts[start : start + BATCH_SIZE] for start in range(0, len(texts), BATCH_SIZE)]
    outputs = [session.run(["probabilities", "known"], {"text": np.array(batch, dtype=object)}) for batch in batches]
    return tuple(np.concatenate(output) for output in zip(*outputs))


# Comparing


def compare(new, old, place):
    """Yields a line for each difference. What this run did not measure is not compared."""
    if isinstance(new, dict) and isinstance(old, dict):
        for key in new:
            if key not in old:
                yield f"{place}: {key} is missing"
            else:
                yield from compare(new[key], old[key], f"{place}: {key}")
    elif isinstance(new, list) and isinstance(old, list):
        if len(new) != len(old):
            yield f"{place}: expected {len(new)} entries, got {len(old)}"
        for position, (new_entry, old_entry) in enumerate(zip(new, old)):
            yield from compare(new_entry, old_entry, f"{place}[{position}]")
    elif isinstance(new, float) and isinstance(old, (int, float)):
        tolerance = ACCURACY_TOLERANCE if "accuracyAt" in place else RANK_TOLERANCE if "meanRank" in place else 0
        if abs(new - old) > tolerance:
            yield f"{place}: expected {new}, got {old}"
    elif new != old:
        yield f"{place}: expected {str(new)[:80]!r}, got {str(old)[:80]!r}"


# Files


def questions_of(corpus):
    return [
        {"id": original.id, "answerId": original.answer_id, "question": original.title, "answer": original.answer}
        for original in corpus.originals
    ]


def read_json(path):
    if not path.is_file():
        raise CorpusError(f"{path}: no such file; train without --check first")
    return json.loads(path.read_text(encoding="utf-8"))


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_held_out(path, duplicates, probabilities):
    """Seven significant digits. No name and no time in the gzip header, so equal content is equal bytes."""
    with path.open("wb") as file, gzip.GzipFile("", "wb", compresslevel=9, fileobj=file, mtime=0) as packed:
        for duplicate, row in zip(duplicates, probabilities):
            case = {"id": duplicate.id, "text": duplicate.text, "class": duplicate.original}
            case["probabilities"] = [float(f"{value:.7g}") for value in row]
            packed.write((json.dumps(case, ensure_ascii=False, separators=(",", ":")) + "\n").encode())


def read_held_out(path):
    if not path.is_file():
        raise CorpusError(f"{path}: no such file; train without --check first")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def say(text):
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
