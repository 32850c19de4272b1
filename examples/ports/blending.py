"""Features, models on each of them, and a blend of the models: three stages, each computed once.

After blend.py of Emanuele Olivetti, 17th of 711 in Kaggle's "Predicting a Biological Response"
(https://github.com/emanuele/kaggle_pbr), written anew, with data of scikit-learn.
Lines without imports, comments and figures: 48 there, 37 here.

    python examples/ports/blending.py
"""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import ExtraTreesClassifier, GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.preprocessing import QuantileTransformer, StandardScaler

from memento import Memento


def features(scaler):
    X, y = load_breast_cancer(return_X_y=True)
    X, X_new, y, y_new = train_test_split(X, y, test_size=0.5, random_state=0)
    scaler.fit(X)
    return {"X": scaler.transform(X), "y": y, "X_new": scaler.transform(X_new), "y_new": y_new}


def predict(features, model):
    """Probabilities: for each part of the data from a model of the others, for what is new from all of them."""
    X, y, X_new = features["X"], features["y"], features["X_new"]
    seen, new = np.zeros(len(y)), []
    for train, test in StratifiedKFold(5).split(X, y):
        model.fit(X[train], y[train])
        seen[test] = model.predict_proba(X[test])[:, 1]
        new.append(model.predict_proba(X_new)[:, 1])
    return {"seen": seen, "new": np.mean(new, axis=0)}


def blend(features, **models):
    blender = LogisticRegression().fit(
        np.column_stack([model["seen"] for model in models.values()]), features["y"]
    )
    blended = blender.predict_proba(np.column_stack([model["new"] for model in models.values()]))[:, 1]
    return log_loss(features["y_new"], blended)


def stage(step, **inputs):
    return step(**inputs)


criteria = ["gini", "entropy"]
models = {
    "forest": {name: RandomForestClassifier(20, criterion=name, random_state=0) for name in criteria},
    "extra": {name: ExtraTreesClassifier(20, criterion=name, random_state=0) for name in criteria},
    "boosting": [GradientBoostingClassifier(n_estimators=20, max_depth=6, random_state=0)],
}
memento = Memento(stage)
scalers = {"standard": StandardScaler(), "quantiles": QuantileTransformer(n_quantiles=100)}
memento.add_matrix({"id": "features", "parameters": {"step": [features], "scaler": scalers}})
for name, some in models.items():
    parameters = {"step": [predict], "model": some}
    memento.add_matrix({"id": name, "dependencies": ["features"], "parameters": parameters})
together = {"features": {}} | {name: {"on": ["features"]} for name in models}
memento.add_matrix({"id": "blend", "dependencies": together, "parameters": {"step": [blend]}})
results = memento.run_all()["blend"]
print(results.pivot("features.scaler", ["forest.model", "extra.model"]).round(4).to_string())
