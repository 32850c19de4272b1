"""A bad host is told from bad tasks."""

from __future__ import annotations

from typing import Any

import pytest

from memento.executors.slurm.hosts import Hosts
from memento.records import DONE, FAILED, RAISED, Failure, Outcome

FAILURE = Failure(RAISED, "OSError", "read-only file system", "", "", None, "")


def outcome(number: int, *, runtime: float = 0.01, failure: Failure | None = FAILURE) -> Outcome:
    status = FAILED if failure else DONE
    rest: tuple[Any, ...] = (None, None, None, "", None, (), (), None, failure)
    return Outcome(number, status, 1, 0.0, runtime, *rest)


def test_where_all_fails_at_once_and_elsewhere_all_succeeds_nothing_is_run_any_more() -> None:
    hosts = Hosts()
    assert all(hosts.failed("n2", outcome(number), 0.0) for number in range(3))
    assert hosts.is_doubtful("n2")
    assert hosts.judge(1.0) == ([], [], [])
    hosts.succeeded("n1")
    verdicts = hosts.judge(1.0)
    assert [one.number for one in verdicts.elsewhere] == [0, 1, 2]
    assert verdicts.excluded == [("n2", "3 tasks failed there at once (OSError), and n1 works")]
    assert hosts.is_doubtful("n2")
    assert not hosts.is_doubtful("n1")


def test_what_a_host_still_had_in_hand_when_it_was_judged_runs_elsewhere_too() -> None:
    hosts = Hosts()
    for host in ("n1", "n2"):
        hosts.here(host)
    hosts.succeeded("n1")
    for number in range(3):
        hosts.failed("n2", outcome(number), 0.0)
    assert len(hosts.judge(1.0).elsewhere) == 3
    assert hosts.failed("n2", outcome(3), 1.5), "one alone would be told after a while"
    verdicts = hosts.judge(2.0)
    assert ([one.number for one in verdicts.elsewhere], verdicts.told, verdicts.excluded) == ([3], [], [])


def test_where_all_fails_everywhere_it_is_the_tasks() -> None:
    hosts = Hosts()
    for number in range(3):
        assert hosts.failed("n1", outcome(number), 0.0)
        assert hosts.failed("n2", outcome(10 + number), 0.0)
    assert len(hosts.judge(0.1).told) == 6
    assert not hosts.failed("n1", outcome(20), 0.2)
    assert not hosts.is_doubtful("n2")


def test_a_success_there_releases_what_failed_there() -> None:
    hosts = Hosts()
    hosts.failed("n1", outcome(1), 0.0)
    hosts.succeeded("n1")
    assert [one.number for one in hosts.judge(0.0).told] == [1]
    assert not hosts.failed("n1", outcome(2), 0.0)


def test_what_took_long_is_the_tasks_own() -> None:
    assert not Hosts().failed("n1", outcome(1, runtime=60.0), 0.0)


@pytest.mark.parametrize(("others", "seconds"), [(["n2"], 20.0), ([], 3.0)])
def test_a_failure_is_not_held_back_for_long(others: list[str], seconds: float) -> None:
    hosts = Hosts()
    for host in ("n1", *others):
        hosts.here(host)
    hosts.failed("n1", outcome(1), 0.0)
    assert hosts.judge(seconds).told == []
    assert len(hosts.judge(seconds + 0.1).told) == 1


def test_at_the_end_of_a_run_all_is_told() -> None:
    hosts = Hosts()
    hosts.failed("n1", outcome(1), 0.0)
    assert len(hosts.release()) == 1
    assert hosts.release() == []


@pytest.mark.parametrize("works", [True, False])
def test_pilots_that_never_begin_on_one_host_exclude_it_only_where_another_works(works: bool) -> None:
    hosts = Hosts()
    if works:
        hosts.succeeded("n1")
    for _ in range(3):
        hosts.ended_early("n2")
    assert [host for host, _ in hosts.judge(0.0).excluded] == (["n2"] if works else [])
    assert hosts.judge(0.0).excluded == []
