"""Which way of choosing among ten arms earns most, and with which value of its own parameter?

After figure 2.6 of Sutton and Barto, "Reinforcement Learning: An Introduction", second edition
(http://incompleteideas.net/book/the-book-2nd.html), as Shangtong Zhang and others draw it
(https://github.com/ShangtongZhang/reinforcement-learning-an-introduction, chapter02/ten_armed_testbed.py). Written
anew, and smaller: 200 bandits a setting, not 2000.
Lines without imports, comments and figures: 83 there, 46 here.

    python examples/ports/bandits.py
"""

from __future__ import annotations

import numpy as np

from memento import Memento


def average_reward(context, method, runs, steps, epsilon=0, alpha=0, c=0, initial=0):
    """Play many bandits side by side: a row each, a column for each arm."""
    rng, rows = context.shared_rng, np.arange(runs)
    true = rng.normal(size=(runs, 10))
    value = np.full((runs, 10), float(initial))
    count, total = np.zeros((runs, 10)), np.zeros(runs)
    for step in range(1, steps + 1):
        if method == "gradient":
            chance = np.exp(value - value.max(axis=1, keepdims=True))
            chance /= chance.sum(axis=1, keepdims=True)
            arm = (chance.cumsum(axis=1) < rng.random((runs, 1))).sum(axis=1).clip(max=9)
        else:
            bonus = c * np.sqrt(np.log(step) / (count + 1e-5)) if method == "UCB" else 0
            arm = (value + bonus + 1e-9 * rng.random((runs, 10))).argmax(axis=1)  # equal ones by chance
            if method == "epsilon-greedy":
                arm = np.where(rng.random(runs) < epsilon, rng.integers(10, size=runs), arm)
        reward = true[rows, arm] + rng.normal(size=runs)
        total += reward
        count[rows, arm] += 1
        if method == "gradient":
            taken = np.arange(10) == arm[:, None]
            value += alpha * (reward - total / step)[:, None] * (taken - chance)
        else:
            rate = 0.1 if method == "optimistic" else 1 / count[rows, arm]
            value[rows, arm] += rate * (reward - value[rows, arm])
    return total.mean() / steps


matrix = {
    "parameters": {
        "method": ["epsilon-greedy", "gradient", "UCB", "optimistic"],
        "epsilon": [2.0**x for x in range(-7, -1)],
        "alpha": [2.0**x for x in range(-5, 2)],
        "c": [2.0**x for x in range(-4, 3)],
        "initial": [2.0**x for x in range(-2, 3)],
    },
    "when": {
        "epsilon": {"method": "epsilon-greedy"},
        "alpha": {"method": "gradient"},
        "c": {"method": "UCB"},
        "initial": {"method": "optimistic"},
    },
    "settings": {"runs": 200, "steps": 1000},
}

results = Memento(average_reward).run(matrix)
frame = results.to_frame()
frame["parameter"] = frame[["epsilon", "alpha", "c", "initial"]].bfill(axis=1).iloc[:, 0]
print(frame.pivot(index="parameter", columns="method", values="value").round(2).to_string(na_rep=""))
print(results.best())
