"""Are the kernels of a support vector machine really different? Scores of 100 paired splits, and a corrected t-test.

After scikit-learn's example "Statistical comparison of models using grid search"
(https://scikit-learn.org/stable/auto_examples/model_selection/plot_grid_search_stats.html), written anew.
Lines without imports, comments and figures: 89 there, 25 here.

    python examples/ports/grid_search_statistics.py
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
from scipy.stats import t
from sklearn.datasets import make_moons
from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score
from sklearn.svm import SVC

from memento import Memento

X, y = make_moons(noise=0.352, random_state=1, n_samples=100)


def auc(**parameters):
    cv = RepeatedStratifiedKFold(n_splits=10, n_repeats=10, random_state=0)
    return cross_val_score(SVC(random_state=0, **parameters), X, y, scoring="roc_auc", cv=cv)


def compare(a, b, n_train=90, n_test=10, comparisons=6, rope=0.01):
    """Nadeau and Bengio's t-test, with Bonferroni's correction, and the posterior of the difference."""
    difference = a - b
    scale = np.sqrt(np.var(difference, ddof=1) * (1 / len(difference) + n_test / n_train))
    posterior = t(len(difference) - 1, loc=difference.mean(), scale=scale)
    t_stat = difference.mean() / scale
    worse, not_better = posterior.cdf([-rope, rope])
    return {
        "t_stat": t_stat,
        "p_val": min(1, comparisons * t.sf(abs(t_stat), len(difference) - 1)),
        "worse": worse,
        "better": 1 - not_better,
        "equal": not_better - worse,
    }


grids = [{"kernel": ["linear", "rbf"]}, {"kernel": ["poly"], "degree": [2, 3]}]
results = sorted(Memento(auc).run({"parameters": grids}), key=lambda result: -result.value.mean())
scores = {"_".join(map(str, reversed(result.config.asdict().values()))): result.value for result in results}
table = pd.DataFrame(scores)
print(pd.DataFrame({"mean": table.mean(), "std": table.std(ddof=0)}).round(4), end="\n\n")
print(table.corr().round(3), end="\n\n")
pairs = {f"{a} {b}": compare(scores[a], scores[b]) for a, b in combinations(scores, 2)}
print(pd.DataFrame(pairs).T.round(3).to_string())
