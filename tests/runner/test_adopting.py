"""An adoption is only as good as what was verified, and says so."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from memento import Memento
from memento.matrix.matrix import Matrix
from memento.runner.adopting import chosen, largest_share
from memento.runner.session import Session
from memento.store.store import Store


def unseen(results: int, differing: int, verified: int) -> Fraction:
    """The probability that none of those that differ is drawn."""
    return Fraction(math.comb(results - differing, verified), math.comb(results, verified))


@given(st.integers(1, 60), st.integers(0, 60))
@example(3, 3)  # exactly one in twenty
def test_the_bound_is_the_largest_share_that_is_not_unlikely(verified: int, more: int) -> None:
    results = verified + more
    many = max(k for k in range(more + 1) if unseen(results, k, verified) >= Fraction(5, 100))
    endless = 1 - 0.05 ** (1 / verified)
    assert largest_share(verified, results) == pytest.approx(min(many / results, endless))


def test_of_endlessly_many_the_bound_is_that_of_clopper_and_pearson() -> None:
    assert largest_share(60, 10**12) == pytest.approx(1 - 0.05 ** (1 / 60), rel=1e-6)
    assert largest_share(1, 10**12) == pytest.approx(0.95, rel=1e-6)
    assert largest_share(7, 7) == 0.0


GRID: dict[str, Any] = {"parameters": {"a": list(range(6)), "b": ["x", "y", "z"], "c": [1, 2, 3, 4]}}


class Lab:
    """One experiment by name, whose code a test replaces as an edit would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def memento(self, func: Callable[..., Any]) -> Memento:
        return Memento(func, name="lab", executor="serial", store=self.folder, progress=False)

    def said(self, caplog: pytest.LogCaptureFixture, func: Callable[..., Any], matrix: Any = GRID) -> str:
        caplog.clear()
        self.memento(func).run(matrix)
        return caplog.text


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "store")


def first(context: Any, config: Any) -> Any:
    return config.a * 2


def equal(context: Any, config: Any) -> Any:
    return config.a + config.a


def other(context: Any, config: Any) -> Any:
    return config.a * 3 if config.b == "y" and config.a == 5 else config.a * 2


def failing(context: Any, config: Any) -> Any:
    if config.b == "y":
        raise ValueError("not any more")
    return config.a * 2


def failing_always(context: Any, config: Any) -> Any:
    raise ValueError("never again")


def test_what_is_adopted_is_silent_and_not_computed_again(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    lab.memento(first).run(GRID)
    assert "72 results were computed by an older version" in lab.said(caplog, equal)
    adopted = lab.memento(equal).adopt(GRID)
    assert (adopted.results, adopted.verified, adopted.bound) == (72, 0, None)
    assert lab.said(caplog, equal) == ""
    again = lab.memento(equal)
    again._options = again._options._replace(on_code_change="rerun")
    results = again.run(GRID)
    assert results is not None
    assert all(result.was_cached for result in results)


def test_verified_results_are_counted_and_bound_what_may_differ(lab: Lab) -> None:
    lab.memento(first).run(GRID)
    adopted = lab.memento(equal).adopt(GRID, verify=20)
    assert (adopted.results, adopted.verified, adopted.differences) == (72, 20, ())
    assert adopted.bound == largest_share(20, 72)
    most = f"{math.ceil(adopted.bound * 1000) / 10:g} %"
    assert f"with 95 % confidence, at most {most} of all 72 differ" in str(adopted)
    with Store.open(lab.folder) as store:
        (told,) = store.versions("lab").adoptions()
        assert (told.verified, told.results) == (20, 72)


def test_where_all_were_verified_no_bound_is_needed(lab: Lab) -> None:
    lab.memento(first).run(GRID)
    adopted = lab.memento(equal).adopt(GRID, verify=1000)
    assert adopted.verified == 72
    assert "all were computed again and are equal" in str(adopted)


@pytest.mark.slow
def test_where_one_differs_nothing_is_adopted_and_it_is_told_with_both_values(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    lab.memento(first).run(GRID)
    adopted = lab.memento(other).adopt(GRID, verify=72)
    assert adopted.changes == ()
    assert {d.config for d in adopted.differences} == {f"a=5, b=y, c={c}" for c in (1, 2, 3, 4)}
    assert {(d.before, d.now) for d in adopted.differences} == {("10", "15")}
    assert "72 results were computed by an older version" in lab.said(caplog, other)


def test_a_task_that_fails_now_differs(lab: Lab) -> None:
    lab.memento(first).run(GRID)
    adopted = lab.memento(failing).adopt(GRID, verify=12)
    assert adopted.differences
    assert "it failed: ValueError: not any more" in adopted.differences[0].now


def test_a_verification_goes_on_after_failures(lab: Lab) -> None:
    lab.memento(first).run(GRID)
    runs = Memento(
        failing_always, name="lab", executor="serial", store=lab.folder, progress=False, fail_fast=True
    )
    now = [difference.now for difference in runs.adopt(GRID, verify=10).differences]
    assert len(now) == 10
    assert all("never again" in one for one in now)


def test_nothing_of_a_verification_stays_in_the_store(lab: Lab) -> None:
    lab.memento(first).run(GRID)
    with Store.open(lab.folder) as store:
        before = {row.key: row.id for row in store.index.known("lab")}
        runs = len(store.index.runs())
    lab.memento(other).adopt(GRID, verify=72)
    with Store.open(lab.folder) as store:
        assert {row.key: row.id for row in store.index.known("lab")} == before
        assert len(store.index.runs()) == runs


@pytest.mark.parametrize("most", [1, 2, 4, 6, 30, 72, 100])
def test_each_value_is_verified_as_far_as_the_number_allows(most: int, lab: Lab) -> None:
    lab.memento(first).run(GRID)
    memento = lab.memento(equal)
    with Store.open(lab.folder) as store:
        session = Session(equal, "lab", Matrix.of(GRID), store, memento._options, lambda event: None)
        numbers = chosen(session, most)
        assert numbers == chosen(session, most)
        assert len(numbers) == len(set(numbers)) == min(most, 72)
        for name, values in GRID["parameters"].items():
            covered = {session.tasks.matrix.config(number)[name] for number in numbers}
            assert len(covered) == min(most, len(values))


@pytest.mark.parametrize(
    ("before", "now", "same"),
    [
        (1.0, 1.0, True),
        (1.0, 1.0 + 2**-52, False),
        (float("nan"), float("nan"), True),
        (0.0, -0.0, False),
        (1, 1.0, False),
        ([1, {"a": float("nan")}], [1, {"a": float("nan")}], True),
        (np.array([1.0, np.nan]), np.array([1.0, -np.nan]), True),
        (np.array([1.0, 2.0]), np.array([1.0, 2.5]), False),
        (np.array([1.0]), np.array([1.0], dtype="f4"), False),
        ({"x": np.array([np.nan])}, {"x": np.array([-np.nan])}, True),
        ("a", "a", True),
        (None, None, True),
        (None, 0, False),
        ({1, 2, 3}, {3, 2, 1}, True),
    ],
)
def test_values_are_compared_exactly_and_any_nan_is_like_another(
    before: Any, now: Any, same: bool, lab: Lab
) -> None:
    matrix = {"parameters": {"n": [1]}}

    def old(context: Any, config: Any) -> Any:
        return [before, config.n]

    def new(context: Any, config: Any) -> Any:
        return [now, config.n]

    lab.memento(old).run(matrix)
    assert (not lab.memento(new).adopt(matrix, verify=1).differences) == same


def test_where_tasks_return_nothing_what_they_record_is_compared(lab: Lab) -> None:
    matrix = {"parameters": {"n": [1, 2]}}

    def old(context: Any, config: Any) -> None:
        context.record({"loss": config.n})

    def same(context: Any, config: Any) -> None:
        loss = config.n
        context.record({"loss": loss})

    def different(context: Any, config: Any) -> None:
        context.record({"loss": config.n + 1})

    lab.memento(old).run(matrix)
    assert len(lab.memento(different).adopt(matrix, verify=2).differences) == 2
    assert lab.memento(same).adopt(matrix, verify=2).changes


def test_there_may_be_nothing_to_adopt(lab: Lab) -> None:
    lab.memento(first).run(GRID)
    adopted = lab.memento(first).adopt(GRID, verify=5)
    assert (adopted.results, adopted.verified) == (0, 0)
    assert "nothing to adopt" in str(adopted)


@pytest.mark.parametrize("verify", [-1, 1.5, True, "3"])
def test_a_number_that_is_none_is_refused(verify: Any, lab: Lab) -> None:
    with pytest.raises(ValueError, match="verify must be a whole number"):
        lab.memento(first).adopt(GRID, verify=verify)


def test_a_matrix_that_depends_on_others_is_sent_to_the_command_line(lab: Lab) -> None:
    with pytest.raises(ValueError, match="memento adopt"):
        lab.memento(first).adopt({"id": "b", "dependencies": ["a"], "parameters": {"n": [1]}})
