"""How well scores rank the true original among all originals."""

import numpy as np


def ranks_of_truth(scores, truth):
    """Ranks from 1 of column truth[i] in row i of scores [N, C]. Equal scores share their mean rank."""
    true_scores = scores[np.arange(len(truth)), truth][:, None]
    better = (scores > true_scores).sum(axis=1)
    equal = (scores == true_scores).sum(axis=1)
    return better + (equal + 1) / 2


def ranking_metrics(scores, truth):
    ranks = ranks_of_truth(scores, np.asarray(truth))
    metrics = {f"accuracyAt{k}": round(float((ranks <= k).mean()), 4) for k in (1, 2, 3)}
    return metrics | {"meanRank": round(float(ranks.mean()), 3)}
