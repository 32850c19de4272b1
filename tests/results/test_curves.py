"""All that tasks recorded is one long frame: each point once, beside its task's parameters."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import memento
from memento import Memento, Results
from memento.errors import StoreError
from tests.results.fakes import FakeMatrix, failure, results_of


def by_hand(
    results: Results, *parameters: str, names: tuple[str, str, str] = ("metric", "x", "y")
) -> pd.DataFrame:
    """Put the curves of all results together one by one."""
    rows = [
        {
            **{name: result.config.get(name, result.repeat) for name in parameters},
            **dict(zip(names, point, strict=True)),
        }
        for result in results
        for metric, curve in result.metrics.items()
        for point in ((metric, x, y) for x, y in zip(curve["x"], curve["y"], strict=True))
    ]
    frame: pd.DataFrame = pd.DataFrame(rows, columns=[*parameters, *names])
    return frame


POINTS = st.lists(st.tuples(st.floats(allow_nan=False), st.floats()), max_size=4)


@pytest.mark.slow
@given(
    st.lists(
        st.dictionaries(st.sampled_from(["loss", "acc", "größe"]), POINTS, max_size=3), min_size=1, max_size=4
    )
)
def test_the_long_frame_is_what_the_results_have(recorded: list[dict[str, Any]]) -> None:
    def train(context: Any, config: Any) -> None:
        for name, points in recorded[config.n].items():
            for point in points:
                context.record({name: point})
        if config.n % 2 and config.repeat:
            raise ValueError("it diverged")

    with tempfile.TemporaryDirectory() as folder:
        made = Memento(train, store=folder, executor="serial", progress=False, name="e", on_error="return")
        ran = made.run({"parameters": {"n": list(range(len(recorded)))}, "repeats": 2})
        assert ran is not None
        for results in (ran, memento.load(folder), ran.filter(status="done"), ran[::-1]):
            expected = by_hand(results, "n", "repeat")
            pd.testing.assert_frame_equal(results.metrics, expected, check_dtype=len(expected) > 0)


def test_names_that_parameters_have_stand_apart() -> None:
    results, _ = results_of(FakeMatrix(x=[1, 2], metric=["a"], model=[dict]), [None, None], {"loss": [3, 4]})
    frame = results.metrics
    assert list(frame) == ["x", "metric", "model", "metric.metric", "metric.x", "y"]
    assert frame.to_numpy().tolist() == [
        [n, "a", "dict", "loss", float(i), y]
        for n, end in ((1, 3.0), (2, 4.0))
        for i, y in enumerate((0.0, end))
    ]


def test_without_metrics_the_frame_is_empty() -> None:
    for values in ([1, 2], [failure(), failure()]):
        frame = results_of(FakeMatrix(n=[1, 2]), values)[0].metrics
        assert (list(frame), len(frame)) == (["n", "metric", "x", "y"], 0)
    assert len(results_of(FakeMatrix(n=[1]), [1])[0][:0].metrics) == 0


@pytest.mark.slow
def test_many_points_are_read_in_bulk_and_make_no_configuration() -> None:
    matrix = FakeMatrix(a=list(range(30)), b=list(range(100)))
    results, store = results_of(matrix, [None] * 3_000, {"loss": list(range(3_000))})
    for number in store.series:
        store.series[number]["loss"] = (list(range(50)), [number] * 50)
    frame = results.metrics
    assert (len(frame), matrix.configs_made, store.loads) == (150_000, 0, 0)
    assert store.reads == 1
    np.testing.assert_array_equal(frame["y"], (frame["a"] * 100 + frame["b"] + 1).astype(float))


def test_damaged_metrics_name_their_task(tmp_path: Path) -> None:
    import sqlite3

    def train(context: Any, config: Any) -> None:
        context.record({"loss": config.n})

    made = Memento(train, store=tmp_path / "s", executor="serial", progress=False, name="e")
    made.run({"parameters": {"n": [1, 2, 3]}})
    (index,) = (tmp_path / "s").glob("index*.sqlite*")
    with sqlite3.connect(index) as connection:
        connection.execute("UPDATE metrics SET data = zeroblob(16) WHERE task = 2")
    connection.close()
    with pytest.raises(StoreError, match=r"n=2.*Run the experiment again"):
        memento.load(tmp_path / "s").metrics  # noqa: B018 - asking for it is the point
