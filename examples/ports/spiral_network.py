"""A linear classifier and a small network learn to tell three arms of a spiral apart; interrupted, they go on.

After "Putting it together: Minimal Neural Network Case Study" of the course CS231n, by Andrej Karpathy
(https://cs231n.github.io/neural-networks-case-study/), written anew.
Lines without imports, comments and figures: 75 there, 39 here.

    python examples/ports/spiral_network.py
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from memento import Context, Memento


def spiral(rng, points=100, arms=3):
    y = np.repeat(np.arange(arms), points)
    radius = np.tile(np.linspace(0, 1, points), arms)
    angle = np.linspace(0, 4, points) + 4 * np.arange(arms)[:, None] + 0.2 * rng.normal(size=(arms, points))
    return radius[:, None] * np.c_[np.sin(angle.ravel()), np.cos(angle.ravel())], y


def forward(X, layers):
    """What comes out of each layer; the last are probabilities."""
    values = [X]
    for W, b in layers[:-1]:
        values.append(np.maximum(0, values[-1] @ W + b))
    scores = np.exp(values[-1] @ layers[-1][0] + layers[-1][1])
    return [*values, scores / scores.sum(axis=1, keepdims=True)]


def train(context: Context, hidden, reg, rate, steps):
    X, y = spiral(context.shared_rng)
    sizes = [2, *hidden, 3]
    layers = [(0.01 * context.shared_rng.normal(size=pair), np.zeros(pair[1])) for pair in pairwise(sizes)]
    state = {"layers": layers}
    for step in context.loop(range(steps), state, every="1s"):
        layers = state["layers"]
        values = forward(X, layers)
        error, picked = values.pop(), (np.arange(len(y)), y)
        if step % 1000 == 0:
            penalty = sum(0.5 * reg * (W**2).sum() for W, _ in layers)
            context.record(loss=penalty - np.log(error[picked]).mean())
        error[picked] -= 1
        error /= len(y)
        for i in reversed(range(len(layers))):
            W, b = layers[i]
            layers[i] = (
                W - rate * (values[i].T @ error + reg * W),
                b - rate * error.sum(axis=0),
            )
            error = error @ W.T * (values[i] > 0)
    return float((forward(X, state["layers"])[-1].argmax(axis=1) == y).mean())


matrix = {
    "parameters": {"hidden": {"linear": (), "network": (100,)}, "reg": [1e-3], "rate": [1.0]},
    "settings": {"steps": 3000},
}
results = Memento(train).run(matrix)
print(results.to_frame()[["hidden", "value", "loss"]].to_string(index=False))
