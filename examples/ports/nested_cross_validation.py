"""How optimistic is the score of a grid search? Nested and non-nested cross-validation, 30 trials each.

After scikit-learn's example "Nested versus non-nested cross-validation"
(https://scikit-learn.org/stable/auto_examples/model_selection/plot_nested_cross_validation_iris.html), written anew.
Lines without imports, comments and figures: 23 there, 9 here.

    python examples/ports/nested_cross_validation.py
"""

from __future__ import annotations

from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.svm import SVC

from memento import Memento

X, y = load_iris(return_X_y=True)


def scores(trial):
    folds = KFold(n_splits=4, shuffle=True, random_state=trial)
    search = GridSearchCV(SVC(kernel="rbf"), {"C": [1, 10, 100], "gamma": [0.01, 0.1]}, cv=folds).fit(X, y)
    return {"non-nested": search.best_score_, "nested": cross_val_score(search, X, y, cv=folds).mean()}


frame = Memento(scores).run({"parameters": {"trial": range(30)}}).to_frame()
difference = frame["non-nested"] - frame["nested"]
print(frame[["trial", "non-nested", "nested"]].head().to_string(index=False), end="\n...\n")
print(f"Average difference of {difference.mean():.6f} with std. dev. of {difference.std(ddof=0):.6f}.")
