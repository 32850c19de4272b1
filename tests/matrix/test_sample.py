"""A sample gives each value its share, has all of a smaller one, and is the same everywhere."""

from __future__ import annotations

import os
import subprocess
import sys
from hashlib import blake2b
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memento import Config, Matrix
from memento.matrix.sample import chosen_rows
from memento.plan.keyed_tasks import KeyedTasks


def parts(sizes: list[int]) -> list[list[bytes]]:
    return [
        [*(blake2b(f"{axis}/{slot}".encode()).digest() for slot in range(size)), b""]
        for axis, size in enumerate(sizes)
    ]


def grid(sizes: list[int]) -> Any:
    return np.stack(np.unravel_index(np.arange(np.prod(sizes)), sizes), 1).astype(np.int32)


def worst(columns: Any, rows: Any) -> float:
    """Return how far the count of a value in a sample is from its share, at most."""
    far = 0.0
    for column in columns.T:
        whole, own = np.bincount(column + 1), np.bincount(column[rows] + 1, minlength=column.max() + 2)
        far = max(far, float(np.abs(own - whole * len(rows) / len(column)).max()))
    return far


_SIZES = st.lists(st.integers(1, 9), min_size=1, max_size=5)


@pytest.mark.slow
@settings(max_examples=60)
@given(
    sizes=_SIZES, keep=st.integers(0, 2**32), counts=st.lists(st.integers(1, 9000), min_size=2, max_size=5)
)
def test_a_larger_sample_has_all_of_a_smaller_one(sizes: list[int], keep: int, counts: list[int]) -> None:
    columns = grid(sizes)
    columns = columns[np.random.default_rng(keep).random(len(columns)) < 0.7]  # as rules leave it
    before: set[int] = set()
    for count in sorted(counts):
        rows = chosen_rows(columns, parts(sizes), count)
        assert rows == sorted(set(rows))
        assert len(rows) == min(count, len(columns))
        assert before <= set(rows)
        before = set(rows)


@pytest.mark.slow
@settings(max_examples=40)
@given(
    sizes=st.lists(st.integers(2, 10), min_size=2, max_size=4),
    seed=st.integers(0, 2**32),
    share=st.floats(0.01, 0.9),
)
def test_every_value_has_its_share_but_for_a_few(sizes: list[int], seed: int, share: float) -> None:
    random = np.random.default_rng(seed)
    columns = grid(sizes)
    for _ in range(random.integers(0, 3)):  # what rules leave
        one, other = random.choice(len(sizes), 2, replace=False)
        gone = (columns[:, one] == random.integers(sizes[one])) & (
            columns[:, other] == random.integers(sizes[other])
        )
        columns = columns[~gone]
    columns = np.unique(np.where(columns == columns[:, :1] + 3, -1, columns), axis=0)  # and conditions
    count = max(1, int(share * len(columns)))
    assert worst(columns, chosen_rows(columns, parts(sizes), count)) <= 2


@pytest.mark.parametrize(
    "sizes", [[5, 7, 3, 11], [10, 10, 10, 10], [2] * 12, [100, 100], [1000, 3, 4]], ids=str
)
def test_a_sample_is_much_more_even_than_a_random_one(sizes: list[int]) -> None:
    columns = grid(sizes)
    for count in (100, 300, 900):
        randomly = [
            worst(columns, np.random.default_rng(seed).permutation(len(columns))[:count])
            for seed in range(20)
        ]
        own = worst(columns, chosen_rows(columns, parts(sizes), count))
        assert own <= 1.5
        assert own < 0.75 * float(np.mean(randomly))


@pytest.mark.slow
def test_a_large_sample_is_as_even() -> None:
    columns = grid([10] * 5)
    for count in (4096, 4097, 5000, 12_345, 60_000):
        assert worst(columns, chosen_rows(columns, parts([10] * 5), count)) <= 5


@pytest.mark.parametrize("sizes", [[20, 10], [5, 7, 3, 11], [6, 6, 6, 6]], ids=str)
def test_a_sample_of_as_many_rows_as_a_parameter_has_values_has_nearly_all_of_them(sizes: list[int]) -> None:
    columns = grid(sizes)
    for axis, size in enumerate(sizes):
        rows = chosen_rows(columns, parts(sizes), max(sizes))
        assert len(set(columns[rows, axis])) >= size - 1


def test_a_million_rows_are_sampled_as_a_few_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only rows that begin near the sample are moved: the same ones come of it as of moving all."""
    columns = grid([20, 50, 100])
    few = chosen_rows(columns, parts([20, 50, 100]), 300)
    monkeypatch.setattr("memento.matrix.sample._MARGIN", 10**6)
    assert few == chosen_rows(columns, parts([20, 50, 100]), 300)
    assert worst(columns, few) <= 1.5


def sampled(matrix: Any, count: float) -> list[Config]:
    return list(KeyedTasks(Matrix.of(matrix), "exp", sample=count).matrix.configs)


DECLARED = {"parameters": {"a": list(range(12)), "b": list("abcdef"), "c": [0.1, 0.2, 0.3]}}


def test_a_sample_does_not_depend_on_how_the_matrix_is_written() -> None:
    other = {"parameters": {"c": [0.3, 0.1, 0.2], "a": list(range(11, -1, -1)), "b": list("fedcba")}}
    one = {tuple(sorted(config.asdict().items())) for config in sampled(DECLARED, 40)}
    assert one == {tuple(sorted(config.asdict().items())) for config in sampled(other, 40)}


def test_most_of_a_sample_stays_when_the_matrix_grows() -> None:
    new = {"parameters": {**DECLARED["parameters"], "a": [-1, *range(12)], "new": ["only"]}}
    grown = {**new, "defaults": {"new": "only"}}  # as it leaves the keys
    one = {(c.a, c.b, c.c) for c in sampled(DECLARED, 100)}
    assert len(one & {(c.a, c.b, c.c) for c in sampled(grown, 108)}) > 70


def test_repeats_of_a_configuration_stay_together() -> None:
    configs = sampled({**DECLARED, "repeats": 3}, 31)
    assert len(configs) == 30
    assert len({(c.a, c.b, c.c) for c in configs}) == 10
    assert len(sampled({**DECLARED, "repeats": 3}, 1)) == 3


@pytest.mark.parametrize(
    ("sample", "count"),
    [(0.5, 108), (1.0, 216), (1, 1), (216, 216), (999, 216), (0.001, 1), (np.int64(7), 7)],
)
def test_a_sample_is_a_number_of_tasks_or_a_share(sample: float, count: int) -> None:
    assert len(sampled(DECLARED, sample)) == count


def test_what_rules_leave_out_is_in_no_sample() -> None:
    matrix = {
        "parameters": {"model": ["svc", "rf"], "C": list(range(20)), "seed": list(range(10))},
        "when": {"C": {"model": "svc"}},
        "exclude": [{"model": "svc", "seed": 3}, lambda config: config.seed == 4],
        "include": [{"model": "mlp", "hidden": 5}],
    }
    every, configs = list(Matrix.of(matrix).configs), sampled(matrix, 60)
    assert len(configs) == 60
    assert [config for config in every if config in configs] == configs, "in the matrix's order"


SCRIPT = """
from memento.plan.keyed_tasks import KeyedTasks
from memento import Matrix
tasks = KeyedTasks(Matrix({"a": list(range(30)), "b": [{"x", "y"}, {"z"}], "c": [len, print, 1.5]}), "exp", sample=20)
print(tasks.keys.hex())
"""


@pytest.mark.slow
def test_a_sample_is_the_same_in_every_process() -> None:
    told = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT], env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(told) == 1


def test_samples_of_before_are_samples_of_now() -> None:
    """A release that draws another sample would have users compute anew."""
    rows = chosen_rows(grid([4, 5, 6]), parts([4, 5, 6]), 10)
    assert rows == [10, 13, 43, 54, 63, 83, 86, 95, 98, 111]
