"""Dask runs a grid as this machine would: its workers may die, its cluster may grow, the user's client stays."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from memento import Memento
from memento.errors import WorkerStartError
from memento.events import TaskRetried
from memento.executors import Executor, make_executor
from memento.executors import dask as dask_engine
from memento.executors.dask import Dask
from memento.system import own_mark
from memento.testing import ExecutorContract
from memento.testing.driving import Drive
from tests.engines.dask_cluster import KeptCluster, dask_client, kill_worker
from tests.engines.pilot_processes import pilots, until

pytestmark = pytest.mark.engine

HOME = str(Path(__file__).parents[2])


@pytest.fixture(scope="module")
def cluster() -> Iterator[KeptCluster]:
    with KeptCluster() as kept:
        yield kept


@pytest.fixture
def whole(cluster: KeptCluster) -> Any:
    """Return the client once both workers are there."""
    return cluster.whole()


class TestDask(ExecutorContract):
    @pytest.fixture
    def executor(self, whole: Any) -> Executor:
        return make_executor(whole)

    def take_place_away(self, executor: Executor) -> None:
        assert isinstance(executor, Dask)
        name = next(pilot.name for pilot in list(executor.pilots.values()) if pilot.tasks)
        kill_worker(executor.client, executor._places[name])


def test_a_worker_that_is_killed_in_the_middle_changes_nothing_but_time(whole: Any, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    begun.mkdir()

    def experiment(context: Any, config: Any) -> int:
        (begun / f"{config.x}-{context.attempt}").touch()
        time.sleep(0.02)
        return int(config.x) ** 2

    killed: list[str] = []

    reasons: list[str] = []

    def kill(event: object) -> None:
        if isinstance(event, TaskRetried):
            reasons.append(event.reason)
        if not killed and len(list(begun.iterdir())) > 20:
            killed.append(next(iter(whole.nthreads())))
            kill_worker(whole, killed[0])

    memento = Memento(experiment, executor=whole, store=tmp_path / "store", name="e", listeners=[kill])
    results = memento.run({"parameters": {"x": list(range(150))}})
    assert results is not None
    assert [result.inner for result in results] == [x**2 for x in range(150)]
    assert killed
    assert reasons
    assert all(killed[0] in reason for reason in reasons), "it is told which worker was lost"
    assert list((tmp_path / "store" / "work").iterdir()) == []
    counts = [len(list(begun.glob(f"{x}-*"))) for x in range(150)]
    assert sum(counts) - 150 <= 60, "what was not there ran again"


def test_the_users_client_and_its_data_are_as_before(whole: Any, tmp_path: Path) -> None:
    kept = whole.submit(pow, 2, 10, pure=False)
    executor = make_executor(whole)
    drive = _drive(executor, tmp_path)
    drive.start(lambda context, config: config.x)
    drive.run([drive.task(i, i) for i in range(4)])
    executor.close()
    assert kept.result() == 1024
    assert whole.submit(pow, 3, 2, pure=False).result() == 9
    assert not [key for keys in whole.processing().values() for key in keys]


@pytest.mark.parametrize("what", ["address", "cluster"])
def test_an_address_and_a_cluster_serve_as_well_as_a_client(whole: Any, tmp_path: Path, what: str) -> None:
    cluster = whole.cluster if what == "cluster" else whole.scheduler.address
    memento = Memento(lambda context, config: os.getppid(), executor=cluster, store=tmp_path, name="e")
    results = memento.run({"parameters": {"x": [1, 2]}})
    assert results is not None
    assert all(result.status == "done" for result in results)
    assert whole.status == "running"
    assert list((tmp_path / "work").iterdir()) == [], "what workers were handed is gone with the run"


def test_as_many_tasks_run_as_the_cluster_has_threads_also_when_it_grows(whole: Any, tmp_path: Path) -> None:
    gate = tmp_path / "gate"

    def wait(context: Any, config: Any) -> int:
        while not gate.exists():
            time.sleep(0.01)
        return 1

    drive = _drive(make_executor(whole), tmp_path)
    drive.start(wait, num_workers=7)
    try:
        assert drive.executor.workers == 2
        drive.executor.submit([drive.task(i) for i in range(6)])
        drive.until(lambda: len(drive.executor.running()) == 2)
        whole.cluster.scale(3)
        drive.until(lambda: len(drive.executor.running()) == 3)
        gate.touch()
        drive.until(lambda: len(drive.outcomes) == 6)
    finally:
        drive.executor.close()
        whole.cluster.scale(2)


def test_a_cluster_that_begins_without_workers_and_adapts_itself_gets_its_first(tmp_path: Path) -> None:
    with dask_client(workers=0) as client:
        client.cluster.adapt(minimum=0, maximum=1, interval="100ms")
        drive = _drive(make_executor(client), tmp_path)
        drive.start(lambda context, config: config.x)
        drive.run([drive.task(i, i) for i in range(3)])
        assert "no workers yet" in " ".join(drive.facts)
        drive.executor.close()


def test_what_no_worker_has_is_told_of_tasks_that_wait_for_it(whole: Any, tmp_path: Path) -> None:
    drive = _drive(Dask(whole, resources={"GPU": 2}), tmp_path)
    drive.start(lambda context, config: 1)
    drive.executor.submit([drive.task(0)])
    drive.executor.poll(0.0)
    assert list(drive.executor.unbegun()) == [(0, "no Dask worker has GPU=2 (the most that one has is 0)")]
    drive.executor.close()


def test_a_cluster_that_adapts_itself_grows_for_what_waits_and_shrinks_afterwards(tmp_path: Path) -> None:
    gate = tmp_path / "gate"

    def wait(context: Any, config: Any) -> int:
        while not gate.exists():
            time.sleep(0.01)
        return 1

    with dask_client(workers=0) as client:
        client.cluster.adapt(minimum=0, maximum=2, interval="100ms", wait_count=2)
        drive = _drive(make_executor(client), tmp_path)
        drive.start(wait)
        drive.executor.submit([drive.task(0)])
        drive.until(lambda: len(drive.executor.running()) == 1)
        drive.executor.submit([drive.task(i) for i in range(1, 6)])
        drive.until(lambda: len(drive.executor.running()) == 2)
        gate.touch()
        drive.until(lambda: len(drive.outcomes) == 6)
        drive.executor.close()
        until(lambda: not client.nthreads())


def test_so_many_tasks_run_as_somebody_asked_for(whole: Any, tmp_path: Path) -> None:
    drive = _drive(make_executor(whole, 1), tmp_path)
    drive.start(lambda context, config: os.getpid())
    drive.run([drive.task(i) for i in range(20)])
    assert len(drive.executor.pilots) == 1  # type: ignore[attr-defined]  # it is Dask's
    drive.executor.close()


def test_a_cluster_that_cannot_be_used_says_why_before_any_task(
    whole: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_on_worker(*_: object) -> tuple[str, str, str]:
        return "blind", "node7", "/usr/bin/python"

    monkeypatch.setattr(dask_engine, "_run_on_worker", run_on_worker)
    memento = Memento(lambda context, config: 1, executor=whole, store=tmp_path, name="e")
    with pytest.raises(WorkerStartError, match=r"worker on node7 does not see .*store=.*/shared"):
        memento.run({"parameters": {"x": [1, 2]}})
    assert list((tmp_path / "work").iterdir()) == [], "of a run that could not begin nothing is left"


def test_where_no_scheduler_answers_the_address_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_engine, "_CONNECT", 0.5)
    memento = Memento(lambda context, config: 1, executor="tcp://127.0.0.1:9", store=tmp_path, name="e")
    with pytest.raises(WorkerStartError, match=r"no Dask scheduler answers at 'tcp://127.0.0.1:9'"):
        memento.run({"parameters": {"x": [1, 2]}})


def test_a_client_that_is_closed_is_told(whole: Any, tmp_path: Path) -> None:
    with type(whole)(whole.scheduler.address, set_as_default=False) as closed:
        pass
    memento = Memento(lambda context, config: 1, executor=closed, store=tmp_path, name="e")
    with pytest.raises(WorkerStartError, match=r"client that was given is closed"):
        memento.run({"parameters": {"x": [1, 2]}})


def test_where_something_else_answers_the_address_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Client:  # as at a dashboard's port: "HTTP/1.1" is read as a length
        def __init__(self, *args: Any, **options: Any) -> None:
            raise MemoryError("Unable to allocate 3.07 EiB")

    monkeypatch.setattr("distributed.Client", Client)
    memento = Memento(lambda context, config: 1, executor="tcp://head:8787", store=tmp_path, name="e")
    with pytest.raises(WorkerStartError, match=r"no Dask scheduler answers at 'tcp://head:8787': Unable"):
        memento.run({"parameters": {"x": [1, 2]}})


def test_a_cluster_that_ends_in_the_middle_ends_the_run_with_a_word(tmp_path: Path) -> None:
    begun = tmp_path / "begun"

    def experiment(context: Any, config: Any) -> None:
        begun.touch()
        while True:
            time.sleep(0.01)

    with dask_client(workers=1) as client:
        address = client.scheduler.address
        ended: list[bool] = []

        def end(event: object) -> None:
            if begun.exists() and not ended:
                ended.append(True)
                client.cluster.close()

        memento = Memento(experiment, executor=address, store=tmp_path / "store", name="e", listeners=[end])
        with pytest.raises(WorkerStartError, match=r"Dask scheduler is gone.*What has finished is kept"):
            memento.run({"parameters": {"x": [1, 2]}})
        until(lambda: not pilots(tmp_path))


def test_a_pilot_that_has_nothing_to_do_soon_leaves_its_thread_to_others(whole: Any, tmp_path: Path) -> None:
    drive = _drive(make_executor(whole), tmp_path)
    drive.start(lambda context, config: config.x)
    drive.run([drive.task(0, 0)])
    drive.until(lambda: not drive.executor.pilots)  # type: ignore[attr-defined]  # it is Dask's
    drive.run([drive.task(1, 1)])
    assert drive.value(1) == 1, "another one comes when there is something to do"
    drive.executor.close()


def test_a_run_within_a_call_of_dasks_does_not_wait_for_the_thread_that_it_has(tmp_path: Path) -> None:
    def run(address: str) -> list[int]:
        memento = Memento(lambda context, config: config.x + 1, executor=address, store=tmp_path, name="e")
        return [result.inner for result in memento.run({"parameters": {"x": [1, 2]}}) or ()]

    with dask_client(workers=1) as client:
        assert client.submit(run, client.scheduler.address).result(timeout=300) == [2, 3]


SCRIPT = """
import sys, time
from pathlib import Path
from memento import Memento

def experiment(context, config):
    Path("begun").touch()
    while len(sys.argv) > 2:
        time.sleep(0.01)
    return config.x ** 2

executor = sys.argv[1]
print([result.inner for result in Memento(experiment, executor=executor).run({"parameters": {"x": [1, 2, 3]}})])
"""


def test_a_script_without_a_guard_runs_on_a_cluster_of_its_own_and_leaves_nothing(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    for name in ("home", "tmp"):
        (tmp_path / name).mkdir()
    mark = "from memento.system import own_mark; print(own_mark(), end='')"
    killed, other = (tmp_path / "tmp" / f"memento-dask-{name}" for name in ("killed", "other"))
    for folder in (killed, other):
        folder.mkdir()
    (killed / "memento-owner").write_text(
        subprocess.run([sys.executable, "-c", mark], capture_output=True, text=True, check=True).stdout
    )
    (other / "memento-owner").write_text(own_mark())
    program = _start(tmp_path, "dask")
    out, err = program.communicate(timeout=300)
    assert (program.returncode, out) == (0, "[1, 4, 9]\n"), err
    assert "distributed" not in err
    assert pilots(tmp_path) == set()
    assert list((tmp_path / "home").iterdir()) == []
    assert list((tmp_path / "tmp").iterdir()) == [other], "what a killed program had left is gone, too"


def test_pilots_end_when_their_coordinator_is_killed(whole: Any, tmp_path: Path) -> None:
    for name in ("home", "tmp"):
        (tmp_path / name).mkdir()
    program = _start(tmp_path, whole.scheduler.address, "for ever")
    until(lambda: (tmp_path / "begun").exists())
    assert pilots(tmp_path)
    program.kill()
    program.communicate()
    until(lambda: not pilots(tmp_path))


def _drive(executor: Executor, tmp_path: Path) -> Drive:
    (tmp_path / "store" / "payloads").mkdir(parents=True)
    return Drive(executor, tmp_path / "store")


def _start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    (folder / "exp.py").write_text(SCRIPT)
    environment = {
        **os.environ,
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "tmp"),
        "PYTHONPATH": HOME,
        "DASK_DISTRIBUTED__ADMIN__TICK__LIMIT": "1h",  # Dask tells of a machine that stands still for 3 seconds
    }
    return subprocess.Popen(
        [sys.executable, "-W", "error", "exp.py", *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
