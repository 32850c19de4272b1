"""The grid of Memento's paper: which imputing, scaling and model suit which of scikit-learn's data sets?

Shows: a matrix with `exclude`, checkpoints, a metric, the results as a table.
Run it twice: the second time nothing is computed. Interrupt it in between: only what is missing runs.

    pip install memento-ml[demo]
    python examples/paper_grid.py
"""

from __future__ import annotations

from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.ensemble import AdaBoostClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC

from memento import Config, Context, Memento


class DummyImputer(TransformerMixin, BaseEstimator):
    """Leaves the data as they are."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return X


class DummyPreprocessor(DummyImputer):
    """Leaves the data as they are."""


matrix = {
    "parameters": {
        "dataset": [load_digits, load_wine, load_breast_cancer],
        "feature_engineering": [DummyImputer, SimpleImputer],
        "preprocessing": [DummyPreprocessor, MinMaxScaler, StandardScaler],
        "model": [AdaBoostClassifier, RandomForestClassifier, SVC],
    },
    "settings": {"n_fold": 5},
    "exclude": [
        {"dataset": load_digits, "feature_engineering": SimpleImputer},
        {"dataset": load_wine, "feature_engineering": SimpleImputer},
        {"dataset": load_breast_cancer, "feature_engineering": DummyImputer},
    ],
}


def experiment(context: Context, config: Config) -> float:
    if context.checkpoint_exist():
        scores = context.restore()
    else:
        X, y = config.dataset(return_X_y=True)
        pipeline = make_pipeline(config.feature_engineering(), config.preprocessing(), config.model())
        scores = cross_val_score(pipeline, X, y, cv=config.settings["n_fold"])
        context.checkpoint(scores)
    context.record({"accuracy": float(scores.mean())})
    return scores.mean()


results = Memento(experiment).run(matrix)  # no __main__ guard is needed

print("Mean accuracy of 5-fold cross-validation\n")
print(results.pivot(index=["dataset", "preprocessing"], columns="model").round(3).to_string())

best = results.best()
print(f"\nBest: {best.value:.3f} with {best.config}")
print(f"{sum(result.was_cached for result in results)} of {len(results)} results were there already.")
