"""Which job a task may go to, and what is said where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from memento.clock import SYSTEM_CLOCK
from memento.executors.pilots.charter import Charter, write_charter
from memento.executors.pilots.handle import PilotHandle
from memento.executors.pilots.pilot_messages import Here
from memento.executors.slurm.fitting import Fitting
from memento.executors.slurm.hosts import Hosts
from memento.executors.slurm.runtimes import Runtimes
from memento.layout import Layout
from memento.records import RAISED, Failure
from memento.worker.task_runner import verdict
from memento.worker.work import Task

GB = 1_000_000_000


class Jobs:
    """Jobs of ten minutes, made by a test."""

    def __init__(self, folder: Path, checkpoints: bool = False) -> None:
        self.hosts = Hosts()
        self.fitting = Fitting(str(folder / "st"), Runtimes(checkpoints), self.hosts, 600.0, 5.0)
        self._run = str(folder / "run")
        self._count = 0

    def job(self, left: float | None, memory: int | None = None, host: str = "n1") -> PilotHandle:
        self._count += 1
        charter = Charter(self._run, 1, seconds=600.0)
        name = f"p{self._count}"
        pilot = PilotHandle(charter, name, write_charter(charter, name), SYSTEM_CLOCK)
        pilot.left, pilot.here = left, Here(host, 1, 1, left)
        self.fitting.ask([name], memory)
        return pilot


def task(seconds: float = 0.0, memory: int | None = None) -> Task:
    """A task that was forecast; nine of ten like it take 1.3 times as long."""
    return Task(7, (7).to_bytes(16, "big"), 0, (), 0, 1, seconds)._replace(memory_limit=memory)


def test_a_task_goes_to_jobs_that_have_the_time_left(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path)
    short, long = jobs.job(100.0), jobs.job(400.0)
    assert [bool(jobs.fitting.lack(task(100.0), job)) for job in (short, long)] == [True, False]
    assert jobs.fitting.why_none(task(100.0), [short, long]) == ""
    why = jobs.fitting.why_none(task(100.0), [short])
    assert "no job has the time left: it is expected to take up to 2 min 10 s" in why
    assert "at most 1 min 35 s left, of 10 min" in why


def test_a_task_that_saves_checkpoints_or_has_one_goes_to_any_job(tmp_path: Path) -> None:
    saving, other = Jobs(tmp_path / "a", checkpoints=True), Jobs(tmp_path / "b")
    assert saving.fitting.lack(task(500.0), saving.job(10.0)) == ""
    job = other.job(10.0)
    assert other.fitting.lack(task(500.0), job) != ""
    Path(Layout(str(tmp_path / "b" / "st")).checkpoint(task().key.hex())).mkdir(parents=True)
    assert other.fitting.lack(task(500.0), job) == ""


def test_a_task_that_needs_more_memory_than_jobs_asked_for_waits_for_others(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path)
    small, any_size = jobs.job(600.0, 2 * GB), jobs.job(600.0)
    assert jobs.fitting.lack(task(memory=4 * GB), any_size) == "", "the site gives what it gives"
    assert jobs.fitting.lack(task(memory=2 * GB), small) == ""
    why = jobs.fitting.why_none(task(memory=4 * GB), [small])
    assert "no job has the memory: it needs 4 GB, and the jobs that run asked for 2 GB a task" in why


def test_what_no_job_has_alone_is_told_of_all(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path)
    why = jobs.fitting.why_none(task(300.0, 4 * GB), [jobs.job(100.0), jobs.job(600.0, 2 * GB)])
    assert "no job has the time left" in why
    assert "no job has the memory" in why


def test_a_host_on_which_all_fails_gets_nothing_more_and_it_is_said(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path)
    job = jobs.job(600.0)
    failed = verdict(task(), Failure(RAISED, "OSError", "", "", "", None, ""), 0.0, 0.1, "w")
    for _ in range(3):
        jobs.hosts.failed("n1", failed, 0.0)
    assert "hosts of jobs are in doubt" in jobs.fitting.why_none(task(), [job])


def test_tasks_for_which_job_after_job_begins_with_too_little_time_are_given_up(tmp_path: Path) -> None:
    jobs, tasks = Jobs(tmp_path), [task(100.0), task(1.0)]

    def given_up(*others: PilotHandle, left: float = 60.0, useful: bool = False) -> list[Task]:
        job = jobs.job(left)
        if useful:
            jobs.fitting.useful.add(job.name)
        return jobs.fitting.hopeless(tasks, job, [job, *others])

    assert [given_up() for _ in range(2)] == [[], []]
    assert given_up(useful=True) == [], "a job that was of use begins the count anew"
    assert [given_up() for _ in range(2)] == [[], []]
    assert given_up(jobs.job(600.0)) == [], "another job has begun with enough"
    assert [given_up() for _ in range(3)] == [[], [], [task(100.0)]]
    assert "a job lasts 10 min, of which 1 min are left" in jobs.fitting.too_long(task(100.0), 60.0)


@pytest.mark.parametrize(("seconds", "fits"), [(450.0, True), (460.0, False)])
def test_a_task_that_is_longer_than_any_job_fits_none(tmp_path: Path, seconds: float, fits: bool) -> None:
    jobs = Jobs(tmp_path)
    assert jobs.fitting.fits_a_job(task(seconds)) == fits
    assert "it was not started" in jobs.fitting.too_long(task(seconds))
