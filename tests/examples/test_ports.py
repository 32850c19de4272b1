"""Every port of a public experiment gives the numbers of its original, and computes nothing the second time.

Where the original prints numbers that any version of its libraries gives, they stand here as they are published; else
its algorithm is run here once more, by plain loops.
"""

from __future__ import annotations

import ast
import io
import json
import os
import re
import subprocess
import sys
import tokenize
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import memento
from memento import Context, Results

PORTS = Path(__file__).parents[2] / "examples" / "ports"

# All in one process and one store: what takes longest is to import scikit-learn.
ALL_TWICE = """
import contextlib, io, json, os, runpy, sys
folder, *names = sys.argv[1:]
sys.path[0] = folder
told = {}
for name in names:
    sys.argv = [os.path.join(folder, name)]
    for _ in range(2):
        with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
            runpy.run_path(sys.argv[0], run_name="__main__")
        told.setdefault(name, []).append((out.getvalue(), err.getvalue()))
json.dump(told, sys.stdout)
"""


def grid_search_statistics(results: Results, printed: str) -> None:
    published = """
        rbf 0.9400 0.0793
        linear 0.9300 0.0778
        3_poly 0.9044 0.0988
        2_poly 0.6852 0.1691
        rbf linear 0.750 1.000 0.068 0.500 0.432
        rbf 3_poly 1.657 0.302 0.018 0.882 0.100
        rbf 2_poly 4.565 0.000 0.000 1.000 0.000
        linear 3_poly 1.111 0.807 0.063 0.750 0.187
        linear 2_poly 4.276 0.000 0.000 1.000 0.000
        3_poly 2_poly 3.851 0.001 0.000 1.000 0.000
    """
    for line in published.split("\n")[1:-1]:
        assert re.search(r"\s+".join(map(re.escape, line.split())), printed), line


def nested_cross_validation(results: Results, printed: str) -> None:
    assert len(results) == 30
    assert "Average difference of 0.007581 with std. dev. of 0.007833." in printed


def classifier_comparison(results: Results, printed: str) -> None:
    from sklearn.datasets import make_circles, make_classification, make_moons
    from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
    from sklearn.ensemble import AdaBoostClassifier, RandomForestClassifier
    from sklearn.gaussian_process import GaussianProcessClassifier
    from sklearn.gaussian_process.kernels import RBF
    from sklearn.model_selection import train_test_split
    from sklearn.naive_bayes import GaussianNB
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.neural_network import MLPClassifier
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC
    from sklearn.tree import DecisionTreeClassifier

    X, y = make_classification(
        n_features=2, n_redundant=0, n_informative=2, random_state=1, n_clusters_per_class=1
    )
    separable = X + 2 * np.random.RandomState(2).uniform(size=X.shape), y
    moons = make_moons(noise=0.3, random_state=0)
    circles = make_circles(noise=0.2, factor=0.5, random_state=1)
    expected = []
    for X, y in moons, circles, separable:
        X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.4, random_state=42)
        scaler = StandardScaler().fit(X_train)
        for classifier in [
            KNeighborsClassifier(3),
            SVC(kernel="linear", C=0.025, random_state=42),
            SVC(gamma=2, C=1, random_state=42),
            GaussianProcessClassifier(1.0 * RBF(1.0), random_state=42),
            DecisionTreeClassifier(max_depth=5, random_state=42),
            RandomForestClassifier(max_depth=5, n_estimators=10, max_features=1, random_state=42),
            MLPClassifier(alpha=1, max_iter=1000, random_state=42),
            AdaBoostClassifier(random_state=42),
            GaussianNB(),
            QuadraticDiscriminantAnalysis(),
        ]:
            classifier.fit(scaler.transform(X_train), y_train)
            expected.append(classifier.score(scaler.transform(X_test), y_test))
    assert [result.inner for result in results] == expected
    assert [result.inner for result in results.filter(dataset="circles")] == expected[10:20]
    assert printed.split("\n")[0].split("  ")[-2:] == ["circles", "linearly separable"]


def bandits(results: Results, printed: str) -> None:
    for result in results:
        assert result.inner == pytest.approx(rewards_of(*list(result.config.asdict().values())[-2:])), (
            result.config
        )
    # What the book's figure shows, in which the mean of 2000 bandits is drawn: the best of each way.
    best = results.to_frame().groupby("method")["value"].max()
    published = {"UCB": 1.5, "optimistic": 1.47, "gradient": 1.43, "epsilon-greedy": 1.38}
    assert best.sort_values(ascending=False).index.tolist() == list(published)
    assert best.to_dict() == pytest.approx(published, abs=0.1)


def rewards_of(method: str, number: float, runs: int = 200, steps: int = 1000) -> float:
    """Draw as bandits.py draws; keep sums of rewards where it keeps means."""
    rng, all_runs = Context("any task's").shared_rng, range(runs)
    truth = rng.normal(size=(runs, 10))
    times, sums, constant, preference = (np.zeros((runs, 10)) for _ in range(4))
    constant += number
    rewards = np.zeros((steps, runs))
    for step in range(steps):
        if method == "gradient":
            weights = np.exp(preference)
            chances = weights / weights.sum(axis=1)[:, None]
            drawn = rng.random((runs, 1))
            arms = np.array([min(np.searchsorted(chances[i].cumsum(), drawn[i, 0]), 9) for i in all_runs])
        else:
            seen = (
                constant if method == "optimistic" else np.divide(sums, times, out=0 * sums, where=times > 0)
            )
            if method == "UCB":
                seen = seen + number * np.sqrt(np.log(step + 1) / (times + 1e-5))
            arms = np.argmax(seen + 1e-9 * rng.random((runs, 10)), axis=1)
        if method == "epsilon-greedy":
            explores, other = rng.random(runs) < number, rng.integers(10, size=runs)
            arms[explores] = other[explores]
        rewards[step] = truth[all_runs, arms] + rng.normal(size=runs)
        one_hot = np.eye(10)[arms]
        times, sums = times + one_hot, sums + one_hot * rewards[step][:, None]
        constant = constant + 0.1 * one_hot * (rewards[step][:, None] - constant)
        if method == "gradient":
            above = rewards[step] - rewards[: step + 1].mean(axis=0)
            preference += number * above[:, None] * (one_hot - chances)
    return float(rewards.mean())


def cliff_walking(results: Results, printed: str) -> None:
    for method in "Sarsa", "Q-learning":
        first = results.filter(method=method, repeat=0)[0]
        assert first.metrics["reward"]["y"].tolist() == cliff_rewards(method)
    # The book: Sarsa earns -25 an episode, Q-learning -50, although its path is shorter: 13 steps, not 17.
    curves = {
        method: np.mean(
            [result.metrics["reward"]["y"][-200:].mean() for result in results.filter(method=method)]
        )
        for method in ("Sarsa", "Q-learning")
    }
    assert curves == pytest.approx({"Sarsa": -25, "Q-learning": -50}, abs=7)
    paths = results.to_frame().dropna(subset="greedy_steps").groupby("method")["greedy_steps"].unique()
    assert paths.map(list).to_dict() == {"Sarsa": [17], "Q-learning": [13]}


def cliff_rewards(method: str) -> list[int]:
    rng = Context("any task's").shared_rng
    q: dict[tuple[complex, int], float] = {}

    def act(place: complex) -> int:
        values = [q.get((place, action), 0) for action in range(4)]
        if rng.random() < 0.1:
            return int(rng.integers(4))
        return int(rng.choice([action for action in range(4) if values[action] == max(values)]))

    sums = []
    for _ in range(500):
        place, total, action = 3j, 0, act(3j)
        while place != 11 + 3j:
            to = place + (-1j, 1j, -1, 1)[action]
            to = complex(min(max(to.real, 0), 11), min(max(to.imag, 0), 3))
            fell = to.imag == 3 and 0 < to.real < 11
            to, reward = (3j, -100) if fell else (to, -1)
            total += reward
            next_action = act(to)
            values = [q.get((to, other), 0) for other in range(4)]
            ahead = values[next_action] if method == "Sarsa" else max(values)
            q[place, action] = q.get((place, action), 0) + 0.5 * (reward + ahead - q.get((place, action), 0))
            place, action = to, next_action if method == "Sarsa" else act(to)
        sums.append(total)
    return sums


def iris_rates(results: Results, printed: str) -> None:
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split

    X, y = load_iris(return_X_y=True)
    X = np.hstack([X, np.random.RandomState(0).randn(150, 40)])
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.35, random_state=0)
    for reg, result in zip([1, 0.1, 0.01], results, strict=True):
        model = LogisticRegression(C=1 / reg, max_iter=1000).fit(X_train, y_train)
        assert (result.config.reg, result.inner["accuracy"]) == (reg, model.score(X_test, y_test))


def epidemic(results: Results, printed: str) -> None:
    from scipy.integrate import odeint

    def rate(x: Any, t: float, reproduction: Callable[[float], float]) -> tuple[float, float, float]:
        s, e, i = x
        beta, sigma, gamma = reproduction(t) / 18, 1 / 5.2, 1 / 18
        return -beta * s * i, beta * s * i - sigma * e, sigma * e - gamma * i

    constant: list[Callable[[float], float]] = [lambda t, r=r: r for r in np.linspace(1.6, 3.0, 6)]  # type: ignore[misc]
    falling: list[Callable[[float], float]] = [
        lambda t, eta=eta: 3 * np.exp(-eta * t) + (1 - np.exp(-eta * t)) * 1.6  # type: ignore[misc]
        for eta in (1 / 5, 1 / 10, 1 / 20, 1 / 50, 1 / 100)
    ]
    start = (1 - 1e-7 - 4e-7, 4e-7, 1e-7)
    for reproduction, result in zip(constant + falling, results, strict=True):
        path = odeint(rate, start, np.linspace(0, 550, 1000), args=(reproduction,))
        assert result.inner["infected"].to_numpy() == pytest.approx(path[:, 2], rel=1e-4)
        assert result.inner["cumulative"].to_numpy() == pytest.approx(1 - path[:, 0] - path[:, 1], rel=1e-4)


def lasso(results: Results, printed: str) -> None:
    from sklearn.linear_model import Lasso

    frame = results.to_frame()
    assert len(frame) == 4 * 2 * 3 * 3
    rng = np.random.default_rng(27)
    X = rng.normal(size=(100, 100))
    weights = np.where(np.arange(100) % 10 == 0, 1.0, 0.0)
    noise = rng.normal(size=100)
    y = X @ weights
    y += noise * np.linalg.norm(y) / 3 / 10
    for reg in 0.5, 0.1, 0.05:
        lmbd = reg * np.abs(X.T @ y).max()
        optimum = Lasso(alpha=lmbd / 100, fit_intercept=False, tol=1e-12, max_iter=100_000).fit(X, y).coef_
        least = 0.5 * np.sum((y - X @ optimum) ** 2) + lmbd * np.abs(optimum).sum()
        of_this = frame[(frame["rho"] == 0) & (frame["reg"] == reg)]
        assert (of_this["value"] >= least * (1 - 1e-9)).all()
        assert (of_this["value"] - of_this["duality_gap"] <= least * (1 + 1e-9)).all()
        for solver, some in of_this.groupby("solver"):
            assert some.set_index("n_iter")["value"].is_monotonic_decreasing, solver
            assert some["value"].min() == pytest.approx(least, rel=1e-3), solver
    # scikit-learn descends the same coordinates in the same order.
    ours, theirs = (frame[frame["solver"] == f"{name}.Solver"] for name in ("cd", "sklearn_lasso"))
    assert ours["value"].to_numpy() == pytest.approx(theirs["value"].to_numpy(), rel=1e-9)


def spiral_network(results: Results, printed: str) -> None:
    linear, network = results
    assert [linear.inner, network.inner] == [accuracy_on_the_spiral(hidden) for hidden in (0, 100)]
    # Published: 49 % and 98 %; a loss of 1.0987 at first, then 0.2949 and 0.2593 after 1000 steps each.
    assert [linear.inner, network.inner] == pytest.approx([0.49, 0.98], abs=0.04)
    assert network.metrics["loss"]["y"].tolist() == pytest.approx([1.0987, 0.2949, 0.2593], abs=0.05)


def accuracy_on_the_spiral(hidden: int, steps: int = 3000, reg: float = 1e-3) -> float:
    rng = Context("any task's").shared_rng
    noise = 0.2 * rng.normal(size=(3, 100))
    r, X = np.linspace(0, 1, 100), np.zeros((300, 2))
    for j in range(3):
        t = np.linspace(j * 4, (j + 1) * 4, 100) + noise[j]
        X[100 * j : 100 * (j + 1)] = np.stack([r * np.sin(t), r * np.cos(t)], axis=1)
    truth = np.eye(3)[np.arange(300) // 100]
    if hidden:
        W, b = 0.01 * rng.normal(size=(2, hidden)), np.zeros(hidden)
    W2, b2 = 0.01 * rng.normal(size=(hidden or 2, 3)), np.zeros(3)
    for _ in range(steps + 1):
        inner = np.maximum(0, X @ W + b) if hidden else X
        scores = inner @ W2 + b2
        chances = np.exp(scores)
        chances /= chances.sum(axis=1, keepdims=True)
        change = (chances - truth) / 300
        before, W2, b2 = W2, W2 - (inner.T @ change + reg * W2), b2 - change.sum(axis=0)
        if hidden:
            back = change @ before.T
            back[inner <= 0] = 0
            W, b = W - (X.T @ back + reg * W), b - back.sum(axis=0)
    return float(np.mean(scores.argmax(axis=1) == truth.argmax(axis=1)))


def blending(results: Results, printed: str) -> None:
    from sklearn.datasets import load_breast_cancer
    from sklearn.ensemble import ExtraTreesClassifier, GradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss
    from sklearn.model_selection import StratifiedKFold, train_test_split
    from sklearn.preprocessing import StandardScaler

    X, y = load_breast_cancer(return_X_y=True)
    X, X_submission, y, y_submission = train_test_split(X, y, test_size=0.5, random_state=0)
    scaler = StandardScaler().fit(X)
    X, X_submission = scaler.transform(X), scaler.transform(X_submission)
    models = [
        RandomForestClassifier(n_estimators=20, criterion="entropy", random_state=0),
        ExtraTreesClassifier(n_estimators=20, criterion="gini", random_state=0),
        GradientBoostingClassifier(n_estimators=20, max_depth=6, random_state=0),
    ]
    train, test = np.zeros((len(X), 3)), np.zeros((len(X_submission), 3))
    for j, model in enumerate(models):
        for fit, held_out in StratifiedKFold(5).split(X, y):
            model.fit(X[fit], y[fit])
            train[held_out, j] = model.predict_proba(X[held_out])[:, 1]
            test[:, j] += model.predict_proba(X_submission)[:, 1] / 5
    expected = log_loss(y_submission, LogisticRegression().fit(train, y).predict_proba(test)[:, 1])
    blends = [result for result in results if "blend.step" in result.config or "forest" in result.config]
    assert len(blends) == 8
    assert blends[2].inner == pytest.approx(expected)


# How many tasks each has. The last one fills a pool of threads in this program: workers of others would start slower.
CHECKS: dict[Callable[[Results, str], None], int] = {
    grid_search_statistics: 4,
    nested_cross_validation: 30,
    classifier_comparison: 30,
    bandits: 25,
    cliff_walking: 10,
    iris_rates: 3,
    lasso: 72,
    spiral_network: 2,
    blending: 20,
    epidemic: 11,
}
NAMES = {check: f"{check.__name__}.py" for check in CHECKS}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_each_port_gives_the_numbers_of_its_original(tmp_path: Path, subtests: pytest.Subtests) -> None:
    command = [sys.executable, "-c", ALL_TWICE, str(PORTS), *NAMES.values()]
    environment = {**os.environ, "MEMENTO_STORE": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=800)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    for check, total in CHECKS.items():
        with subtests.test(check.__name__):
            (printed, log), (again, second_log) = told[NAMES[check]]
            assert f"{total} done" in log
            assert printed == again
            assert "all cached" in second_log
            experiment = re.findall(r"\[memento\] (.*?), store", log)[-1]
            check(memento.load(tmp_path, experiment), printed)


def test_every_port_is_tested() -> None:
    assert {path.name for path in PORTS.glob("*.py")} == {*NAMES.values(), "iris_script.py"}


@pytest.mark.parametrize("name", NAMES.values())
def test_a_port_names_its_source_and_is_no_longer_than_it(name: str) -> None:
    text = (PORTS / name).read_text("utf-8")
    header = text.split('"""')[1]
    assert re.search(r"After .*\(https?://\S+", header, re.DOTALL)
    assert f"    python examples/ports/{name}\n" in header
    [(theirs, ours)] = re.findall(r"(\d+) there, (\d+) here\.", header)
    assert int(ours) == code_lines(text) <= int(theirs)


def code_lines(text: str) -> int:
    """Count lines of code, without imports, comments and docstrings."""
    nothing = {getattr(tokenize, name) for name in "COMMENT NL NEWLINE INDENT DEDENT ENDMARKER".split()}
    lines = {
        line
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type not in nothing
        for line in range(token.start[0], token.end[0] + 1)
    }
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Import, ast.ImportFrom)) or (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        ):
            lines -= set(range(node.lineno, (node.end_lineno or 0) + 1))
    return len(lines)
