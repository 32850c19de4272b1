"""Ray runs a grid as this machine would: its workers and nodes may die, the user's Ray stays."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from memento import Memento
from memento.errors import WorkerStartError
from memento.executors import Executor, make_executor
from memento.executors import ray as ray_engine
from memento.executors.ray import Ray
from memento.system import own_mark
from memento.testing import ExecutorContract
from memento.testing.driving import Drive
from tests.engines.pilot_processes import pilots, until
from tests.engines.ray_cluster import ENVIRONMENT, add_node, added_node, ray_nodes

pytestmark = pytest.mark.engine

HOME = str(Path(__file__).parents[2])


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with ray_nodes() as cluster:
        yield cluster


@pytest.fixture
def executor(cluster: Any) -> Executor:
    return make_executor("ray")


@pytest.mark.usefixtures("cluster")
class TestRay(ExecutorContract):
    @pytest.fixture
    def executor(self) -> Executor:
        return make_executor("ray")

    def take_place_away(self, executor: Executor) -> None:
        assert isinstance(executor, Ray)
        pilot = next(pilot for pilot in list(executor.pilots.values()) if pilot.tasks)
        assert pilot.here is not None
        _forker, worker = psutil.Process(pilot.here.pid).parents()[:2]
        worker.kill()


def test_the_programs_own_ray_is_left_running(executor: Executor, tmp_path: Path) -> None:
    ray: Any = pytest.importorskip("ray")
    drive = _drive(executor, tmp_path)
    drive.start(lambda context, config: config.x)
    assert executor.workers == 2, "as many as the nodes have cores"
    drive.run([drive.task(i, i) for i in range(4)])
    executor.close()
    assert ray.is_initialized()
    until(lambda: ray.available_resources().get("CPU") == 2)


def test_pilots_ask_for_what_was_asked_for(cluster: Any, tmp_path: Path) -> None:
    ray: Any = pytest.importorskip("ray")
    with added_node(cluster, num_cpus=2, num_gpus=2, resources={"disk": 1}) as node:  # which Ray believes
        executor = Ray(num_cpus=2, num_gpus=1, resources={"disk": 0.5})
        executor.idle = 3600.0  # what a pilot holds is looked at when it has nothing to do
        drive = _drive(executor, tmp_path)

        def seen(context: Any, config: Any) -> list[str]:
            return [os.environ["CUDA_VISIBLE_DEVICES"], os.environ["MEMENTO_PLACE"]]

        drive.start(seen, num_workers=2, asked_workers=2)
        drive.run([drive.task(i) for i in range(2)])
        places = {tuple(drive.value(i)) for i in range(2)}
        assert places in ({("0", node.node_id)}, {("1", node.node_id)})
        assert len(executor.pilots) == 1
        until(lambda: ray.available_resources().get("disk") == 0.5)
        executor.close()


def test_what_pilots_ask_for_is_told_until_they_are_started(cluster: Any, tmp_path: Path) -> None:
    executor = Ray(num_cpus=1, num_gpus=1, resources={"tape": 1})  # nobody has one
    drive = _drive(executor, tmp_path)
    drive.start(lambda context, config: 1, num_workers=1, asked_workers=1)
    executor.submit([drive.task(0)])
    assert list(executor.unbegun()) == [(0, "Ray has not started 1 pilot yet: 1 CPUs, 1 GPUs, tape=1 each")]
    executor.close()


@pytest.mark.parametrize(("per_task", "most"), [(0.4, 4), (0.6, 2)])
def test_tasks_share_gpus_within_a_pilot(cluster: Any, tmp_path: Path, per_task: float, most: int) -> None:
    with added_node(cluster, num_cpus=4, num_gpus=2):  # which Ray believes
        executor = Ray()
        drive = _drive(executor, tmp_path)
        drive.start(
            lambda context, config: os.environ["CUDA_VISIBLE_DEVICES"], gpus_per_task=per_task, num_workers=4
        )
        assert executor.workers == most
        drive.run([drive.task(i) for i in range(8)])
        assert {drive.value(i) for i in range(8)} <= {"0", "1"}
        executor.close()


def test_a_task_that_is_too_large_for_every_node_is_refused_with_what_there_is(
    executor: Executor, tmp_path: Path
) -> None:
    memento = Memento(
        lambda context, config: 1, executor=executor, store=tmp_path, name="e", cpus_per_task=64
    )
    with pytest.raises(WorkerStartError, match=r"no node .*cpus_per_task=64.* 1 CPUs"):
        memento.run({"parameters": {"x": [1]}})


def test_a_cluster_that_cannot_be_used_says_why_before_any_task(
    executor: Executor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_in_task(folder: str, command: list[str], output: str) -> tuple[str, str, str]:
        return "blind", "node7", "/usr/bin/python"

    monkeypatch.setattr(ray_engine, "_run_in_task", run_in_task)
    memento = Memento(lambda context, config: 1, executor=executor, store=tmp_path, name="e")
    with pytest.raises(WorkerStartError, match=r"worker on node7 does not see .*store=.*/shared"):
        memento.run({"parameters": {"x": [1, 2]}})


# The last that uses the cluster: for some time it believes that the node is there.
def test_a_node_that_is_lost_in_the_middle_changes_nothing_but_time(cluster: Any, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    begun.mkdir()
    doomed = add_node(cluster, num_cpus=1)

    def experiment(context: Any, config: Any) -> int:
        (begun / f"{config.x}-{context.attempt}").touch()
        time.sleep(0.02)
        return int(config.x) ** 2

    killed: list[bool] = []

    def kill(event: object) -> None:
        if not killed and len(list(begun.iterdir())) > 20:
            killed.append(True)
            cluster.remove_node(doomed, allow_graceful=False)

    memento = Memento(experiment, executor="ray", store=tmp_path / "store", name="e", listeners=[kill])
    results = memento.run({"parameters": {"x": list(range(200))}})
    assert results is not None
    assert [result.inner for result in results] == [x**2 for x in range(200)]
    assert killed
    counts = [len(list(begun.glob(f"{x}-*"))) for x in range(200)]
    assert sum(counts) - 200 <= 60, "what was not there ran again"


SCRIPT = """
import os
import sys
from memento import Memento

def experiment(context, config):
    # Ray listens on all interfaces of the machine: nobody may come in without this program's token.
    is_guarded = os.environ["RAY_AUTH_MODE"] == "token" and len(os.environ["RAY_AUTH_TOKEN"]) == 64
    return config.x ** 2 if is_guarded else None

runs = Memento(experiment, executor="ray")
runs.run({"parameters": {"x": [1]}})
assert sys.excepthook is sys.__excepthook__  # else Ctrl-C would end in a traceback
print([result.inner for result in runs.run({"parameters": {"x": [1, 2, 3]}})])
assert not {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_USAGE_STATS_ENABLED"} & set(os.environ)
"""


def test_a_script_without_a_guard_runs_on_a_ray_of_its_own_and_leaves_nothing(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    for name in ("home", "tmp"):
        (tmp_path / name).mkdir()
    (tmp_path / "exp.py").write_text(SCRIPT)
    mark = "from memento.system import own_mark; print(own_mark(), end='')"
    killed, other = (Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp")) for _ in range(2))
    (killed / "memento-owner").write_text(
        subprocess.run([sys.executable, "-c", mark], capture_output=True, text=True, check=True).stdout
    )
    (other / "memento-owner").write_text(own_mark())
    told = {"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "tmp"), "PYTHONPATH": HOME}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    program = subprocess.Popen(
        [sys.executable, "-W", "error", "exp.py"],
        cwd=tmp_path,
        env=environment | told,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    out, err = program.communicate(timeout=300)
    assert (program.returncode, out) == (0, "[1, 4, 9]\n"), err
    assert pilots(tmp_path) == set()
    owners = {file.parent: file.read_text() for file in Path("/tmp").glob("ray-*/memento-owner")}
    shutil.rmtree(other)
    assert killed not in owners, "what a killed program had left is gone, too"
    assert other in owners, "a living one's is not"
    own = str(program.pid)
    assert not [mark for mark in owners.values() if mark.startswith(own) and not mark[len(own)].isdigit()]
    assert list((tmp_path / "home").iterdir()) == []
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("how", ["address", "environment"])
def test_where_no_ray_answers_the_address_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    ray: Any = pytest.importorskip("ray")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **options: pytest.fail("it would wait for minutes"))
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    memento = Memento(
        lambda context, config: 1,
        executor=Ray("127.0.0.1:9" if how == "address" else None),
        store=tmp_path,
        name="e",
    )
    with pytest.raises(WorkerStartError, match=r"no Ray answers at '127.0.0.1:9': "):
        memento.run({"parameters": {"x": [1, 2]}})


def test_a_ray_that_does_not_start_is_told_in_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray: Any = pytest.importorskip("ray")

    def late(**options: Any) -> None:
        raise Exception(LATE)

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", late)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    memento = Memento(lambda context, config: 1, executor="ray", store=tmp_path, name="e")
    with pytest.raises(WorkerStartError, match=f"cannot use Ray on this machine: {LATE}"):
        memento.run({"parameters": {"x": [1]}})


GONE = """
import os, psutil, time
from memento import Memento
from memento.executors import ray

def experiment(context, config):
    time.sleep(0.01 if config.x == 0 else 600)
    return config.x

def end(event):
    if type(event).__name__ == "TasksFinished":
        for process in psutil.Process().children(recursive=True):
            if process.name() in ("gcs_server", "raylet"):
                process.kill()

ray._HEADLESS = 1.0
Memento(experiment, executor="ray", num_workers=2, listeners=[end]).run({"parameters": {"x": [0, 1, 2]}})
"""


def test_a_ray_that_is_gone_ends_the_run_with_a_word_before_it_ends_the_program(tmp_path: Path) -> None:
    program = _ran(GONE, tmp_path)
    assert "WorkerStartError: Ray is gone: its head at " in program.stderr, program.stderr
    assert "What has finished is kept: start Ray and run again" in program.stderr
    until(lambda: not pilots(tmp_path))


SHUT_DOWN = """
import ray
from memento import Memento

def shut_down(event):
    if type(event).__name__ == "TasksFinished":
        ray.shutdown()

def experiment(context, config):
    while config.x:
        time.sleep(0.01)

ray.init(num_cpus=1, include_dashboard=False, object_store_memory=100 << 20, log_to_driver=False, _temp_dir=FOLDER)
runs = Memento(experiment, executor="ray", store=STORE, listeners=[shut_down])
try:
    runs.run({"parameters": {"x": [0, 1]}})
finally:
    assert not ray.is_initialized()
"""


def test_a_ray_that_is_shut_down_amid_a_run_ends_it_and_starts_no_other(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        store = tmp_path / "store"
        program = _ran(
            f"import time\nFOLDER, STORE = {folder!r}, {str(store)!r}\n{SHUT_DOWN}", tmp_path, ENVIRONMENT
        )
    last = "memento.errors.WorkerStartError: Ray was shut down in this program while it ran. What has finished is kept"
    assert last in program.stderr
    assert "AssertionError" not in program.stderr
    assert list((store / "work").iterdir()) == []
    until(lambda: not pilots(tmp_path))


NESTED = """
import ray
from memento import Memento

def run(folder):
    runs = Memento(lambda context, config: config.x + 1, executor="ray", store=folder, name="e")
    results = runs.run({"parameters": {"x": [1, 2]}})
    return [result.inner for result in results]

ray.init(num_cpus=2, include_dashboard=False, object_store_memory=100 << 20, log_to_driver=False, _temp_dir=FOLDER)
print(ray.get(ray.remote(num_cpus=1)(run).remote(STORE)))
"""


def test_a_run_within_a_task_of_rays_asks_for_no_more_than_that_leaves(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        program = _ran(
            f"FOLDER, STORE = {folder!r}, {str(tmp_path / 'store')!r}\n{NESTED}", tmp_path, ENVIRONMENT
        )
    assert (program.returncode, program.stdout) == (0, "[2, 3]\n"), program.stderr


LATE = "The current node timed out during startup"  # which Ray says after half a minute


def _ran(
    script: str, folder: Path, more: Mapping[str, str] | None = None, tries: int = 3
) -> subprocess.CompletedProcess[str]:
    """Run a script; again, where Ray has not started on a machine that is busy."""
    (folder / "exp.py").write_text(script)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, "exp.py"],
        cwd=folder,
        env=environment | {"PYTHONPATH": HOME} | dict(more or {}),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return _ran(script, folder, more, tries - 1) if LATE in done.stderr and tries > 1 else done


def _drive(executor: Executor, tmp_path: Path) -> Drive:
    (tmp_path / "store" / "payloads").mkdir(parents=True)
    return Drive(executor, tmp_path / "store")
