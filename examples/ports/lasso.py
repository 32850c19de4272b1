"""Solvers of the lasso, one class `Solver` in each module: how far from the optimum after so many iterations?

After the benchmark of the lasso of benchopt, by Thomas Moreau, Mathurin Massias, Alexandre Gramfort and others
(https://github.com/benchopt/benchmark_lasso), written anew, and smaller.
Lines without imports, comments and figures: 62 there, 34 here.

    python examples/ports/lasso.py
"""

from __future__ import annotations

import numpy as np
from solvers import cd, ista, sklearn_lasso

from memento import Memento


def simulated(n_samples, n_features, rho, seed=27):
    """Correlated features, of which a tenth counts, and what they give with some noise."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_samples, n_features))
    for j in range(1, n_features):
        X[:, j] = rho * X[:, j - 1] + np.sqrt(1 - rho**2) * X[:, j]
    w = np.zeros(n_features)
    w[:: n_features // 10] = 1
    y = X @ w
    return X, y + rng.normal(scale=np.linalg.norm(y) / 3 / np.sqrt(n_samples), size=n_samples)


def gap(solver, rho, reg, n_iter, n_samples, n_features):
    """The objective, its distance from the dual one, and how many features count."""
    X, y = simulated(n_samples, n_features, rho)
    lmbd = reg * abs(X.T @ y).max()
    beta = solver(X, y, lmbd).run(n_iter)
    rest = y - X @ beta
    value = 0.5 * rest @ rest + lmbd * abs(beta).sum()
    scaled = rest / max(1, abs(X.T @ rest).max() / lmbd)
    return {
        "value": value,
        "duality_gap": value - (y @ y - (y - scaled) @ (y - scaled)) / 2,
        "support_size": int((beta != 0).sum()),
    }


matrix = {
    "parameters": {
        "solver": [cd.Solver, ista.Solver, ista.Accelerated, sklearn_lasso.Solver],
        "rho": [0, 0.6],
        "reg": [0.5, 0.1, 0.05],
        "n_iter": [1, 10, 100],
    },
    "settings": {"n_samples": 100, "n_features": 100},
}
results = Memento(gap).run(matrix)
print(
    results.pivot(["rho", "reg", "solver"], "n_iter", "duality_gap").to_string(float_format="{:.1e}".format)
)
