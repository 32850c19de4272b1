"""Imports of many modules spare Python's collector the look at what they made, and leave it as it was."""

from __future__ import annotations

import contextlib
import gc
import pickle
from collections.abc import Iterator

import pytest

import memento
from memento.lazily import Loading


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    yield
    gc.unfreeze()
    gc.enable()


@pytest.mark.parametrize("on", [True, False])
def test_the_collector_is_on_afterwards_where_it_was(on: bool) -> None:
    if not on:
        gc.disable()
    with contextlib.suppress(ImportError), Loading():
        assert not gc.isenabled()
        raise ImportError("no such module")
    assert gc.isenabled() is on


def test_a_block_within_a_block_goes_on_without_it() -> None:
    with Loading():
        with Loading():
            pass
        assert not gc.isenabled()


def test_what_was_made_is_old_and_is_collected_with_the_old() -> None:
    with Loading():
        made = [["a list of lists"]]
    assert any(one is made for one in gc.get_objects(generation=2))
    assert gc.get_freeze_count() == 0


def test_what_the_program_has_frozen_stays_frozen() -> None:
    gc.freeze()
    frozen = gc.get_freeze_count()
    with Loading():
        pass
    assert gc.get_freeze_count() == pytest.approx(frozen, rel=0.01)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("run", "Write memento.Memento(func).run(matrix)."),
        ("Experiment", "Write memento.Memento(func).run(matrix)."),
        ("grid", "Write memento.Matrix("),
        ("ParameterGrid", "Write memento.Matrix("),
        ("cache", "context.cached"),
        ("log_metric", "context.record"),
        ("Matix", "Did you mean 'Matrix'?"),
        ("CONFIG", "Did you mean 'Config'?"),
        ("zzz", "module 'memento' has no attribute 'zzz'"),
        ("_private", "module 'memento' has no attribute '_private'"),
    ],
)
def test_a_name_that_is_not_there_is_answered_by_the_right_line(name: str, line: str) -> None:
    with pytest.raises(AttributeError) as told:
        getattr(memento, name)
    assert line in str(told.value)
    assert str(pickle.loads(pickle.dumps(told.value))) == str(told.value)
    with pytest.raises(ImportError):
        exec(f"from memento import {name}")


def test_a_package_shows_its_public_names_and_nothing_else() -> None:
    assert dir(memento) == sorted(memento.__all__)
