"""What a fitted model of scikit-learn is made of: its steps, the models inside of them, and who sees a column."""

from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer

try:
    from sklearn.base import is_clusterer
    from sklearn.frozen import FrozenEstimator
except ImportError:  # before scikit-learn 1.6
    FrozenEstimator = ()  # No model is one.

    def is_clusterer(model):
        return getattr(model, "_estimator_type", None) == "clusterer"


def first_step(model):
    while isinstance(model, (Pipeline, FeatureUnion)):
        model = (model.steps if isinstance(model, Pipeline) else model.transformer_list)[0][1]
    return model


def steps_of(model):
    """Yields a model and the models inside of it."""
    yield model
    if isinstance(model, Pipeline):
        children = [step for _, step in model.steps]
    elif isinstance(model, ColumnTransformer):
        children = [step for _, step, _ in model.transformers_]
    elif isinstance(model, FeatureUnion):
        children = [step for _, step in model.transformer_list]
    elif isinstance(model, CalibratedClassifierCV):
        children = [each.estimator for each in model.calibrated_classifiers_]
    else:
        children = []
    for child in children:
        if isinstance(child, BaseEstimator):
            yield from steps_of(child)


def fitted_in(model):
    """Yields the steps of a model, and those of the models inside of each."""
    for step in steps_of(model):
        yield step
        inner = models_in(step)
        final = getattr(step, "final_estimator_", None)
        for each in [*inner, *([final] if final is not None else [])]:
            yield from fitted_in(each)


def models_in(model):
    """Returns the fitted models that a calibrated, voting, stacking or bagging model gives its own columns to."""
    if hasattr(model, "calibrated_classifiers_"):
        return [each.estimator for each in model.calibrated_classifiers_]
    inner = getattr(model, "estimators_", None)
    # Trees of a forest are read as a whole, and some of bagging's models see few columns.
    if not isinstance(inner, list) or any(hasattr(each, "tree_") for each in inner) or sees_few_columns(model):
        return []
    return [each for each in inner if isinstance(each, BaseEstimator)]


def sees_few_columns(model):
    return any(len(places) != model.n_features_in_ for places in getattr(model, "estimators_features_", []))


def steps_before_change(model):
    """Yields the steps that see the columns as they are, or only with their gaps filled."""
    for step in [step for _, step in model.steps] if isinstance(model, Pipeline) else [model]:
        if isinstance(step, FeatureUnion):
            inner = [each for _, each in step.transformer_list]
        else:
            inner = [step] if isinstance(step, Pipeline) else models_in(step)
        for each in inner:
            yield from steps_before_change(each)
        if isinstance(step, BaseEstimator) and not isinstance(step, (Pipeline, FeatureUnion)):
            yield step
        if not hasattr(step, "statistics_"):
            break


def uses_of(transformer, at, final):
    """Yields each step that sees this column as it is, or only with its gaps filled, and the place of the column in it.

    `final` is the step behind the transformer.
    """
    for name, step, _ in transformer.transformers_:
        places = list(transformer._transformer_to_input_indices.get(name, []))
        if at not in places or (isinstance(step, str) and step == "drop"):
            continue
        if isinstance(step, str) or isinstance(step, FunctionTransformer):
            yield final, transformer.output_indices_[name].start + places.index(at)
            continue
        for inner in steps_before_change(step):
            yield inner, places.index(at)

