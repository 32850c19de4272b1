"""Failures with one cause stand together, and those with different causes apart."""

from __future__ import annotations

import pytest

from memento.events import FailureGroup
from memento.results.failures import FailureGrouper, FailureReport, normalize, title
from memento.store.records import DIED, MEMORY, TIMEOUT, UNSAVABLE
from tests.results.fakes import FakeMatrix, failure, results_of


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("samples: [150, 178]", "samples: [1797, 178, 3]"),
        ("at 0x7f3aab10", "at 0x10"),
        ("no column 'petal'", "no column 'sepal'"),
        ('no file "/a/b.csv"', 'no file "/c/d/e.csv"'),
        ("cannot open /data/run-1/x.csv", "cannot open /tmp/y.npy"),
        ("run 123e4567-e89b-12d3-a456-426614174000", "run 00000000-e89b-12d3-a456-426614174abc"),
        ("loss is 1.5e-3", "loss is -2"),
        ("blob deadbeef01", "blob 0123456789abcdef"),
        ("took 3s", "took 12s"),
    ],
)
def test_what_differs_from_task_to_task_does_not_part_them(one: str, other: str) -> None:
    assert normalize(one) == normalize(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("bad shape", "bad dtype"),
        ("don't divide by zero", "don't take logs"),
        ("x1 is missing", "x2 is missing"),
        ("needs and/or", "needs either/or"),
    ],
)
def test_words_part_messages(one: str, other: str) -> None:
    assert normalize(one) != normalize(other)


def test_type_place_and_kind_part_failures() -> None:
    grouper = FailureGrouper()
    cases = [
        failure(),
        failure(type="KeyError"),
        failure(location="other.py:3"),
        failure(kind=UNSAVABLE),
        failure(kind=TIMEOUT),
        failure(kind=MEMORY),
        failure(kind=DIED, type="SIGSEGV"),
        failure(kind=DIED, type="exit code 3"),
    ]
    assert [grouper.add(str(i), "", "", f)[1] for i, f in enumerate(cases)] == [True] * len(cases)


@pytest.mark.parametrize("kind", [TIMEOUT, MEMORY])
def test_limits_are_one_cause_wherever_they_strike(kind: str) -> None:
    grouper = FailureGrouper()
    grouper.add("a", "", "", failure("ran 61 s", kind=kind, location="a.py:1"))
    assert grouper.add("b", "", "", failure("hung in b", kind=kind, location="b.py:2"))[0].count == 2


def test_the_first_of_each_group_is_told_at_once() -> None:
    grouper = FailureGrouper()
    told = [grouper.add(str(i), f"n={i}", "{}", failure(f"bad {i}")) for i in range(3)]
    assert [first for _, first in told] == [True, False, False]
    assert [group.count for group, _ in told] == [1, 2, 3]
    assert (told[0][0].title, told[2][0].title) == (
        "ValueError: bad 0 (experiment.py:24)",
        "ValueError: bad … (experiment.py:24)",
    )
    assert told[2][0].key == "0"


def test_the_largest_group_comes_first() -> None:
    grouper = FailureGrouper()
    for i, message in enumerate(["rare", "often", "often", "seldom"]):
        grouper.add(str(i), "", "", failure(message))
    groups = grouper.groups(lambda keys: f"keys {','.join(keys)}")
    assert [(group.count, group.keys) for group in groups] == [(2, ("1", "2")), (1, ("0",)), (1, ("3",))]
    assert groups[0].rule == "keys 1,2"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"kind": DIED, "type": "SIGSEGV", "location": ""}, "WorkerDied: SIGSEGV: gone"),
        ({"kind": TIMEOUT, "location": ""}, "TaskTimeout: gone"),
        ({"type": "KeyError"}, "KeyError: gone (experiment.py:24)"),
    ],
)
def test_a_title_names_what_happened(changes: dict[str, str], text: str) -> None:
    assert title(failure("gone", **changes)) == text


def test_a_title_is_one_short_line() -> None:
    text = title(failure("first\n" + "word " * 1000))
    assert "\n" not in text
    assert len(text) < 250


def test_a_report_of_many_causes_shows_the_largest_in_full_and_the_others_in_a_line() -> None:
    groups = [FailureGroup(f"E{i}: x", "raised", 1, "Trace", "n=1", f"{i:032x}") for i in range(30)]
    results, _ = results_of(FakeMatrix(n=[1]), [1])
    report = FailureReport(groups, [1] * 30, results, 30, 0)
    assert (str(report).count("Trace"), str(report).count("E2")) == (10, 11)
    assert (report[0], report[1:3], len(report)) == (groups[0], tuple(groups[1:3]), 30)


def test_a_deep_traceback_is_cut_in_the_middle() -> None:
    deep = "Traceback\n" + "  recurse\n" * 2000 + "RecursionError: too deep"
    results, _ = results_of(FakeMatrix(n=[1]), [failure(traceback=deep)])
    text = str(results.failures)
    assert len(text.splitlines()) < 60
    assert "RecursionError: too deep" in text
    assert "lines left out" in text


def test_a_report_does_not_steer_the_terminal() -> None:
    results, _ = results_of(FakeMatrix(n=[1]), [failure(traceback="a\x1b[2Jb")])
    assert "\x1b" not in str(results.failures)
