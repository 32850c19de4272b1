"""A task has the warnings that Python shows while it runs, and only these."""

from __future__ import annotations

import json
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memento.worker.warning_watch import Watch

HERE = Path(__file__).name


@pytest.fixture(autouse=True)
def shown(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Python's own filters, and what they show."""
    texts: list[str] = []
    monkeypatch.setattr(warnings, "showwarning", lambda message, *rest: texts.append(str(message)))
    with warnings.catch_warnings():
        warnings.resetwarnings()
        yield texts


def warned(task: Callable[[], object], watch: Watch | None = None) -> list[Any]:
    watch = watch or Watch()
    watch.begin()
    try:
        task()
    finally:
        told = watch.end()
    return json.loads(told) if told is not None else []


def odd(text: str = "odd") -> None:
    warnings.warn(text, UserWarning, stacklevel=1)


LINE = odd.__code__.co_firstlineno + 1


def test_each_task_has_the_warning_that_the_program_shows_once(shown: list[str]) -> None:
    watch = Watch()
    told = [warned(odd, watch) for _ in range(3)]
    assert told == [[["UserWarning", "odd", f"{HERE}:{LINE}", 1]]] * 3
    assert shown == ["odd"] * 3


def test_a_place_warns_once_in_a_task_unless_a_filter_says_otherwise() -> None:
    def thrice() -> None:
        for _ in range(3):
            odd()

    assert [count for *_, count in warned(thrice)] == [1]
    warnings.simplefilter("always")
    assert [count for *_, count in warned(thrice)] == [3]


def test_what_is_ignored_or_caught_by_the_task_is_not_told(shown: list[str]) -> None:
    def catching() -> None:
        with warnings.catch_warnings(record=True) as caught:
            odd()
        assert len(caught) == 1

    assert warned(catching) == []
    warnings.simplefilter("ignore")
    assert warned(odd) == []
    assert shown == []


def test_what_is_an_error_is_raised() -> None:
    warnings.simplefilter("error")
    with pytest.raises(UserWarning, match="odd"):
        warned(odd)


def test_nothing_is_left_behind(shown: list[str]) -> None:
    before = warnings.showwarning
    warned(odd)
    assert warnings.showwarning is before


def test_a_task_that_runs_another_in_its_own_thread_warns_of_what_both_do() -> None:
    inner: list[Any] = []

    def outer() -> None:
        inner.extend(warned(lambda: odd("inner")))
        odd("outer")

    assert [text for _, text, *_ in warned(outer)] == ["inner", "outer"]
    assert [text for _, text, *_ in inner] == ["inner"]


def test_what_a_task_sets_to_show_warnings_is_left_to_it() -> None:
    own: list[str] = []

    def take() -> None:
        warnings.showwarning = lambda message, *rest: own.append(str(message))
        odd()

    assert warned(take) == []
    assert own == ["odd"]


@pytest.mark.parametrize(
    ("task", "category"),
    [
        (lambda: np.array([1.0]) / np.zeros(1), "RuntimeWarning"),
        (lambda: np.mean([]), "RuntimeWarning"),  # from Python code of NumPy
        (lambda: odd(), "UserWarning"),
        (lambda: warnings.warn("below", stacklevel=9), "UserWarning"),
    ],
    ids=["C", "Python of a library", "own", "below the stack"],
)
def test_the_place_is_the_users_own_line(task: Callable[[], object], category: str) -> None:
    for told in warned(task):
        assert told[0] == category
        assert told[2].startswith(f"{HERE}:")


def test_what_one_task_warns_of_is_bounded() -> None:
    warnings.simplefilter("always")

    def flood() -> None:
        for number in range(500):
            odd(f"step {number} " + "x" * 10_000)
        for number in range(100):
            exec(compile("\n" * number + "import warnings; warnings.warn('odd')", "many.py", "exec"), {})

    told = warned(flood)
    assert len(told) <= 25
    assert sum(count for *_, count in told) == 600
    assert len(json.dumps(told)) < 20_000


def test_a_warning_that_cannot_be_shown_as_text_harms_no_task() -> None:
    class Broken(UserWarning):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    watch = Watch()
    assert warned(lambda: watch.take(Broken(), UserWarning, "exp.py", 3), watch) == []


def test_a_thread_that_a_task_leaves_may_put_anything_back(shown: list[str]) -> None:
    watch = Watch()

    def leave() -> None:
        kept.append(warnings.showwarning)

    kept: list[Any] = []
    before = warnings.showwarning
    warned(leave, watch)
    warnings.showwarning = kept[0]
    assert [count for *_, count in warned(odd, watch)] == [1]
    odd("between")
    assert warnings.showwarning is before
    assert shown == ["odd", "between"]


def test_a_thread_of_the_only_task_warns_for_it() -> None:
    def task() -> None:
        thread = threading.Thread(target=odd)
        thread.start()
        thread.join()

    assert [text for _, text, *_ in warned(task, Watch())] == ["odd"]


def test_beside_others_each_thread_has_its_own() -> None:
    ready, told = threading.Barrier(3), {}

    def work(name: str) -> None:
        def task() -> None:
            ready.wait()
            warnings.warn_explicit(name, UserWarning, f"{name}.py", 1)
            ready.wait()

        told[name] = warned(task, Watch())

    threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {name: [text for _, text, *_ in found] for name, found in told.items()} == {n: [n] for n in "abc"}
