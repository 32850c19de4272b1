"""Whoever awaits a module hears of it when it is loaded, and imports cost what they cost without."""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from memento.worker.import_watch import ImportWatch


class Counting:
    """A finder that finds nothing, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        self.asked.append(name)


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counting]:
    finder = Counting()
    others = [other for other in sys.meta_path if type(other).__module__ != ImportWatch.__module__]
    monkeypatch.setattr(sys, "meta_path", [*others, finder])
    yield finder
    gc.collect()


def test_every_watch_hears_of_a_module_once_its_code_has_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "awaited_of_test.py").write_text("value = 3", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    heard: list[tuple[int, int]] = []

    def tell(number: int) -> Any:
        return lambda name: heard.append((number, sys.modules[name].value))

    watches = [ImportWatch(["awaited_of_test"], tell(number)) for number in range(3)]
    watches[1].close()
    importlib.import_module("awaited_of_test")
    del sys.modules["awaited_of_test"]
    importlib.import_module("awaited_of_test")
    assert sorted(heard) == [(0, 3), (2, 3)]


@pytest.mark.slow
def test_however_many_watch_the_other_finders_are_asked_as_often_as_by_one(counting: Counting) -> None:
    watches = [ImportWatch(["missing_of_test"], print) for _ in range(30)]
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("missing_of_test")
    assert counting.asked.count("missing_of_test") == 2  # by the watches' finder, and by Python itself
    for watch in watches:
        watch.close()


@pytest.mark.slow
def test_watches_that_are_closed_or_forgotten_leave_nothing_behind(counting: Counting) -> None:
    before = list(sys.meta_path)
    ImportWatch(["missing_of_test"], print).close()
    assert sys.meta_path == before
    ImportWatch(["missing_of_test"], print)
    gc.collect()
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("missing_of_test")
    assert counting.asked.count("missing_of_test") == 1


def test_watches_that_other_threads_begin_and_end_disturb_no_import() -> None:
    class Awaited(set[str]):
        """Is asked in the middle of an import."""

        def __contains__(self, name: object) -> bool:
            others[0].close()
            others.extend(ImportWatch(["missing_of_test"], print) for _ in range(2))
            return super().__contains__(name)

    others = [ImportWatch(["missing_of_test"], print) for _ in range(3)]
    for watch in others:
        watch.awaited = Awaited()
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("nobody_awaits_it")
    for watch in others:
        watch.close()
