from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from memento import Memento, Results
from memento.events import Extreme, RunFinished
from memento.notify.base import DigestNotificationProvider

NUMBERS = {("a", 1): 0.5, ("a", 2): 0.7, ("b", 1): 0.9, ("b", 2): float("nan")}


class Heard(DigestNotificationProvider):
    """Keeps the end of a run, and the messages."""

    def __init__(self, *of: Any) -> None:
        super().__init__(0.0, *of)
        self.best: tuple[Extreme, ...] = ()
        self.notes: tuple[str, ...] = ()
        self.messages: list[tuple[str, str]] = []

    def on_event(self, event: Any) -> None:
        if isinstance(event, RunFinished):
            self.best, self.notes = event.best, event.notes
        super().on_event(event)

    def send(self, subject: str, body: str) -> None:
        self.messages.append((subject, body))


def told(experiment: Any, folder: Path, *of: Any, repeats: int = 1) -> tuple[Heard, Results]:
    heard = Heard(*of)
    runs = Memento(
        experiment, heard, store=folder / "store", executor="serial", progress=False, on_error="return"
    )
    matrix = {"parameters": {"model": ["a", "b"], "C": [1, 2]}, "repeats": repeats}
    results = runs.run(matrix)
    assert results is not None
    return heard, results


def number(context: Any, config: Any) -> float:
    return NUMBERS[config.model, config.C]


def several(context: Any, config: Any) -> dict[str, Any]:
    if config.model == "b" and config.C == 2:
        raise ValueError("no")
    return {"acc": NUMBERS[config.model, config.C] + context.rng.random(), "n": 4, "name": "x"}


def recorded(context: Any, config: Any) -> None:
    context.record({"loss": 1.0}, step=1)
    context.record({"loss": config.C / 2}, step=2)


def test_the_highest_and_the_lowest_of_the_only_number_are_named(tmp_path: Path) -> None:
    heard, results = told(number, tmp_path)
    assert [one[:4] for one in heard.best] == [
        ("value", True, 0.9, "model=b, C=1"),
        ("value", False, 0.5, "model=a, C=1"),
    ]
    assert heard.best[0].key == results.best().key
    assert f"highest value: 0.9 with model=b, C=1 ({heard.best[0].key[:11]}" in heard.messages[-1][1]


def test_repeats_count_by_the_mean_of_those_that_are_done(tmp_path: Path) -> None:
    heard, results = told(several, tmp_path, repeats=3)
    means = results.to_frame().groupby(["model", "C"])["acc"].mean()
    of_acc = [one for one in heard.best if one.by == "acc"]
    assert [one.value for one in of_acc] == pytest.approx([means.max(), means.min()])
    assert {one.repeats for one in of_acc} == {3}
    assert "repeat" not in of_acc[0].config
    assert [one.by for one in heard.best] == ["acc", "acc", "n"]  # all n are the same


def test_a_number_that_is_named_has_one_best(tmp_path: Path) -> None:
    heard, _ = told(several, tmp_path, "acc", True)
    (best,) = heard.best
    assert (best.by, best.highest) == ("acc", False)


def test_what_is_recorded_counts_where_nothing_is_returned(tmp_path: Path) -> None:
    heard, _ = told(recorded, tmp_path)
    assert [(one.by, one.value) for one in heard.best] == [("loss", 1.0), ("loss", 0.5)]


def test_what_failed_tasks_recorded_does_not_count(tmp_path: Path) -> None:
    def fails(context: Any, config: Any) -> None:
        context.record({"loss": config.C})
        if config.C == 1:
            raise ValueError("no")

    heard, _ = told(fails, tmp_path)
    assert [one[:3] for one in heard.best] == [("loss", True, 2.0)]


def test_a_number_that_is_not_there_is_said_and_the_end_is_told_all_the_same(tmp_path: Path) -> None:
    heard, _ = told(number, tmp_path, "accuracy")
    assert heard.best == ()
    assert "no column 'accuracy'" in heard.notes[-1]
    assert len(heard.messages) == 1


def test_nothing_is_chosen_where_all_failed_or_returned_texts(tmp_path: Path) -> None:
    def fails(context: Any, config: Any) -> float:
        raise ValueError("no")

    def text(context: Any, config: Any) -> str:
        return "text"

    for experiment in (fails, text):
        heard, _ = told(experiment, tmp_path)
        assert (heard.best, heard.notes) == ((), ())


def test_nobody_pays_for_the_best_who_is_not_told_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*of: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr("memento.runner.closing_notes.best_of", refused)
    heard: list[Any] = []
    runs = Memento(number, store=tmp_path, executor="serial", progress=False, listeners=[heard.append])
    runs.run({"parameters": {"model": ["a"], "C": [1]}})
    assert heard[-1].best == ()
