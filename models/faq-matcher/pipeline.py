"""The pipeline: text to a probability for each original question.

Counts of terms, logarithmic TF-IDF over words and characters together, a linear support vector
machine for each original, softmax over their decision values. README.md has the numbers that led
here.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.svm import LinearSVC

from normalise import normalise_text
from terms import character_terms, choose_terms, word_terms


@dataclass(frozen=True)
class Settings:
    """Chosen by cross-validation on the training part of our corpus, never by the held-out part."""

    words_max: int = 5000  # vocabulary sizes, most frequent first; they set the file's size and the time
    characters_max: int = 5000
    document_share_max: float = 0.25  # more frequent terms are left out: they tell little and take a third of the time
    regularization: float = 0.5  # LinearSVC's C
    answer_weight: float = 3.0  # of the answer's text as one more training text, 1 is a duplicate's
    folds: int = 3  # of the cross-validation that fits the sharpness


SHARPNESS_MAX = 100.0
COEFFICIENT_MIN = 1e-12  # a class without coefficients has a step, too


class SoftmaxSVC(LinearSVC):
    """LinearSVC whose decision values are taken as logits."""

    def predict_proba(self, texts):
        return softmax(self.decision_function(texts), axis=1)


def make_pipeline(texts, settings, *, seed):
    """A pipeline that is not fitted yet; `texts` are the training texts, from which its terms are chosen."""
    return Pipeline(
        [
            (
                "counts",
                FeatureUnion(
                    [
                        ("words", _count(word_terms, texts, settings.words_max, settings)),
                        ("characters", _count(character_terms, texts, settings.characters_max, settings)),
                    ]
                ),
            ),
            ("weights", TfidfTransformer(sublinear_tf=True)),
            # The tolerance leads to the optimum itself: no order of the solver's steps shows in the coefficients.
            (
                "classifier",
                SoftmaxSVC(C=settings.regularization, dual=True, tol=1e-8, max_iter=5000, random_state=seed),
            ),
        ]
    )


def _count(terms_of, texts, terms_max, settings):
    chosen = choose_terms(map(terms_of, texts), terms_max, document_share_max=settings.document_share_max)
    return CountVectorizer(analyzer=terms_of, vocabulary=chosen)


def train_pipeline(corpus, split, settings, *, seed):
    """Fits on the originals, their answers and the training duplicates; class i is corpus.originals[i].

    Returns (pipeline, scores): scores [training duplicates, originals] are the probabilities that
    each training duplicate got from the folds it was not in.
    """
    truth = np.array([duplicate.original for duplicate in split.train])
    fold = assign_folds(truth, settings.folds, seed)
    decisions = np.empty((len(truth), len(corpus.originals)))
    for number in range(settings.folds):
        kept = [duplicate for duplicate, own in zip(split.train, fold) if own != number]
        left = fold == number
        pipeline = fit_pipeline(corpus, kept, settings, seed)
        decisions[left] = pipeline.decision_function([split.train[row].text for row in np.flatnonzero(left)])
    sharpness = fit_sharpness(decisions, truth)

    pipeline = fit_pipeline(corpus, split.train, settings, seed)
    _fold_in_sharpness(pipeline.named_steps["classifier"], sharpness)
    return pipeline, softmax(decisions * sharpness, axis=1)


def fit_pipeline(corpus, duplicates, settings, seed):
    documents = [(original.text, index, 1.0) for index, original in enumerate(corpus.originals)]
    documents += [
        (normalise_text(original.answer), index, settings.answer_weight)
        for index, original in enumerate(corpus.originals)
        if original.answer
    ]
    documents += [(duplicate.text, duplicate.original, 1.0) for duplicate in duplicates]
    texts, classes, weights = zip(*documents)
    return make_pipeline(texts, settings, seed=seed).fit(texts, classes, classifier__sample_weight=weights)


def assign_folds(truth, folds, seed):
    """A fold for each training duplicate, so that every original's duplicates are spread evenly."""
    generator = np.random.default_rng(seed)
    fold = np.empty(len(truth), dtype=np.int64)
    for original in np.unique(truth):
        rows = generator.permutation(np.flatnonzero(truth == original))
        fold[rows] = (np.arange(len(rows)) + generator.integers(folds)) % folds
    return fold


def fit_sharpness(decisions, truth):
    """The factor on decision values that makes their softmax the most likely: honest probabilities."""
    rows = np.arange(len(truth))

    def loss(sharpness):
        return -log_softmax(decisions * sharpness, axis=1)[rows, truth].mean()

    # Four digits, so that the last bits of the search do not reach the coefficients.
    return float(f"{minimize_scalar(loss, bounds=(0.1, SHARPNESS_MAX), method='bounded').x:.4g}")


def _fold_in_sharpness(classifier, sharpness):
    """Scales the coefficients and rounds them to 8 bits, the precision of the file, so that scikit-learn
    and the file agree."""
    coefficients, steps = quantize(classifier.coef_ * sharpness)
    classifier.coef_ = coefficients * steps[:, np.newaxis]
    classifier.intercept_ = (classifier.intercept_ * sharpness).astype(np.float32).astype(np.float64)


def quantize(coefficients):
    """[C, F] as whole numbers from -127 to 127 and, for each class, the step [C] between them."""
    largest = np.maximum(np.abs(coefficients).max(axis=1), COEFFICIENT_MIN)
    steps = (largest / 127).astype(np.float32).astype(np.float64)
    return np.rint(coefficients / steps[:, np.newaxis]), steps
