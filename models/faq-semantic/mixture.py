"""Two ways to rank the questions by embeddings, and their mixture with the trained pipeline.

    nearness   the logarithm of the mean of exp(14 * cosine) with the texts of a question: its title, its whole
               text, its answer, and its duplicates. No training.
    semantic   multinomial logistic regression over the embeddings of the same texts
    pipeline   models/faq-matcher: words and characters

The mixture adds their logits, each with the sharpness that makes it honest by itself and a share of its own. "None of
these" is one more class whose parts are always the same, so a text that is near nothing has no class that wins.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from normalise import normalise_text
from pipeline import Settings, assign_folds, fit_pipeline, fit_sharpness


@dataclass(frozen=True)
class MixtureSettings:
    """Chosen by cross-validation on the training parts of our corpus and of Banking77, README.md has the runs."""

    nearness_factor: float = 14.0
    regularization: float = 3.0  # LogisticRegression's C
    answer_weight: float = 3.0
    semantic_share: float = 2.0
    nearness_share: float = 0.5
    none_cosine: float = 0.35
    none_semantic: float = 3.0
    none_pipeline: float = -0.6  # a support vector machine decides -1 for what is nothing of its class
    folds: int = 5
    kept: float = 0.9  # the share of right answers above the threshold of "known"


PARTS = ("pipeline", "semantic", "nearness")


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


class Mixture:
    """Fits on the originals, their answers and the training duplicates; class i is corpus.originals[i]."""

    def __init__(self, corpus, duplicates, embed, *, seed, settings=MixtureSettings()):
        self.settings = settings
        self._embed = embed
        self.train_truth = np.array([duplicate.original for duplicate in duplicates])
        decisions = self._decide_in_folds(corpus, duplicates, seed)
        self.sharpness = {part: fit_sharpness(decisions[part], self.train_truth) for part in PARTS}
        self.sharpness_of_all = 1.0
        self.sharpness_of_all = fit_sharpness(self.mix(decisions), self.train_truth)
        # Out of the folds, so no duplicate is asked of what knows it.
        self.train_scores = self.probabilities(decisions)
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

    def decide(self, texts):
        """The parts, each [N, C]."""
        vectors = self._embed(texts)
        return {
            "pipeline": self.pipeline.decision_function(texts),
            "semantic": self.classifier.decision_function(vectors),
            "nearness": self.members.nearness(vectors, self.settings.nearness_factor),
        }

    def factor(self, part):
        shares = {"semantic": self.settings.semantic_share, "nearness": self.settings.nearness_share}
        share = shares.get(part, 1.0)
        return self.sharpness_of_all * self.sharpness[part] * share

    def mix(self, decisions):
        return sum(self.factor(part) * decisions[part] for part in PARTS)

    def none_logit(self):
        nearness = self.settings.nearness_factor * self.settings.none_cosine
        parts = {"pipeline": self.settings.none_pipeline, "semantic": self.settings.none_semantic, "nearness": nearness}
        return float(self.mix(parts))

    def probabilities(self, decisions):
        return self._beside_none(self.mix(decisions))

    def probabilities_without(self, decisions, truth):
        """As if the classes `truth` did not exist, one for each row."""
        logits = self.mix(decisions)
        logits[np.arange(len(truth)), truth] = -np.inf
        return self._beside_none(logits)

    def _beside_none(self, logits):
        none = np.full((len(logits), 1), self.none_logit())
        return softmax(np.hstack([logits, none]), axis=1)[:, :-1]
