"""A training loop that goes on where it was, whatever ended it. NumPy only, no deep-learning package.

Shows: `context.loop`, which saves checkpoints by itself and skips what is done when the task starts anew;
metrics that are live in the display and come back as curves; random numbers that are the same at every re-run.
Interrupt it (Ctrl-C, or kill -9) and run it again: each network trains on from its last checkpoint.

    python examples/training_loop.py
"""

from __future__ import annotations

import numpy as np

from memento import Config, Context, Memento


class Network:
    """One hidden layer with softmax, trained by gradient descent with momentum."""

    def __init__(self, sizes, rng):
        inputs, hidden, outputs = sizes
        self.weights = [
            rng.normal(size=(inputs, hidden)) / np.sqrt(inputs),
            rng.normal(size=(hidden, outputs)) / np.sqrt(hidden),
        ]
        self.speed = [np.zeros_like(w) for w in self.weights]

    def state_dict(self):
        return {"weights": self.weights, "speed": self.speed}

    def load_state_dict(self, state):
        self.weights, self.speed = state["weights"], state["speed"]

    def probabilities(self, X):
        self.hidden = np.tanh(X @ self.weights[0])
        scores = self.hidden @ self.weights[1]
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        return scores / scores.sum(axis=1, keepdims=True)

    def step(self, X, y, learning_rate, momentum):
        error = self.probabilities(X)
        loss = -np.log(error[np.arange(len(y)), y]).mean()
        error[np.arange(len(y)), y] -= 1
        error /= len(y)
        back = (error @ self.weights[1].T) * (1 - self.hidden**2)
        for i, gradient in enumerate([X.T @ back, self.hidden.T @ error]):
            self.speed[i] = momentum * self.speed[i] - learning_rate * gradient
            self.weights[i] = self.weights[i] + self.speed[i]
        return loss


def spirals(points, noise):
    """Three arms of a spiral, which no straight line separates. Always the same ones."""
    rng = np.random.default_rng(0)
    arm = np.repeat(np.arange(3), points)
    radius = np.tile(np.linspace(0.1, 1, points), 3)
    angle = 2.1 * arm + 4 * radius + rng.normal(scale=noise, size=3 * points)
    X = np.stack([radius * np.cos(angle), radius * np.sin(angle), np.ones_like(radius)], axis=1)
    return X, arm


def experiment(context: Context, config: Config) -> float:
    X, y = spirals(points=100, noise=config.settings["noise"])
    network = Network((3, config.hidden, 3), context.rng)
    epochs = config.settings["epochs"]
    for epoch in context.loop(range(epochs), network, every="0.5s"):
        loss = network.step(X, y, config.learning_rate, momentum=0.9)
        if epoch % 250 == 0:
            context.record({"loss": (epoch, loss)})
    return float((network.probabilities(X).argmax(axis=1) == y).mean())


matrix = {
    "parameters": {"hidden": [4, 16, 64], "learning_rate": [0.1, 1.0]},
    "settings": {"epochs": 10_000, "noise": 0.2},
}

results = Memento(experiment).run(matrix)

print(results.pivot(index="hidden", columns="learning_rate").round(3).to_string())
for result in results:
    curve = result.metrics["loss"]
    print(
        f"hidden={result.config.hidden:<3} learning_rate={result.config.learning_rate}: "
        f"loss {curve['y'].iloc[0]:.2f} -> {curve['y'].iloc[-1]:.2f} in {len(curve)} records"
    )
print(f"{sum(result.was_cached for result in results)} of {len(results)} results were there already.")
