"""Large values are the same for every task, whatever the others do to them, and are nowhere when the run has ended."""

from __future__ import annotations

import errno
import gc
import os
import pickle
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memento import Memento, system
from memento.errors import StoreUnwritable
from memento.executors import Processes
from memento.values import shared_files
from tests.e2e.workplace import Workplace
from tests.executors.toy_engine import Toy

SIZE = 200_000  # doubles: 1.6 MB
linux = pytest.mark.skipif(not system.LINUX, reason="a limit of memory needs Linux")
ENGINES: dict[str, Callable[[ExitStack], Any]] = {
    "serial": lambda _: "serial",
    "threads": lambda _: "threads",
    "fresh processes": lambda _: Processes(2, copy=False),
    "a pool of processes": lambda stack: stack.enter_context(ProcessPoolExecutor(2, get_context("spawn"))),
    "a pool of threads": lambda stack: stack.enter_context(ThreadPoolExecutor(2)),
    "an engine whose jobs outlive it": lambda _: Toy(2),
}


SLOW = ("a pool of processes", "an engine whose jobs outlive it")


@pytest.fixture(params=[pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in ENGINES])
def engine(request: pytest.FixtureRequest) -> Iterator[Any]:
    with ExitStack() as stack:
        yield ENGINES[request.param](stack)


def spoils(context: Any, config: Any) -> list[float]:
    """Tell what it got, and leave nothing as it was."""
    parts = [
        config.array,
        config.settings["array"],
        config.frame["a"].to_numpy(),
        config.settings["deep"][0]["x"],
    ]
    seen = [float(part.sum()) for part in parts]
    for part in parts[:2] + parts[3:]:
        part[...] = -1.0
    config.frame["a"] = -1.0
    config.settings["deep"].clear()
    return [*seen, float(config.settings["fixed"].flags.writeable)]


@pytest.mark.slow
def test_each_task_gets_the_values_as_they_were(engine: Any, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    array = np.ones(SIZE)
    fixed = np.zeros(SIZE)
    fixed.flags.writeable = False
    frame = pandas.DataFrame({"a": np.full(SIZE, 2.0), "b": np.arange(SIZE)})
    settings = {"array": np.full(SIZE, 3.0), "deep": [{"x": np.full(SIZE, 4.0)}], "fixed": fixed}
    before = pickle.dumps((array, frame, settings))
    runs = Memento(spoils, executor=engine, num_workers=2, store=tmp_path / "store", progress=False)
    results = runs.run(
        {"parameters": {"array": [array], "frame": [frame], "n": range(6)}, "settings": settings}
    )
    assert results is not None
    assert [result.inner for result in results] == [[SIZE, 3.0 * SIZE, 2.0 * SIZE, 4.0 * SIZE, 0.0]] * 6
    assert pickle.dumps((array, frame, settings)) == before
    assert_nothing_is_left(tmp_path)


def assert_nothing_is_left(folder: Path) -> None:
    gc.collect()
    assert not [path for path in folder.rglob("values*") if path.parent.parent.name == "work"]
    if system.LINUX:
        targets = [os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd") if is_open(n)]
        assert not [target for target in targets if "memento-values" in target]
        assert "memento-values" not in Path("/proc/self/maps").read_text()


def is_open(number: str) -> bool:
    return os.path.lexists(f"/proc/self/fd/{number}")


def fails(context: Any, config: Any) -> None:
    config.settings["array"][0] = 5
    raise ValueError(config.array[0])


@pytest.mark.slow
def test_nothing_is_left_when_tasks_fail(engine: Any, tmp_path: Path) -> None:
    runs = Memento(
        fails, executor=engine, num_workers=2, store=tmp_path / "store", progress=False, on_error="return"
    )
    results = runs.run(
        {"parameters": {"array": [np.ones(SIZE)], "n": [1, 2]}, "settings": {"array": np.zeros(SIZE)}}
    )
    assert results is not None
    assert [result.status for result in results] == ["failed"] * 2
    del results
    assert_nothing_is_left(tmp_path)


class Counted:
    """Counts how often it is pickled, in this process."""

    count = 0

    def __init__(self) -> None:
        self.array = np.ones(SIZE)

    def __reduce__(self) -> Any:
        Counted.count += 1
        return Counted, ()

    def __memento_key__(self) -> str:
        return "counted"


def reads(context: Any, config: Any) -> float:
    return float(config.one.array[0] + config.settings["two"].array[0])


def test_a_value_is_pickled_once_for_all_workers_and_tasks(
    engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Counted, "count", 0)
    runs = Memento(reads, executor=engine, num_workers=2, store=tmp_path / "store", progress=False)
    results = runs.run({"parameters": {"one": [Counted()], "n": range(8)}, "settings": {"two": Counted()}})
    assert results is not None
    assert [result.inner for result in results] == [2.0] * 8
    assert Counted.count == 2


def test_memory_is_written_once_for_all_workers_and_tasks(
    engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, real = [], os.pwrite

    def pwrite(descriptor: int, data: Any, at: int) -> int:
        written.append(len(data))
        return real(descriptor, data, at)

    monkeypatch.setattr(os, "pwrite", pwrite)
    array = np.ones(SIZE)
    runs = Memento(takes_both, executor=engine, num_workers=2, store=tmp_path / "store", progress=False)
    results = runs.run({"parameters": {"one": [array], "n": range(8)}, "settings": {"two": array}})
    assert results is not None
    assert [result.inner for result in results] == [2.0] * 8
    # What workers are at is written too, a hundred bytes each, where a run takes long enough.
    assert [size for size in written if size > 10_000] == [array.nbytes]


def takes_both(context: Any, config: Any) -> float:
    config.one[0] += 1
    return float(config.settings["two"][0] + config.one[1])


@pytest.mark.parametrize("where", ["parameter", "setting"])
def test_where_there_is_no_room_for_it_the_run_ends_with_the_reason(
    where: str, engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, data: Any, at: int) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    runs = Memento(takes_both, executor=engine, num_workers=2, store=tmp_path / "store", progress=False)
    large, small = np.ones(SIZE), np.ones(2)
    one, two = (large, small) if where == "parameter" else (small, large)
    with pytest.raises(StoreUnwritable, match=r"a value of 2 MB cannot be written here .* Make room"):
        runs.run({"parameters": {"one": [one], "n": range(4)}, "settings": {"two": two}})


GLOBAL = """
import os, signal, sys, time
import numpy as np
from memento import Memento
from memento.executors import Processes

DATA = np.full(300_000, float(len(sys.argv)))
FIXED = np.zeros(300_000)
FIXED.flags.writeable = False

def experiment(context, config):
    if config.n == 3 and os.path.exists("kill"):
        os.remove("kill")
        os.kill(int(open("pid").read()), signal.SIGKILL)
        time.sleep(600)
    found = float(DATA.sum() + config.array[7] + FIXED.flags.writeable)
    config.array[:] = 0
    return found

if __name__ == "__main__":
    open("pid", "w").write(str(os.getpid()))
    if sys.argv[1] == "toy":
        from tests.executors.toy_engine import Toy
        executor = Toy(2)
    else:
        executor = Processes(2, copy=sys.argv[1] == "copy")
    if sys.argv[1] == "named":
        executor.same_host = False
    runs = Memento(experiment, executor=executor, store="store", progress=False)
    results = runs.run({"parameters": {"array": [np.arange(300_000.0)], "n": range(6)}})
    print([r.inner for r in results])
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["copy", "fresh"])
def test_a_global_of_the_script_reaches_workers(how: str, place: Workplace) -> None:
    if how == "copy" and not system.LINUX:
        pytest.skip("only Linux copies programs")
    place.write("exp.py", GLOBAL)
    assert f"[{', '.join(['600007.0'] * 6)}]" in place.run("exp.py", how).out


@pytest.mark.slow
@pytest.mark.parametrize("how", ["copy", "fresh", "named"])
def test_nothing_is_left_of_a_killed_program_once_the_next_has_run(how: str, place: Workplace) -> None:
    place.write("exp.py", GLOBAL)
    place.write("kill", "")
    place.start("exp.py", how).wait(-signal.SIGKILL)
    left = list((place.folder / "store").glob("work/*/values"))
    assert len(left) == (how == "named" or not system.LINUX)
    assert "600007.0" in place.run("exp.py", how).out
    assert not list((place.folder / "store").glob("work/*/values"))


@pytest.mark.slow
def test_a_value_in_memory_that_is_short_goes_beside_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_files, "_has_room", lambda _: False)
    runs = Memento(takes_both, executor="serial", store=tmp_path / "store", progress=False)
    results = runs.run({"parameters": {"one": [np.ones(SIZE)], "n": [1, 2]}, "settings": {"two": np.ones(1)}})
    assert results is not None
    assert [result.inner for result in results] == [2.0] * 2
    assert_nothing_is_left(tmp_path)


LIMITED = """
import sys
import numpy as np
from memento import Memento

def experiment(context, config):
    total = float(config.array.sum())  # every page is looked at
    if config.n == 2:
        config.array[:] = 1  # now each is the task's own
        total = float(config.array.sum())
    return total

runs = Memento(experiment, num_workers=1, memory_limit="300MB", store="store", progress=False, on_error="return")
results = runs.run({"parameters": {"n": [1, 2, 3], "array": [np.zeros(50_000_000)]}})
print([result.status for result in results], results.failures)
"""


@pytest.mark.slow
@linux
def test_what_tasks_share_does_not_count_towards_a_tasks_limit_and_what_it_changes_does(
    place: Workplace,
) -> None:
    place.write("exp.py", LIMITED)
    out = place.run("exp.py").out
    assert "['done', 'failed', 'done']" in out
    assert "memory" in out
