"""Whatever becomes of workers, a device is with one of them at a time, or with as many as share it."""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter, deque
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memento import system
from memento.clock import SYSTEM_CLOCK
from memento.executors.gpus import Device, assign
from memento.executors.processes import fork, server
from memento.executors.processes.scheduler import Scheduler
from memento.executors.processes.worker import Place
from memento.executors.processes.worker_handle import WorkerHandle
from memento.records import DONE
from memento.testing.driving import Drive
from memento.worker.work import Task, Work
from tests.executors.drivers import GB, nothing_given, nvml_tells

linux = pytest.mark.skipif(not system.LINUX, reason="/proc is Linux's")


def hold(context: Any, config: Any) -> tuple[str, int]:
    """Hold the place that the worker has on its device, as a context of CUDA would; some do worse."""
    (gpu,) = context.resources.gpus
    assert os.environ["CUDA_VISIBLE_DEVICES"] == gpu
    for place in range(config.settings["places"]):
        held = os.open(f"{config.settings['devices']}/{gpu}-{place}", os.O_RDWR | os.O_CREAT)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        os.close(held)
    else:
        raise AssertionError(f"more tasks are on {gpu} than may share it")
    os.set_inheritable(held, True)
    if config.x % 10 == 3:  # it dies, and a child in a session of its own holds the device
        subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True, close_fds=False
        )
        os._exit(7)
    if config.x % 10 == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    if config.x % 30 == 8:  # it is ended for its time
        time.sleep(600)
    time.sleep(0.002 * (config.x % 4))
    os.close(held)
    return gpu, os.getpid()


@linux
@pytest.mark.slow
@pytest.mark.parametrize(("per_task", "places"), [(1, 1), (0.5, 2)])
def test_no_device_is_held_beyond_its_share_while_workers_die_and_are_resized(
    drive: Drive, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, per_task: float, places: int
) -> None:
    nothing_given(monkeypatch)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    settings = {"devices": str(tmp_path), "places": places}
    drive.start(
        hold, settings=settings, gpus_per_task=per_task, num_workers=4, timeout=4.0, max_tasks_per_worker=4
    )
    chance = random.Random(1)
    waiting = [drive.task(number, number) for number in range(60)]
    while len(drive.outcomes) < 60:
        want = drive.executor.want()
        if want and waiting:
            drive.executor.submit(waiting[:want])
            del waiting[:want]
        drive.take(drive.executor.poll(0.1))
        drive.executor.resize(chance.randint(1, 4))
    failed = {number for number, outcome in drive.outcomes.items() if outcome.status != DONE}
    assert failed == {number for number in range(60) if number % 10 in (3, 5) or number % 30 == 8}, {
        number: drive.outcomes[number].failure for number in failed
    }
    assert {drive.value(number)[0] for number in drive.outcomes if number not in failed} == {"0", "1"}


@pytest.mark.slow
def test_who_comes_after_a_worker_has_its_devices(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing_given(monkeypatch)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    drive.start(
        lambda context, config: (context.resources.gpus, os.getpid()),
        gpus_per_task=1,
        num_workers=1,
        max_tasks_per_worker=1,
    )
    drive.run([drive.task(number, number) for number in range(3)])
    assert {drive.value(number)[0] for number in range(3)} == {("4",)}
    assert len({drive.value(number)[1] for number in range(3)}) == 3


def test_tasks_share_a_device_by_the_memory_that_they_need(
    drive: Drive, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    taken = {"uuid": "GPU-b", "total": 40 * GB, "free": 12 * GB, "pids": [1]}
    nvml_tells(monkeypatch, tmp_path, [{"uuid": "GPU-a", "total": 40 * GB}, taken])

    def look(context: Any, config: Any) -> tuple[Any, ...]:
        return context.resources.gpus, context.resources.gpu_memory, os.environ["CUDA_VISIBLE_DEVICES"]

    drive.start(look, gpu_memory=10 * GB, num_workers=8)
    drive.run([drive.task(number, number) for number in range(20)])
    assert {drive.value(number) for number in range(20)} <= {
        (("GPU-a",), 10 * GB, "GPU-a"),
        (("GPU-b",), 10 * GB, "GPU-b"),
    }
    assert any(text.startswith("5 workers, not 8") for text in drive.notes)
    assert any("GPU 1 (Fake) is used by others too (28 GB of it)" in text for text in drive.notes)


def test_a_task_without_gpus_sees_what_the_program_sees(
    drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing_given(monkeypatch)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    names = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")
    drive.start(lambda context, config: [os.environ.get(name) for name in names], num_workers=1)
    drive.run([drive.task(0)])
    assert drive.value(0) == ["0,1", None]


ASKS = """
import os
from pathlib import Path
from memento.executors.processes import fork, server
fork.holds_gpu = lambda: True  # as torch.cuda.is_available() leaves it
before = os.environ["CUDA_VISIBLE_DEVICES"]
def look(context, config):
    return Path("/proc/self/cmdline").read_text(), before, os.environ["CUDA_VISIBLE_DEVICES"]
"""


@pytest.mark.slow
@linux
def test_a_process_that_has_looked_for_gpus_is_not_copied(
    drive: Drive, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    device = tmp_path / "nvidia0"
    device.touch()
    monkeypatch.setattr(fork, "_GPUS", (str(tmp_path / "nvidia"),))
    assert not fork.holds_gpu()
    with device.open():
        assert fork.holds_gpu()
    monkeypatch.setattr(fork, "holds_gpu", fork.holds_gpu)  # to be put back
    (tmp_path / "asks_for_gpus.py").write_text(ASKS)
    monkeypatch.syspath_prepend(str(tmp_path))
    nothing_given(monkeypatch)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    drive.start(importlib.import_module("asks_for_gpus").look, gpus_per_task=1, num_workers=1)
    drive.run([drive.task(0)])
    command, before, seen = drive.value(0)
    assert "memento.executors.processes.worker" in command
    assert (before, seen) == ("1", "1")


class Standing:
    """A worker as the scheduler sees it."""

    def __init__(self, slot: int) -> None:
        self.place = SimpleNamespace(slot=slot)
        self.in_flight: dict[int, Any] = {}
        self.leaving, self.decided, self.revoked, self.write = False, None, None, 0
        self.load, self.sent = 0.0, 0

    def queue_batch(self, work: Work, tasks: Any, costs: Any) -> None:
        self.in_flight.update(enumerate(tasks, self.sent))
        self.sent += len(tasks)
        self.load += sum(costs)

    def revoke(self, first: int, now: float) -> None:
        pass


what_happens = st.lists(
    st.one_of(
        st.tuples(st.just("resize"), st.integers(1, 12)),
        st.tuples(st.just("dies"), st.integers(0, 11)),
        st.tuples(st.just("ends"), st.integers(0, 11)),
        st.tuples(st.just("comes"), st.integers(1, 40)),
        st.tuples(st.just("those who leave are gone"), st.just(0)),
    ),
    max_size=40,
)


@pytest.mark.slow
@given(st.integers(1, 4), st.sampled_from([0.25, 0.5, 1]), what_happens)
def test_devices_are_in_use_while_tasks_wait_and_never_beyond_their_share(
    count: int, per_task: float, events: list[tuple[str, int]]
) -> None:
    seats = assign([Device(str(number)) for number in range(count)], per_task)
    handles: dict[int, Standing] = {}
    work = cast(Work, SimpleNamespace(max_tasks_per_worker=None, grace=1.0))
    known = cast("dict[int, WorkerHandle]", handles)
    scheduler = Scheduler(work, len(seats), known, [], SYSTEM_CLOCK)
    wanted, numbers = len(seats), iter(range(10_000))
    for what, amount in events:
        chosen = handles.get(sorted(handles)[amount % len(handles)]) if handles else None
        if what == "resize":
            wanted = min(amount, len(seats))
            for leaving in scheduler.resize(wanted):
                leaving.leaving = True
        elif what == "comes":
            scheduler.add([Task(next(numbers), b"", 0, (), 0, 1, 1.0) for _ in range(amount)])
        elif what == "ends" and chosen is not None:
            chosen.in_flight.clear()
            chosen.load = 0.0
        elif what == "dies" and chosen is not None:
            scheduler.requeue(list(chosen.in_flight.values())[1:])
            del handles[chosen.place.slot]
        elif what == "those who leave are gone":
            for slot in [slot for slot, handle in handles.items() if handle.leaving]:
                del handles[slot]
        for slot in scheduler.empty_slots():
            assert slot not in handles
            handles[slot] = Standing(slot)
        deque(scheduler.fill(), maxlen=0)
        on = Counter(gpu for slot in handles for gpu in seats[slot].gpus)
        assert all(tasks * per_task <= 1 for tasks in on.values())
        if scheduler.queue:  # all that may run does, unless somebody who leaves is still there
            assert len(handles) >= wanted
            assert all(handle.in_flight for handle in handles.values() if not handle.leaving)
    if wanted == len(seats) and scheduler.queue and not any(handle.leaving for handle in handles.values()):
        assert set(on) == {str(number) for number in range(count)}


@pytest.mark.parametrize("patience", [30.0, 0.0])
def test_a_device_is_given_on_when_what_a_dead_worker_left_is_gone_or_does_not_go(
    monkeypatch: pytest.MonkeyPatch, patience: float
) -> None:
    left, begun = [(1 << 22) + 1], list[int]()  # a process number that there cannot be
    monkeypatch.setattr(system, "descendants", lambda pid: list(left) if pid == os.getpid() else [])
    monkeypatch.setattr(server, "_LETTING_GO", patience)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        served = server.Server(theirs, {"parent": os.getpid(), "slots": 0}, cast(Work, SimpleNamespace()))

        def spawn(place: Place, read: int, write: int) -> None:
            begun.append(place.slot)
            os.close(read)
            os.close(write)

        monkeypatch.setattr(served, "_spawn", spawn)
        for slot, gpus in enumerate([(), ("GPU-a",)]):
            server.send(ours, ("spawn", tuple(Place(slot, 2, "", "", gpus))), (ours.fileno(), ours.fileno()))
            assert served._obey()
        assert begun == [0]
        begun += [_give_back(*waiting) for waiting in served._ready()]
        assert begun == ([0] if patience else [0, 1])
        left.clear()
        begun += [_give_back(*waiting) for waiting in served._ready()]
        assert begun == [0, 1]


@linux
def test_a_child_of_a_task_that_lives_is_no_orphan_though_it_is_missing_among_what_is_below_its_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with subprocess.Popen(["sh", "-c", "sleep 600 & echo $!; wait"], stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        child = int(worker.stdout.readline())
        # As where a parent between the two has just ended.
        found = {os.getpid(): [worker.pid, child]}
        monkeypatch.setattr(system, "descendants", lambda pid: found.get(pid, []))
        told = {"parent": os.getpid(), "slots": 0}
        served = server.Server(cast(socket.socket, None), told, cast(Work, SimpleNamespace()))
        served._workers[worker.pid] = 0
        assert not served._end_orphans()
        assert system.process_start(child) is not None
        worker.kill()
        worker.wait()
        del served._workers[worker.pid]
        found[os.getpid()] = [child]
        assert served._end_orphans()
        while system.process_start(child) is not None:
            time.sleep(0.01)


def _give_back(place: Place, read: int, write: int, until: float) -> int:
    os.close(read)
    os.close(write)
    return place.slot
