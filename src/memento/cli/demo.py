"""`memento demo`: the paper's grid on scikit-learn's bundled data sets.

Knows: scikit-learn, the public API. May not know: how anything works inside.

Pullar-Strecker et al., "Memento: Facilitating Effortless, Efficient, and Reliable ML Experiments",
ECML PKDD 2023, section 3: 3 x 2 x 3 x 3 combinations, of which 27 are left after `exclude`.
"""

from __future__ import annotations

import os
from typing import Any

from memento.errors import MissingExtra

try:
    from sklearn.base import BaseEstimator, TransformerMixin
    from sklearn.datasets import load_breast_cancer, load_digits, load_wine
    from sklearn.ensemble import AdaBoostClassifier, RandomForestClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, StandardScaler
    from sklearn.svm import SVC
except ModuleNotFoundError as exc:
    if exc.name != "sklearn":
        raise
    raise MissingExtra("memento demo", "demo") from exc

from memento import Config, Context, Memento
from memento.config import short_text


class DummyImputer(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Leaves the data as they are."""

    def fit(self, X: Any, y: Any = None) -> DummyImputer:
        """Learn nothing."""
        return self

    def transform(self, X: Any) -> Any:
        """Change nothing."""
        return X


class DummyPreprocessor(DummyImputer):
    """Leaves the data as they are."""


def load_wine_broken(return_X_y: bool = True) -> Any:
    """Load the wine data with seven rows of features lost, as a bad export does."""
    features, labels = load_wine(return_X_y=return_X_y)
    return features[:-7], labels


def demo_matrix(broken: bool) -> dict[str, Any]:
    """Return the paper's matrix, with a broken data set beside the three when asked."""
    datasets = [load_digits, load_wine, load_breast_cancer]
    exclude = [
        {"dataset": load_digits, "feature_engineering": SimpleImputer},
        {"dataset": load_wine, "feature_engineering": SimpleImputer},
        {"dataset": load_breast_cancer, "feature_engineering": DummyImputer},
    ]
    if broken:
        datasets.append(load_wine_broken)
        exclude.append({"dataset": load_wine_broken, "feature_engineering": SimpleImputer})
    return {
        "parameters": {
            "dataset": datasets,
            "feature_engineering": [DummyImputer, SimpleImputer],
            "preprocessing": [DummyPreprocessor, MinMaxScaler, StandardScaler],
            "model": [AdaBoostClassifier, RandomForestClassifier, SVC],
        },
        "settings": {"n_fold": 5},
        "exclude": exclude,
    }


def experiment(context: Context, config: Config) -> Any:
    """Cross-validate one pipeline on one data set."""
    if context.checkpoint_exist():
        scores = context.restore()
    else:
        X, y = config.dataset(return_X_y=True)
        pipeline = make_pipeline(config.feature_engineering(), config.preprocessing(), config.model())
        scores = cross_val_score(pipeline, X, y, cv=config.settings["n_fold"])
        context.checkpoint(scores)
    context.record({"accuracy": float(scores.mean())})
    return scores.mean()


def run_demo(*, broken: bool, num_workers: int | None, store: str | os.PathLike[str] | None) -> None:
    """Run the grid and print its table."""
    memento = Memento(experiment, num_workers=num_workers, store=store, name="memento-demo")
    results = memento.run(demo_matrix(broken))
    assert results is not None
    table = results.pivot(index=["dataset", "preprocessing"], columns="model", values="value")
    print("\nmean accuracy of 5-fold cross-validation\n")
    print(table.to_string(float_format=lambda value: f"{value:.3f}"))
    best = results.best()
    print(f"\nbest: {best.inner:.3f}")
    for name, value in best.config.asdict().items():
        print(f"  {name} = {short_text(value)}")
