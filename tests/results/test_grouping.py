"""Failures with one cause stand together, and those with different causes apart."""

from __future__ import annotations

import pytest

from memento.events import FailureGroup
from memento.records import DIED, MEMORY, TIMEOUT, UNSAVABLE
from memento.results.grouping import FailureGrouper, title
from memento.results.reports import FailureReport
from tests.results.fakes import FakeMatrix, failure, results_of


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
    assert [grouper.add(str(i), "", f)[1] for i, f in enumerate(cases)] == [True] * len(cases)


@pytest.mark.parametrize(
    "messages",
    [
        ("'thing 1'", "'thing 2'", "'thing 3'"),
        ("3", "'a'", "(1, 'b')"),
        ("<Color.RED: 1>", "None", "frozenset({1})"),
    ],
)
def test_different_keys_that_are_missing_at_one_line_are_one_cause(messages: tuple[str, ...]) -> None:
    grouper = FailureGrouper()
    for number, message in enumerate([*messages, messages[0]]):
        grouper.add(str(number), "", failure(message, type="KeyError", location="train.py:7"))
    (group,) = grouper.groups()
    assert (group.count, group.title) == (4, "KeyError: … (3 different) (train.py:7)")
    assert group.messages == messages


def test_one_key_that_is_missing_everywhere_is_named() -> None:
    grouper = FailureGrouper()
    for number in range(3):
        grouper.add(str(number), "", failure("'lr'", type="KeyError"))
    assert [group.title for group in grouper.groups()] == ["KeyError: 'lr' (experiment.py:24)"]


def test_only_what_differs_in_a_group_is_left_out_of_its_title() -> None:
    grouper = FailureGrouper()
    for number in range(3):
        grouper.add(str(number), "", failure(f"layer 3: loss is {number}.5 in '/data/a.csv'"))
    (group,) = grouper.groups()
    assert group.title == "ValueError: layer 3: loss is … in '/data/a.csv' (experiment.py:24)"


def test_a_report_gives_examples_of_messages_that_differ() -> None:
    results, _ = results_of(FakeMatrix(n=[1, 2, 3, 4, 5]), [failure(f"bad {n}") for n in (1, 2, 3, 4, 4)])
    text = str(results.failures)
    assert "5 tasks: ValueError: bad … (experiment.py:24)" in text
    assert "    4 different messages, such as bad 1; bad 2; bad 3\n" in text


def test_one_cause_at_two_lines_is_two_groups() -> None:
    grouper = FailureGrouper()
    for number, place in enumerate(["a.py:1", "a.py:1", "a.py:9"]):
        grouper.add(str(number), "", failure("bad", location=place))
    assert [group.title for group in grouper.groups()] == [
        "ValueError: bad (a.py:1)",
        "ValueError: bad (a.py:9)",
    ]


@pytest.mark.parametrize("kind", [TIMEOUT, MEMORY])
def test_limits_are_one_cause_wherever_they_strike(kind: str) -> None:
    grouper = FailureGrouper()
    grouper.add("a", "", failure("ran 61 s", kind=kind, location="a.py:1"))
    assert grouper.add("b", "", failure("hung in b", kind=kind, location="b.py:2"))[0].count == 2


def test_the_first_of_each_group_is_told_at_once() -> None:
    grouper = FailureGrouper()
    told = [grouper.add(str(i), f"n={i}", failure(f"bad {i}")) for i in range(3)]
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
        grouper.add(str(i), "", failure(message))
    groups = grouper.groups()
    assert [(group.count, group.keys) for group in groups] == [(2, ("1", "2")), (1, ("0",)), (1, ("3",))]


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
