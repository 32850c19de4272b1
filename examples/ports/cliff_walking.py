"""Sarsa learns the safe path along a cliff, Q-learning the short one, and falls more often while it learns.

After example 6.6 of Sutton and Barto, "Reinforcement Learning: An Introduction", second edition
(http://incompleteideas.net/book/the-book-2nd.html), as Shangtong Zhang and Kenta Shimada compute it
(https://github.com/ShangtongZhang/reinforcement-learning-an-introduction, chapter06/cliff_walking.py). Written anew,
and smaller: 5 runs, not 50. Lines without imports, comments and figures: 85 there, 38 here.

    python examples/ports/cliff_walking.py
"""

from __future__ import annotations

import numpy as np

from memento import Context, Memento

ROWS, COLUMNS, EPSILON, STEP_SIZE = 4, 12, 0.1, 0.5
START, GOAL = (3, 0), (3, 11)
MOVES = [(-1, 0), (1, 0), (0, -1), (0, 1)]


def walk(state, action):
    """One step: where it leads, and its reward."""
    row = min(max(state[0] + MOVES[action][0], 0), ROWS - 1)
    column = min(max(state[1] + MOVES[action][1], 0), COLUMNS - 1)
    if row == 3 and 0 < column < 11:
        return START, -100
    return (row, column), -1


def choose(values, rng):
    if rng.random() < EPSILON:
        return int(rng.integers(4))
    return int(rng.choice(np.flatnonzero(values == values.max())))


def learn(context: Context, method: str):
    rng = context.shared_rng
    q = np.zeros((ROWS, COLUMNS, 4))
    for episode in range(500):
        state, rewards = START, 0
        action = choose(q[state], rng)
        while state != GOAL:
            after, reward = walk(state, action)
            rewards += reward
            following = choose(q[after], rng)
            target = q[after][following] if method == "Sarsa" else q[after].max()
            q[state][action] += STEP_SIZE * (reward + target - q[state][action])
            state = after
            # Q-learning chooses after it has learned.
            action = following if method == "Sarsa" else choose(q[state], rng)
        context.record(reward=rewards, step=episode)
    state, steps = START, 0
    while state != GOAL and steps < 100:
        state, steps = walk(state, int(q[state].argmax()))[0], steps + 1
    return {"greedy_steps": steps if state == GOAL else None}


results = Memento(learn).run({"parameters": {"method": ["Sarsa", "Q-learning"]}, "repeats": 5})
print(results.summary(metric="greedy_steps").round(2).to_string(index=False))
curves = results.metrics
print(
    curves[curves["x"] >= 300].groupby("method")["y"].mean().rename("reward, last 200 episodes").to_string()
)
