"""Proximal gradient descent, plain and accelerated."""

from __future__ import annotations

import numpy as np


class Solver:
    """ISTA: Daubechies, Defrise and De Mol, 2004."""

    accelerated = False

    def __init__(self, X, y, lmbd):
        self.X, self.y, self.lmbd = X, y, lmbd

    def run(self, n_iter):
        rate = 1 / np.linalg.norm(self.X, ord=2) ** 2
        w = z = np.zeros(self.X.shape[1])
        t = 1
        for _ in range(n_iter):
            old, step = w, z - rate * self.X.T @ (self.X @ z - self.y)
            w = z = np.sign(step) * np.maximum(abs(step) - rate * self.lmbd, 0)
            if self.accelerated:
                before, t = t, (1 + np.sqrt(1 + 4 * t**2)) / 2
                z = w + (before - 1) / t * (w - old)
        return w


class Accelerated(Solver):
    """FISTA: Beck and Teboulle, 2009."""

    accelerated = True
