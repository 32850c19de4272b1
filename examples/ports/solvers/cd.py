"""Coordinate descent."""

from __future__ import annotations

import numpy as np


class Solver:
    """One feature after the other: Fu, 1998."""

    def __init__(self, X, y, lmbd):
        self.X, self.y, self.lmbd = X, y, lmbd

    def run(self, n_iter):
        squares = (self.X**2).sum(axis=0)
        w, rest = np.zeros(len(squares)), self.y.copy()
        for _ in range(n_iter):
            for j, square in enumerate(squares):
                old, column = w[j], self.X[:, j]
                step = old + column @ rest / square
                w[j] = np.sign(step) * max(abs(step) - self.lmbd / square, 0)
                if w[j] != old:
                    rest += (old - w[j]) * column
        return w
