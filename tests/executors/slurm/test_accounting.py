"""A real Slurm with accounting: limits of users are back-pressure, wrong accounts are told, sacct is believed."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from memento.errors import WorkerStartError
from tests.engines.slurm import Shim, quick, wait_until
from tests.engines.slurm_accounting import AccountingCluster, accounting, accounting_cluster
from tests.executors.slurm.test_engine import beside, executor_of, memento_of

__all__ = ["accounting", "accounting_cluster", "quick"]  # fixtures

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("quick")]


@pytest.mark.parametrize("limits", [{"MaxSubmitJobs": 2}, {"GrpJobs": 1}, {"MaxSubmitJobs": 1, "MaxJobs": 1}])
def test_limits_of_a_user_hold_a_run_up_and_are_no_error(
    accounting: AccountingCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limits: dict[str, int]
) -> None:
    monkeypatch.setattr("memento.executors.slurm.jobs.LATER", 0.5)
    accounting.limit(**limits)
    jobs = tmp_path / "jobs"
    jobs.mkdir()

    def experiment(context: Any, config: Any) -> int:
        (jobs / os.environ["SLURM_JOB_ID"]).touch()
        time.sleep(0.2)
        return int(config.x) * 2

    executor = executor_of(tasks_per_job=1, max_jobs=4)
    results = memento_of(experiment, tmp_path / "st", executor).run({"parameters": {"x": list(range(20))}})
    assert results is not None
    assert [result.inner for result in results] == [x * 2 for x in range(20)]
    assert 1 <= len(list(jobs.iterdir())) <= limits.get("MaxSubmitJobs", limits.get("GrpJobs", 4))
    wait_until(lambda: not accounting.jobs(), "no job is left")


def test_an_account_that_is_not_the_users_is_told_in_the_first_seconds(
    accounting: AccountingCluster, tmp_path: Path
) -> None:
    executor = executor_of(account="others")
    with pytest.raises(WorkerStartError, match=r"(?i)invalid account.*sacctmgr show assoc"):
        memento_of(lambda context, config: 1, tmp_path / "st", executor).run({"parameters": {"x": [1]}})


def test_what_sacct_says_of_a_job_that_the_queue_does_not_show_is_believed(
    accounting: AccountingCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shim = Shim(tmp_path / "shim")
    monkeypatch.setenv("PATH", shim.path)
    began = tmp_path / "began"

    def experiment(context: Any, config: Any) -> str:
        if not began.exists():
            began.touch()
            while True:
                time.sleep(0.05)
        return "done"

    def cancel() -> None:
        wait_until(began.exists, "the task runs")
        (job,) = accounting.jobs("RUNNING")
        shim.answer("squeue", "")
        accounting.run("scancel", "--full", "--signal=KILL", job)
        wait_until(lambda: shim.calls("sacct"), "sacct is asked")
        shim.heal("squeue")

    with beside(cancel):
        executor = executor_of(tasks_per_job=1, max_jobs=1)
        results = memento_of(experiment, tmp_path / "st", executor).run({"parameters": {"x": [1]}})
    assert results is not None
    assert [result.inner for result in results] == ["done"]
