"""A script as there are many: it takes its regularization rate as an option and prints its accuracy.

It knows nothing of Memento; iris_rates.py runs it.
"""

from __future__ import annotations

import argparse
import json

import numpy as np
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

parser = argparse.ArgumentParser()
parser.add_argument("--reg", type=float, default=0.01)
parser.add_argument("--noise-features", type=int, default=40)
args = parser.parse_args()

X, y = load_iris(return_X_y=True)
X = np.c_[X, np.random.RandomState(0).randn(len(X), args.noise_features)]
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.35, random_state=0)
model = LogisticRegression(C=1 / args.reg, max_iter=1000).fit(X_train, y_train)
print(json.dumps({"accuracy": model.score(X_test, y_test)}))
