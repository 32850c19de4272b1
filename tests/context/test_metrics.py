"""What is recorded is kept as numbers, whatever kinds they come in."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memento.context.context import Context
from memento.context.metrics import Metrics
from tests.context.making import y


class Scalar:
    """As torch's scalars are."""

    shape = ()

    def item(self) -> float:
        return 2.5


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1.5, 1.5), (3, 3.0), (True, 1.0), (np.float32(0.5), 0.5), (np.int64(4), 4.0), (np.array(2.0), 2.0),
        (np.array([7]), 7.0), (Scalar(), 2.5), (np.bool_(True), 1.0),
    ],
)  # fmt: skip
def test_record_takes_every_kind_of_number(value: Any, expected: float) -> None:
    told = Context("key")
    told.record({"m": value})
    told.record({"m": (np.int32(9), value)})
    assert y(told, "m") == [expected, expected]
    assert told.collect_metrics()["m"]["x"].iloc[1] == 9.0


@pytest.mark.parametrize("value", ["1", None, [1, 2, 3], np.zeros(2), 1j, (1, "a"), {}])
def test_record_names_the_metric_and_type_of_what_is_no_number(value: Any) -> None:
    with pytest.raises(TypeError, match="metric 'loss'"):
        Context("key").record({"loss": value})


def test_series_are_packed_for_the_store() -> None:
    told = Context("key")
    for step, value in enumerate([3.0, math.nan, 1.0]):
        told.record({"loss": (step, value)})
    (series,) = told.left_behind()[0]
    assert series[:5] == ("loss", 3, 1.0, 1.0, 3.0)
    assert np.frombuffer(series.data, "<f8")[:3].tolist() == [0.0, 1.0, 2.0]


def test_metrics_survive_any_order_of_saving_and_restoring() -> None:
    metrics = Metrics()
    metrics.record({"a": 1.0}, 0.0)
    early = metrics.packed()
    metrics.record({"a": 2.0}, 0.0)
    late = metrics.packed()
    fresh = Metrics()
    for packed in (early, late, early, late):
        fresh.restore(packed)
    assert fresh.latest() == {"a": 2.0}
    assert len(fresh.curves["a"].y) == 2


def test_a_step_is_the_x_of_what_brings_none() -> None:
    told = Context("key")
    told.record({"loss": 0.5, "lr": (9, 0.1)}, step=np.int64(7))
    told.record({"loss": 0.4}, 8)
    frames = told.collect_metrics()
    assert (frames["loss"]["x"].tolist(), frames["lr"]["x"].tolist()) == ([7.0, 8.0], [9.0])


_NUMBERS = st.floats(-10, 10) | st.just(math.nan) | st.integers(-5, 5) | st.floats(0, 1).map(np.float32)
_VALUES = _NUMBERS | st.tuples(st.integers(0, 9), _NUMBERS)
_METRICS = st.dictionaries(st.sampled_from(["loss", "acc", "self", "x"]), _VALUES, max_size=3)


@pytest.mark.slow
@given(given_as=_METRICS, named=_METRICS, step=st.none() | st.integers(0, 99) | st.floats(0, 9))
def test_every_form_of_record_is_the_same_points(given_as: Any, named: Any, step: Any) -> None:
    named = {name: value for name, value in named.items() if name not in (*given_as, "self")}
    told = Context("key")
    told.record(given_as, step, **named)
    points = {
        name: value if isinstance(value, tuple) else (step, value)
        for name, value in {**given_as, **named}.items()
    }
    frames = told.collect_metrics()
    assert frames.keys() == points.keys()
    for name, (x, value) in points.items():
        ((own, y_of),) = frames[name].to_numpy().tolist()
        assert own == x if x is not None else own > 1e9
        assert y_of == pytest.approx(float(value), nan_ok=True)


def test_a_step_that_is_named_beside_metrics_is_the_step() -> None:
    told = Context("key")
    told.record(loss=0.5, step=3)
    told.record({"step": 7, "loss": 0.25}, step=4)
    assert told.collect_metrics()["loss"].to_numpy().tolist() == [[3.0, 0.5], [4.0, 0.25]]
    assert told.collect_metrics()["step"].to_numpy().tolist() == [[4.0, 7.0]], "a metric of that name"


@pytest.mark.parametrize("name", [3, None, ("a",)])
def test_the_name_of_a_metric_is_a_text(name: Any) -> None:
    with pytest.raises(TypeError, match="a metric's name must be a str"):
        Context("key").record({name: 1.0})
