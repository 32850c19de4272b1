"""The grid of Memento's paper on a laptop or on a cluster: one argument says where.

Shows: one experiment, unchanged, on worker processes, Dask, Ray and Slurm, and on several hosts over PostgreSQL.
What each needs stands in README.md beside this file.

    python examples/cluster/grid.py                                          # this machine
    python examples/cluster/grid.py --executor dask                          # a Dask cluster, made for this run
    python examples/cluster/grid.py --executor ray                           # a Ray cluster, made for this run
    python examples/cluster/grid.py --executor slurm                         # jobs of a Slurm site
    python examples/cluster/grid.py --store postgresql://me@db.lab/grids     # on each of the hosts that share the grid
"""

from __future__ import annotations

import argparse

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


parser = argparse.ArgumentParser(description="Run the paper's grid somewhere.")
parser.add_argument("--executor", default="processes", help="processes, dask, ray or slurm")
parser.add_argument("--store", help="where results are kept: a folder, or postgresql://...")
chosen = parser.parse_args()

results = Memento(experiment, executor=chosen.executor, store=chosen.store).run(matrix)

print(results.pivot(index=["dataset", "preprocessing"], columns="model").round(3).to_string())
print(f"{sum(result.was_cached for result in results)} of {len(results)} results were there already.")
