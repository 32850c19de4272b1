"""Runtimes are expected from those of similar configurations."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable

import pytest

from memento.matrix.matrix import Matrix
from memento.plan.keyed_tasks import KeyedTasks
from memento.plan.plan import expected_costs
from memento.plan.runtime_forecast import fit_costs


def test_the_model_finds_effects_that_multiply() -> None:
    seconds = {"svc": 1.0, "forest": 20.0}
    scale = {"small": 1.0, "large": 10.0}
    past = [
        (json.dumps({"model": m, "data": d}), s * t) for m, s in seconds.items() for d, t in scale.items()
    ] * 20
    fitted = fit_costs(past, ["model", "data"], [['"svc"', '"forest"'], ['"small"', '"large"']])
    assert fitted is not None
    mean, (model, data), *_ = fitted
    assert math.exp(mean + model[1] + data[1]) == pytest.approx(200.0, rel=0.1)
    assert math.exp(mean + model[0] + data[0]) == pytest.approx(1.0, rel=0.1)


def test_an_unknown_value_is_expected_to_be_like_the_mean() -> None:
    fitted = fit_costs([('{"n": 1}', 2.0)] * 10, ["n"], [["99"]])
    assert fitted is not None
    mean, (effects,), *_ = fitted
    assert math.exp(mean + effects[0]) == pytest.approx(2.0)


def test_without_a_past_nothing_is_said() -> None:
    assert fit_costs([], ["n"], [["1"]]) is None


def test_parameters_that_are_no_json_do_no_harm() -> None:
    assert fit_costs([("not json", 1.0), ("[1]", 1.0)], ["n"], [["1"]]) is not None


Noise = Callable[[random.Random], float]
_NOISES: dict[str, Noise] = {
    "a little": lambda chance: chance.gauss(0.0, 0.05),
    "much": lambda chance: chance.gauss(0.0, 0.6),
    "heavy tails": lambda chance: chance.gauss(0.0, 0.2) * (5.0 if chance.random() < 0.1 else 1.0),
    "skewed": lambda chance: chance.expovariate(2.0),
}


def held_out(seed: int, noise: Noise, *, interact: bool = False) -> tuple[int, int]:
    """Return of how many tasks that were held out the time stayed below what nine of ten should, and of how many."""
    chance = random.Random(seed)
    sizes = [chance.randint(2, 6) for _ in range(chance.randint(2, 3))]
    matrix = {"parameters": {f"p{i}": list(range(size)) for i, size in enumerate(sizes)}, "repeats": 3}
    tasks = KeyedTasks(Matrix.of(matrix), "exp:train")
    effects = [[chance.gauss(0.0, 1.2) for _ in range(size)] for size in sizes]
    both = {(a, b): chance.gauss(0.0, 0.3) for a in range(6) for b in range(6)}

    def seconds(number: int) -> float:
        slots = tasks.slots(number)
        told = sum(effect[slot] for effect, slot in zip(effects, slots, strict=True))
        return math.exp(told + (both[slots[0], slots[1]] if interact else 0.0) + noise(chance))

    numbers = list(range(len(tasks)))
    chance.shuffle(numbers)
    known, rest = numbers[: len(numbers) // 2], numbers[len(numbers) // 2 :]
    past = [
        (json.dumps({f"p{i}": slot for i, slot in enumerate(tasks.slots(number))}), seconds(number))
        for number in known
    ]
    fragments = [tasks.fragments(column) for column in range(len(tasks.names))]
    found = expected_costs(tasks, fit_costs(past, tasks.names, fragments), rest)
    assert found is not None
    return sum(seconds(number) <= found[1][number] for number in rest), len(rest)


@pytest.mark.parametrize("interact", [False, True], ids=["effects multiply", "values interact"])
@pytest.mark.parametrize("noise", list(_NOISES))
def test_nine_of_ten_tasks_that_were_held_out_stay_below_the_longest_that_is_expected(
    noise: str, interact: bool
) -> None:
    counts = [held_out(seed, _NOISES[noise], interact=interact) for seed in range(50)]
    below, of = map(sum, zip(*counts, strict=True))
    assert 0.80 <= below / of <= 0.97


def forecast(past: list[tuple[str, float]], values: list[object]) -> tuple[list[float], list[float]]:
    """Expect of tasks with these values of n what past ones say: seconds, and what nine of ten stay below."""
    tasks = KeyedTasks(Matrix.of({"parameters": {"n": values}}), "exp:train")
    numbers = list(range(len(values)))
    found = expected_costs(tasks, fit_costs(past, ["n"], [tasks.fragments(0)]), numbers)
    assert found is not None
    return found[0].tolist(), found[1].tolist()


def test_of_values_that_no_task_had_more_is_thought_possible() -> None:
    past = [(json.dumps({"n": n}), s) for n, s in (("a", 1.0), ("b", 30.0), ("c", 5.0)) for _ in range(5)]
    (_, unseen), (_, longest) = forecast(past, ["a", "d"])
    assert unseen == pytest.approx(150 ** (1 / 3))  # as the mean
    assert longest > 4 * unseen


@pytest.mark.parametrize(
    ("seconds", "new"),
    [
        (lambda n: 0.01 * n, 4_000.0),
        (lambda n: 1e-6 * n**2, 4_000.0),
        (lambda n: 3.0, 4_000.0),
        (lambda n: 1e6 / n, 0.5),
    ],
    ids=["as the number", "as its square", "none", "less for more"],
)
def test_a_number_that_no_task_had_follows_from_those_that_some_had(
    seconds: Callable[[float], float], new: float
) -> None:
    past = [(json.dumps({"n": n}), seconds(n)) for n in (10.0, 30.0, 100.0, 300.0, 1_000.0)]
    (expected,), (longest,) = forecast(past, [new])
    assert expected == pytest.approx(seconds(new), rel=0.05)
    assert longest > 1.2 * expected


def test_the_farther_a_number_is_from_those_that_are_known_the_less_is_known_of_it() -> None:
    past = [(json.dumps({"n": n}), n * (1.5 if n % 2 else 0.7)) for n in range(1, 9)]
    expected, longest = forecast(past, [10, 100, 1_000])
    widths = [most / usual for most, usual in zip(longest, expected, strict=True)]
    assert widths == sorted(widths)
    assert widths[0] < 0.7 * widths[-1]


@pytest.mark.parametrize("values", [[True, False], [-1.0, 5.0], ["x", 3], [None]])
def test_values_of_which_no_number_follows_do_no_harm(values: list[object]) -> None:
    past = [(json.dumps({"n": n}), 2.0) for n in (1, 2, "a")] * 3
    expected, longest = forecast(past, values)
    assert all(math.isfinite(one) and one > 0 for one in (*expected, *longest))
