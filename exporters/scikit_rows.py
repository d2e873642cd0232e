"""Sample rows for a model of scikit-learn: around the numbers that it learnt, and often on the splits of its trees.

A pickle seldom has its training data, but its steps know where the numbers lay: scalers, imputers and trees, neighbours,
support vectors, the means of classes. Far from there, a sample is blind: all neighbours are equally far, and kernels are 0.
Round numbers matter: a split lies half-way between two numbers of the training, so a third number often lies on it, and
the last bit of a scaled number decides.
"""

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import Binarizer

from scikit_boosters import package_of, splits

ROWS = 400
# Far from the training of a model that finds neighbours
OUTLIERS = (1e5, 1e6)
# The sizes of numbers of which nothing is known. Consecutive rows take turns, so each row has numbers of one size.
SIZES = np.array([1.0, 100.0, 10_000.0])
# Attributes with rows of the training, or with a row for each class
PLACES = ("_fit_X", "X_train_", "support_vectors_", "theta_", "means_", "centroids_")


def draw(rng, centre, spread):
    """Returns numbers around the centre: a quarter each whole, of about two digits, of about three, and any.

    The first is 0, as it then is in each column: a row of zeros has a length that nothing can be divided by.
    """
    spread = spread if np.isfinite(spread) and spread > 0 else 1.0
    numbers = rng.normal(centre if np.isfinite(centre) else 0.0, spread, ROWS)
    digits = -int(np.floor(np.log10(spread)))
    rounded = [np.rint(numbers), numbers.round(digits + 1), numbers.round(digits + 2), numbers]
    drawn = np.choose(rng.integers(0, len(rounded), ROWS), rounded)
    drawn[0] = 0
    return drawn


def around(steps, rng):
    """Returns numbers for a column. `steps` are those that see it as it is, each with the place of the column in it."""
    known = [found for step, place in steps if (found := learnt(step, place))]
    return draw(rng, *known[0]) if known else draw(rng, 0.0, 1.0) * np.resize(SIZES, ROWS)


def learnt(step, place):
    """Returns the centre and the spread of the numbers that a fitted step saw in a column; None if it does not know."""
    values = {name: getattr(step, name, None) for name in ("mean_", "var_", "data_min_", "data_max_", "center_", "scale_", "max_abs_")}
    one = {name: value[place] for name, value in values.items() if np.ndim(value) == 1 and len(value) > place}
    if "mean_" in one and "var_" in one:
        return one["mean_"], np.sqrt(one["var_"])
    if "data_min_" in one:
        return (one["data_min_"] + one["data_max_"]) / 2, (one["data_max_"] - one["data_min_"]) / 4
    if "center_" in one and "scale_" in one:
        return one["center_"], one["scale_"]
    if "max_abs_" in one:
        return one["max_abs_"] / 2, one["max_abs_"] / 4
    if hasattr(step, "get_covariance"):  # of PCA and its like
        return step.mean_[place], np.sqrt(step.get_covariance()[place, place])
    rows = next((getattr(step, name) for name in PLACES if hasattr(step, name)), None)
    if rows is not None:
        numbers = rows[:, place].toarray() if hasattr(rows, "toarray") else np.asarray(rows)[:, place]
        # The rows of one class lie around its mean.
        within = float(np.mean(step.var_[:, place])) if np.ndim(getattr(step, "var_", None)) == 2 else 0.0
        return float(np.mean(numbers)), float(np.sqrt(np.var(numbers) + within))
    points = edges(step, place)
    if len(points):
        return float(np.mean(points)), float(np.std(points))
    statistics = getattr(step, "statistics_", None)
    if statistics is not None and np.asarray(statistics).dtype.kind == "f":
        return statistics[place], abs(statistics[place]) / 2
    return None


def edges(step, place):
    """Returns the numbers at which a fitted step splits a column."""
    if hasattr(step, "bin_edges_"):
        return np.asarray(step.bin_edges_[place])
    if isinstance(step, Binarizer):
        return np.array([step.threshold])
    if hasattr(step, "quantiles_"):
        return step.quantiles_[:, place]
    if hasattr(step, "_bin_mapper"):
        return np.asarray(step._bin_mapper.bin_thresholds_[place], float)
    if package_of(step):
        return splits(step)[place]
    trees = list(trees_of(step))
    found = np.concatenate([tree.threshold[tree.feature == place] for tree in trees]) if trees else np.array([])
    return found[np.isfinite(found)]  # An infinite one parts gaps from numbers.


def trees_of(model):
    """Yields the trees of a model, and of the models in it, which may be lists and arrays of unlike ones."""
    if isinstance(model, (list, tuple, np.ndarray)):
        for each in model:
            yield from trees_of(each)
    elif hasattr(model, "tree_"):
        yield model.tree_
    else:
        yield from trees_of(getattr(model, "estimators_", ()))


def finds_neighbours(model):
    last = model.steps[-1][1] if isinstance(model, Pipeline) else model
    return hasattr(last, "_fit_X") and getattr(last, "n_neighbors", None) is not None


def with_outliers(rows, model):
    """Puts an outlier of each size into each column of numbers, in rows of their own from the last on.

    The nearest rows of the training are about as far away then, so floats find others. Where two are as far, the answer is
    by chance, and the row stays as it was.
    """
    kinds = pd.DataFrame(rows).dtypes
    outliers = [(at, size) for at, kind in enumerate(kinds) if kind.kind == "f" for size in OUTLIERS]
    cells = [(row, *outlier) for row, outlier in zip(reversed(range(len(rows))), outliers)]
    is_tied = have_ties(model, with_cells(rows, cells))
    return with_cells(rows, [cell for cell in cells if not is_tied[cell[0]]])


def with_cells(rows, cells):
    """Returns the rows with other numbers, each given with its row and column."""
    changed = rows.copy()
    for row, at, number in cells:
        if isinstance(rows, pd.DataFrame):
            changed.iloc[row, at] = number
        else:
            changed[row, at] = number
    return changed


def have_ties(model, rows):
    """Returns whether there is a tie for the last neighbour of each row. If the model refuses the rows, all have one."""
    last = model.steps[-1][1] if isinstance(model, Pipeline) else model
    if last.n_neighbors == last.n_samples_fit_:
        return np.zeros(len(rows), bool)
    try:
        given = model[:-1].transform(rows) if isinstance(model, Pipeline) and len(model.steps) > 1 else rows
        distances, _ = last.kneighbors(given, last.n_neighbors + 1)
    except Exception:  # steps raise what their code raises
        return np.ones(len(rows), bool)
    return np.isclose(distances[:, -1], distances[:, -2], rtol=1e-12, atol=0)


def without_signs(rows):
    return map_numbers(abs, rows)


def without_zeros(rows):
    return map_numbers(lambda number: abs(number) or 1, rows)


def map_numbers(change, rows):
    """Column by column, each with its type: DataFrame.map() makes NaN of None."""

    def mapped(column):
        cells = [change(cell) if isinstance(cell, (int, float)) else cell for cell in column]
        return pd.Series(cells, index=column.index, dtype=column.dtype)

    table = pd.DataFrame(rows)
    changed = pd.DataFrame({at: mapped(table.iloc[:, at]) for at in range(table.shape[1])}).set_axis(table.columns, axis=1)
    return changed if isinstance(rows, pd.DataFrame) else changed.to_numpy()

