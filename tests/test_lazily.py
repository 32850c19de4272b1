"""What the package does not have is answered by what it has."""

from __future__ import annotations

import pickle

import pytest

import memento


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
