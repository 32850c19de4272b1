"""Three stages: load an array, make features and splits of it, train on both.

Shows: dependencies that are joined (`on`), the parameters of earlier stages as columns, and what runs again after an
edit. A stage is a function among the parameters, so that its code is part of its tasks' keys: edit `features`, run it
again, and the arrays and the splits are there, while features are made and models are trained anew.

    python examples/pipeline.py            an array of 1 MB
    python examples/pipeline.py 600 4      of 600 MB, with 4 workers
"""

from __future__ import annotations

import sys

import numpy as np

from memento import Config, Context, Memento

megabytes = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
workers = int(sys.argv[2]) if len(sys.argv) > 2 else None


def load(config: Config):
    """Stand for a file of measurements: 64 columns, and what is to be predicted."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((config.rows, 64), dtype=np.float32)
    y = x[:, 0] + x[:, 1] ** 2 + rng.standard_normal(config.rows, dtype=np.float32)
    return {"x": x, "y": y}


def features(config: Config):
    x = config.load["x"][:, : config.columns]
    return np.concatenate([x**power for power in range(config.degree + 1)], axis=1)


def split(config: Config):
    return np.random.default_rng(config.fold).random(config["load.rows"]) < 0.8


def train(config: Config):
    x, y, chosen = config.features, config.load["y"], config.splits
    seen = x[chosen]
    weights = np.linalg.solve(seen.T @ seen + config.alpha * np.eye(x.shape[1]), seen.T @ y[chosen])
    return float(np.mean((x[~chosen] @ weights - y[~chosen]) ** 2))


def experiment(_context: Context, config: Config):
    return config.step(config)


rows = int(megabytes * 2**20 / 64 / 4)
memento = Memento(experiment, num_workers=workers)
memento.add_matrix({"id": "load", "parameters": {"step": [load], "rows": [rows // 10, rows]}})
memento.add_matrix(
    {
        "id": "features",
        "dependencies": ["load"],
        "parameters": {"step": [features], "columns": [1, 2], "degree": [1, 2]},
    }
)
memento.add_matrix(
    {"id": "splits", "dependencies": ["load"], "parameters": {"step": [split], "fold": [0, 1, 2]}}
)
memento.add_matrix(
    {
        "id": "train",
        # Each with features and splits of the same array, not with all of them.
        "dependencies": {"load": {}, "features": {"on": ["load"]}, "splits": {"on": ["load"]}},
        "parameters": {"step": [train], "alpha": [0.001, 10.0]},
    }
)
results = memento.run_all()

trained = results["train"]
print("Squared error of ridge regression\n")
index = ["load.rows", "features.columns", "features.degree"]
print(trained.pivot(index, "alpha", aggfunc="mean").round(2).to_string())
print(f"\nBest: {trained.best(minimize=True).value:.2f}")
for name, some in results.items():
    print(f"{name}: {sum(result.was_cached for result in some)} of {len(some)} were there already")
cached = sum(result.was_cached for some in results.values() for result in some)
print(f"{cached} of {sum(map(len, results.values()))} results were there already.")
