"""The reference's way of serving: Flask calls the scikit-learn pipeline inside the request.

The process trains the pipeline once, before gunicorn forks (`--preload`). Corpus, pipeline and
answer are those of Scoreline's `POST /score`: all questions with their probabilities, best first.
"""

import sys
import time
from pathlib import Path

from flask import Flask, jsonify, request

MODEL = Path(__file__).resolve().parents[2] / "models/faq-matcher"
sys.path.insert(0, str(MODEL))

from corpus import read_corpus, split_corpus  # noqa: E402
from normalise import normalise_text  # noqa: E402
from pipeline import Settings, train_pipeline  # noqa: E402

corpus = read_corpus(
    MODEL / "data/orig-q.tsv",
    MODEL / "data/dup-q.tsv",
    MODEL / "data/ans.tsv",
    min_text=0,
    min_dupes=8,
    keep_code=True,
    cache=MODEL / "cache",
)
pipeline, _ = train_pipeline(corpus, split_corpus(corpus, test_fraction=0.21, seed=1), Settings(), seed=1)
app = Flask(__name__)


@app.get("/")
def healthy():
    return "Healthy"


@app.post("/score")
def score():
    started = time.perf_counter()
    text = normalise_text(request.get_json()["input"])
    probabilities = pipeline.predict_proba([text])[0]
    ranked = [
        [original.id, original.answer_id, float(probabilities[index])]
        for index, original in ((index, corpus.originals[index]) for index in (-probabilities).argsort())
    ]
    milliseconds = round((time.perf_counter() - started) * 1000, 2)
    return jsonify({"result": [ranked, f"Computed in {milliseconds} ms"]})
