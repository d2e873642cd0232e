"""The reference's method, for comparison on the same split: is this pair a match?

Each training duplicate is paired with its original (label 1) and with wrong originals drawn at
random (label 0). The features of a pair are the TF-IDF of the duplicate and the TF-IDF of the
original side by side. Gradient-boosted trees tell right pairs from wrong ones. To answer a
question, it is paired with every original and the originals are ranked by probability.

The reference grows 8000 trees, which takes too long to be part of every training here. README.md
has what fewer and more trees do; train.py has a switch for their number.
"""

import re
from dataclasses import dataclass

import lightgbm
import numpy as np
from scipy.sparse import hstack
from sklearn.feature_extraction.text import TfidfVectorizer

from terms import choose_terms

ROWS_PER_PREDICTION = 50_000


@dataclass(frozen=True)
class ReferenceSettings:
    trees: int
    leaves: int
    wrong_pairs: int = 20  # for each right pair
    words_per_term_max: int = 2
    terms_max: int = 10_000  # on each side
    learning_rate: float = 0.1
    leaf_pairs_min: int = 3  # LightGBM's 20 is more than an original of our corpus has duplicates


def reference_scores(corpus, split, settings, *, seed):
    """Trains on split.train and returns the probabilities [test duplicates, originals]."""
    original_texts = [_plain(original.text) for original in corpus.originals]
    train_texts = [_plain(duplicate.text) for duplicate in split.train]
    truth = np.array([duplicate.original for duplicate in split.train])

    duplicate_vectorizer = _make_vectorizer(train_texts, settings)
    original_vectorizer = _make_vectorizer(original_texts, settings)
    train_features = duplicate_vectorizer.transform(train_texts)
    original_features = original_vectorizer.transform(original_texts)
    test_features = duplicate_vectorizer.transform([_plain(duplicate.text) for duplicate in split.test])

    duplicates, originals, labels = _draw_pairs(truth, len(original_texts), settings.wrong_pairs, seed)
    model = lightgbm.LGBMClassifier(
        n_estimators=settings.trees,
        learning_rate=settings.learning_rate,
        num_leaves=settings.leaves,
        min_child_samples=settings.leaf_pairs_min,
        random_state=seed,
        deterministic=True,
        force_row_wise=True,
        verbose=-1,
    ).fit(_pair_features(train_features[duplicates], original_features[originals]), labels)

    scores = np.empty((len(split.test), len(original_texts)))
    step = max(1, ROWS_PER_PREDICTION // len(original_texts))
    for start in range(0, len(split.test), step):
        block = test_features[start : start + step]
        rows = np.repeat(np.arange(block.shape[0]), len(original_texts))
        columns = np.tile(np.arange(len(original_texts)), block.shape[0])
        pairs = _pair_features(block[rows], original_features[columns])
        # The class's own predict would warn about feature names on every block.
        scores[start : start + step] = model.booster_.predict(pairs).reshape(block.shape[0], -1)
    return scores


def _plain(text):
    return text.lower()


def _make_vectorizer(texts, settings):
    def make(**options):
        return TfidfVectorizer(
            tokenizer=re.compile(r"\S+").findall,
            token_pattern=None,
            lowercase=False,
            ngram_range=(1, settings.words_per_term_max),
            **options,
        )

    # Not by `max_features`, which leaves the choice between equally frequent terms to the processor.
    vocabulary = choose_terms(map(make().build_analyzer(), texts), settings.terms_max)
    return make(vocabulary=vocabulary).fit(texts)


def _pair_features(duplicates, originals):
    return hstack([duplicates, originals]).tocsr().astype(np.float32)


def _draw_pairs(truth, originals, wrong_pairs, seed):
    """Returns (duplicate index, original index, label) of every pair. No wrong pair is drawn twice."""
    generator = np.random.default_rng(seed)
    wrong_pairs = min(wrong_pairs, originals - 1)
    columns = np.empty((len(truth), wrong_pairs + 1), dtype=np.int64)
    for row, true in enumerate(truth):
        wrong = generator.choice(originals - 1, size=wrong_pairs, replace=False)
        columns[row, 0] = true
        columns[row, 1:] = wrong + (wrong >= true)
    labels = np.zeros_like(columns)
    labels[:, 0] = 1
    return np.repeat(np.arange(len(truth)), wrong_pairs + 1), columns.ravel(), labels.ravel()
