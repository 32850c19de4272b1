"""An executor is named by a word, or made with its own options from `memento.executors`."""

from __future__ import annotations

import pytest

import memento.executors
from memento.executors import make_executor


@pytest.mark.parametrize("name", ["Processes", "Threads", "Serial", "Futures"])
def test_every_executor_can_be_imported_from_one_place(name: str) -> None:
    assert getattr(memento.executors, name).__name__ == name


def test_an_executor_with_its_own_options_is_taken_as_it_is() -> None:
    executor = memento.executors.Threads(3)
    assert make_executor(executor) is executor


def test_a_name_that_is_none_is_told_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="Did you mean 'threads'"):
        make_executor("thread")


def test_what_the_place_does_not_have_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Celery"):
        memento.executors.Celery  # noqa: B018 - touching it is the point
