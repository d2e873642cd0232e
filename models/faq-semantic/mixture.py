"""Three ways to rank the questions by embeddings, and their mixture with the trained pipeline.

    pipeline   models/faq-matcher: words and characters
    semantic   multinomial logistic regression over the embeddings of a question's texts: its title, its whole
               text, its answer, and its duplicates
    centre     the product with the centre of these texts, in a space where differences within questions
               count less
    nearness   the logarithm of the mean of exp(14 * cosine) with these texts. No training.

The mixture is a weighted sum. "None of these" is one more class, whose logit is always the same, so a text that is near
nothing has no class that wins. The weights and this logit are fitted to training duplicates, each asked of parts that
were fitted without it.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from sklearn.linear_model import LogisticRegression

from normalise import normalise_text
from pipeline import Settings, assign_folds, fit_pipeline, fit_sharpness


@dataclass(frozen=True)
class MixtureSettings:
    """Chosen by cross-validation on the training parts of our corpus and of Banking77, README.md has the runs."""

    nearness_factor: float = 14.0
    regularization: float = 3.0  # LogisticRegression's C
    answer_weight: float = 3.0
    roundness: float = 0.85  # how much of the centres' space is left as it is
    absent_weight: float = 0.3  # of questions that the FAQ lacks, 1 is as much as those that it has
    none_share: float = 0.9  # of questions that the FAQ lacks, the share that "none of these" is likelier for than any
    folds: int = 5
    kept: float = 0.9  # the share of right answers above the threshold of "known"


PARTS = ("pipeline", "semantic", "centre", "nearness")


class Members:
    """The texts of each class by their embeddings."""

    def __init__(self, corpus, duplicates, embed, settings):
        originals = list(enumerate(corpus.originals))
        texts = [(original.title, index, 1.0) for index, original in originals]
        texts += [(original.text, index, 1.0) for index, original in originals]
        texts += [
            (normalise_text(original.answer), index, settings.answer_weight)
            for index, original in originals
            if original.answer
        ]
        texts += [(duplicate.text, duplicate.original, 1.0) for duplicate in duplicates]
        words, classes, weights = zip(*texts)
        self.vectors = embed(words)
        self.classes = np.array(classes)
        self.weights = np.array(weights)
        self.counts = np.bincount(self.classes, minlength=len(corpus.originals)).astype(np.float32)

    def nearness(self, vectors, factor):
        near = np.exp(factor * (vectors @ self.vectors.T))
        sums = np.zeros((len(vectors), len(self.counts)), dtype=np.float32)
        np.add.at(sums.T, self.classes, near.T)
        return np.log(sums / self.counts)


class Centres:
    """A linear classifier without training: the mean text of each class, weighted, in a space that is stretched where
    texts of a class are alike. The space is mostly the old one, since a class has few texts."""

    def __init__(self, members, roundness):
        classes = len(members.counts)
        means = _sums(members.vectors, members.classes, classes) / members.counts[:, np.newaxis]
        within = members.vectors - means[members.classes]
        spread = within.T @ within
        spread *= len(spread) / np.trace(spread)
        values, axes = np.linalg.eigh(roundness * np.eye(len(spread)) + (1 - roundness) * spread)
        space = axes / np.sqrt(values)
        texts = _of_length_1(members.vectors @ space) * members.weights[:, np.newaxis]
        self.coefficients = space @ _of_length_1(_sums(texts, members.classes, classes)).T

    def decide(self, vectors):
        return vectors @ self.coefficients


def _sums(vectors, classes, count):
    sums = np.zeros((count, vectors.shape[1]))
    np.add.at(sums, classes, vectors)
    return sums


def _of_length_1(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def fit_factors(decisions, truth, absent_weight):
    """Returns the factor of each part, none below 0. They are the most likely ones if each text is asked twice: of all
    classes, and, with this weight, without its own, when "none of these" is right, whose logit is always the same."""
    parts = np.stack([decisions[part] for part in PARTS], axis=-1)
    scales = parts.std(axis=(0, 1))
    parts = parts / scales
    rows = np.arange(len(truth))
    nones = np.full(len(truth), parts.shape[1])
    absences = np.zeros(parts.shape[:2])
    absences[rows, truth] = -np.inf

    def loss_of(logits, right):
        likelihoods = log_softmax(logits, axis=1)
        slopes = np.exp(likelihoods)
        slopes[rows, right] -= 1
        slopes /= len(rows)
        of_factors = np.einsum("nc,ncp->p", slopes[:, :-1], parts)
        return -likelihoods[rows, right].mean(), np.append(of_factors, slopes[:, -1].sum())

    def loss(values):
        logits, none = parts @ values[:-1], np.full((len(rows), 1), values[-1])
        present, present_slopes = loss_of(np.hstack([logits, none]), truth)
        absent, absent_slopes = loss_of(np.hstack([logits + absences, none]), nones)
        return present + absent_weight * absent, present_slopes + absent_weight * absent_slopes

    start = np.ones(len(PARTS) + 1)
    bounds = [(0, None)] * len(PARTS) + [(None, None)]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    # Four digits, so that the last bits of the search do not reach the coefficients.
    return {part: float(f"{factor:.4g}") for part, factor in zip(PARTS, found[:-1] / scales)}


class Mixture:
    """Fits on the originals, their answers and the training duplicates; class i is corpus.originals[i]."""

    def __init__(self, corpus, duplicates, embed, *, seed, settings=MixtureSettings()):
        self.settings = settings
        self._embed = embed
        self.train_truth = np.array([duplicate.original for duplicate in duplicates])
        # Out of the folds, so no duplicate is asked of what knows it.
        decisions = self._decide_in_folds(corpus, duplicates, seed)
        self.factors = fit_factors(decisions, self.train_truth, settings.absent_weight)
        absent = self._without(decisions, self.train_truth).max(axis=1)
        self.none_logit = float(f"{np.quantile(absent, settings.none_share):.4g}")
        self.train_scores = self.probabilities(decisions)
        self.sharpness = {part: fit_sharpness(decisions[part], self.train_truth) for part in PARTS}
        self._fit(corpus, duplicates, seed)
        right = self.train_scores.argmax(axis=1) == self.train_truth
        self.threshold = float(np.quantile(self.train_scores.max(axis=1)[right], 1 - settings.kept))

    def _decide_in_folds(self, corpus, duplicates, seed):
        fold = assign_folds(self.train_truth, self.settings.folds, seed)
        decisions = {part: np.empty((len(duplicates), len(corpus.originals))) for part in PARTS}
        for number in range(self.settings.folds):
            self._fit(corpus, [one for one, own in zip(duplicates, fold) if own != number], seed)
            left = np.flatnonzero(fold == number)
            for part, values in self.decide([duplicates[row].text for row in left]).items():
                decisions[part][left] = values
        return decisions

    def _fit(self, corpus, duplicates, seed):
        self.pipeline = fit_pipeline(corpus, duplicates, Settings(), seed)
        self.members = Members(corpus, duplicates, self._embed, self.settings)
        self.classifier = LogisticRegression(C=self.settings.regularization, max_iter=500).fit(
            self.members.vectors, self.members.classes, sample_weight=self.members.weights
        )
        self.centres = Centres(self.members, self.settings.roundness)

    def decide(self, texts):
        """The parts, each [N, C]."""
        vectors = self._embed(texts)
        return {
            "pipeline": self.pipeline.decision_function(texts),
            "semantic": self.classifier.decision_function(vectors),
            "centre": self.centres.decide(vectors),
            "nearness": self.members.nearness(vectors, self.settings.nearness_factor),
        }

    def probabilities_alone(self, part, decisions):
        """As one part has them, which knows no "none of these"."""
        return softmax(self.sharpness[part] * decisions[part], axis=1)

    def mix(self, decisions):
        return sum(self.factors[part] * decisions[part] for part in PARTS)

    def probabilities(self, decisions):
        return self._beside_none(self.mix(decisions))

    def probabilities_without(self, decisions, truth):
        """As if the classes `truth` did not exist, one for each row."""
        return self._beside_none(self._without(decisions, truth))

    def _without(self, decisions, truth):
        logits = self.mix(decisions)
        logits[np.arange(len(truth)), truth] = -np.inf
        return logits

    def _beside_none(self, logits):
        none = np.full((len(logits), 1), self.none_logit)
        return softmax(np.hstack([logits, none]), axis=1)[:, :-1]
