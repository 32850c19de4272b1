"""What one task changes in its process does not reach the next one."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from memento.executors.serial import Serial
from memento.executors.threads import Threads
from memento.records import DONE
from memento.testing.driving import Drive
from memento.worker.isolation import Isolation


def log_of(drive: Drive, number: int) -> str:
    log = drive.outcomes[number].log
    if log is None:
        return ""
    return (drive.store / "logs" / log.file).read_bytes()[log.start : log.end].decode()


def folder(change: bool) -> Any:
    before = os.getcwd()
    if change:
        os.chdir("/")
    return before


def environment(change: bool) -> Any:
    before = os.environ.get("LEFT"), os.environ["PATH"]
    if change:
        os.environ["LEFT"] = "behind"
        del os.environ["PATH"]
    return before


def search_path(change: bool) -> Any:
    before = list(sys.path)
    if change:
        sys.path.insert(0, "/left/behind")
    return before


def umask(change: bool) -> Any:
    before = os.umask(0o022)
    os.umask(0o077 if change else before)
    return before


def warning_filters(change: bool) -> Any:
    import warnings

    before = len(warnings.filters), warnings.showwarning.__module__
    if change:
        warnings.simplefilter("error")
        warnings.showwarning = print  # type: ignore[assignment]  # a task may do so
    return before


def warnings_that_are_logged(change: bool) -> Any:
    import logging
    import warnings

    before = warnings.showwarning.__module__
    logging.captureWarnings(change)
    assert not change or warnings.showwarning.__module__ == "logging"
    return before


def root_logger(change: bool) -> Any:
    import logging

    before = logging.root.level, len(logging.root.handlers), logging.root.manager.disable
    if change:
        logging.basicConfig(level=logging.DEBUG)
        logging.disable(logging.ERROR)
    return before


def own_logger(change: bool) -> Any:
    import logging

    log = logging.getLogger("some.experiment")
    before = log.level, len(log.handlers), log.propagate, log.getEffectiveLevel()
    if change:
        log.setLevel(logging.DEBUG)
        log.addHandler(logging.StreamHandler())
        log.propagate = False
    return before


def locales(change: bool) -> Any:
    import locale

    # Those that Python knows: of paper and addresses nothing in it follows.
    kinds = (locale.LC_CTYPE, locale.LC_COLLATE, locale.LC_MONETARY, locale.LC_NUMERIC, locale.LC_TIME)
    before = [locale.setlocale(kind) for kind in (*kinds, locale.LC_MESSAGES)]
    if change:
        locale.setlocale(locale.LC_ALL, "C" if "UTF-8" in before[0] else "C.UTF-8")
    return before


def signal_handlers(change: bool) -> Any:
    import signal

    numbers = (signal.SIGUSR1, signal.SIGTERM, signal.SIGPIPE, signal.SIGHUP)
    before = [str(signal.getsignal(number)) for number in numbers]
    if change:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
    return before


def recursion_limit(change: bool) -> Any:
    before = sys.getrecursionlimit()
    if change:
        sys.setrecursionlimit(123_456)
    return before


def collector(change: bool) -> Any:
    import gc

    before = gc.isenabled()
    if change:
        gc.disable()
    return before


def tracing(change: bool) -> Any:
    before = sys.gettrace(), sys.getprofile()
    if change:
        sys.settrace(lambda *_: None)
        sys.setprofile(lambda *_: None)
    return before


def fault_handler(change: bool) -> Any:
    import faulthandler

    before = faulthandler.is_enabled()
    if change:
        faulthandler.disable()
    return before


def decimal_context(change: bool) -> Any:
    import decimal

    before = decimal.getcontext().prec
    if change:
        decimal.getcontext().prec = 3
    return before


def errors_of_numpy(change: bool) -> Any:
    import numpy as np

    before = np.geterr()
    if change:
        np.seterr(all="ignore")
    return before


def printing_of_numpy(change: bool) -> Any:
    import numpy as np

    before = np.get_printoptions()["precision"]
    if change:
        np.set_printoptions(precision=1)
    return before


def bit_generator_of_numpy(change: bool) -> Any:
    import numpy as np

    legacy: Any = np.random
    before = type(legacy.get_bit_generator()).__name__
    if change:
        legacy.set_bit_generator(np.random.PCG64(1))
    return before


def options_of_pandas(change: bool) -> Any:
    import pandas as pd

    before = pd.get_option("display.max_rows"), pd.get_option("display.precision")
    if change:
        pd.set_option("display.max_rows", 5, "display.precision", 1)
    return before


def options_of_sklearn(change: bool) -> Any:
    import sklearn

    before = sklearn.get_config()["assume_finite"], sklearn.get_config()["transform_output"]
    if change:
        sklearn.set_config(assume_finite=True, transform_output="pandas")
    return before


def parameters_of_matplotlib(change: bool) -> Any:
    import matplotlib

    before = matplotlib.rcParams["lines.linewidth"], list(matplotlib.rcParams["font.family"])
    if change:
        matplotlib.rcParams["lines.linewidth"] = 9
        matplotlib.rcParams["font.family"].append("left")
    return before


def open_figures(change: bool) -> Any:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    if change:
        plt.plot([1, 2])
        plt.figure(7)
    return before


def options_of_torch(change: bool) -> Any:
    import torch  # type: ignore[import-not-found, unused-ignore]  # not everywhere

    before = (
        torch.is_grad_enabled(), torch.get_default_dtype(), torch.are_deterministic_algorithms_enabled(),
        torch.get_num_threads(), torch.backends.cudnn.benchmark, str(torch.get_default_device()),
    )  # fmt: skip
    if change:
        torch.set_grad_enabled(False)
        torch.set_default_dtype(torch.float64)
        torch.use_deterministic_algorithms(True)
        torch.set_num_threads(torch.get_num_threads() + 1)
        torch.backends.cudnn.benchmark = True
        torch.set_default_device("meta")
    return before


def arithmetic_of_torch(change: bool) -> Any:
    import torch

    before = (
        torch.is_autocast_enabled("cpu"), str(torch.get_autocast_dtype("cpu")), torch.is_inference_mode_enabled(),
        sys.float_info.min * 0.5 == 0.0, torch.multiprocessing.get_sharing_strategy(),
    )  # fmt: skip
    if change:
        torch.set_autocast_enabled("cpu", True)
        torch.set_autocast_dtype("cpu", torch.float16)
        torch.set_flush_denormal(True)
        torch.multiprocessing.set_sharing_strategy("file_system")
    return before


def arguments(change: bool) -> Any:
    before = "--left" in sys.argv
    if change:
        sys.argv = ["program", "--left"]
    return before


def timeout_of_sockets(change: bool) -> Any:
    import socket

    before = socket.getdefaulttimeout()
    if change:
        socket.setdefaulttimeout(1)
    return before


def hooks(change: bool) -> Any:
    import threading

    before = sys.displayhook is print, sys.unraisablehook is print, threading.excepthook is print
    if change:
        sys.displayhook = sys.unraisablehook = threading.excepthook = print
    return before


def interpreter(change: bool) -> Any:
    import gc

    before = gc.get_threshold(), sys.getswitchinterval()
    if change:
        gc.set_threshold(1, 1, 1)
        sys.setswitchinterval(1)
    return before


def timers(change: bool) -> Any:
    import signal

    before = signal.getitimer(signal.ITIMER_VIRTUAL), signal.getsignal(signal.SIGVTALRM) is signal.SIG_DFL
    if change:
        signal.signal(signal.SIGVTALRM, lambda *_: None)
        signal.setitimer(signal.ITIMER_VIRTUAL, 1000)
    return before


def zone(change: bool) -> Any:
    import time

    before = time.tzname
    if change:
        os.environ["TZ"] = "Asia/Tokyo"
        time.tzset()
    return before


def replaced_streams(change: bool) -> Any:
    import io

    before = isinstance(sys.stdout, io.StringIO), isinstance(sys.stderr, io.StringIO), sys.stdin is None
    if change:
        sys.stdout = sys.stderr = io.StringIO()
        sys.stdin = None
    return before


def closed_streams(change: bool) -> Any:
    before = sys.stdout.closed, sys.stderr.closed
    if change:
        sys.stdout.close()
        sys.stderr.close()
    return before


CHANGES = [
    folder,
    environment,
    search_path,
    umask,
    warning_filters,
    warnings_that_are_logged,
    root_logger,
    own_logger,
    locales,
    signal_handlers,
    recursion_limit,
    collector,
    tracing,
    fault_handler,
    decimal_context,
    errors_of_numpy,
    printing_of_numpy,
    bit_generator_of_numpy,
    options_of_pandas,
    options_of_sklearn,
    timeout_of_sockets,
    hooks,
    interpreter,
    timers,
    zone,
    replaced_streams,
    closed_streams,
    arguments,
    *([parameters_of_matplotlib, open_figures] if importlib.util.find_spec("matplotlib") else []),
    *([options_of_torch, arithmetic_of_torch] if importlib.util.find_spec("torch") else []),
]
# What needs a process that does nothing but tasks.
OF_WORKERS = {"closed_streams", "tracing", "fault_handler", "locales"}


@pytest.mark.slow
def test_what_a_task_changes_of_its_process_is_as_before_for_the_next(drive: Drive) -> None:
    changes: dict[str, Callable[[bool], Any]] = {change.__name__: change for change in CHANGES}

    def experiment(context: Any, config: Any) -> tuple[int, str]:
        name, change = config.x
        return os.getpid(), repr(changes[name](change))

    drive.start(experiment, num_workers=1)
    tasks, names = [], list(changes)
    for number, name in enumerate(names):
        tasks += [drive.task(3 * number + step, (name, step == 1)) for step in range(3)]
    drive.run(tasks)
    told = {name: [drive.value(3 * number + step) for step in range(3)] for number, name in enumerate(names)}
    assert {name: values[1] for name, values in told.items()} == {name: v[0] for name, v in told.items()}
    assert {name: values[2] for name, values in told.items()} == {name: v[0] for name, v in told.items()}
    assert len({value[0] for values in told.values() for value in values}) == 1, (
        "nothing of this needs a new worker"
    )


def test_in_the_programs_own_process_too_a_task_finds_what_the_first_one_found(tmp_path: Path) -> None:
    changes: dict[str, Callable[[bool], Any]] = {
        change.__name__: change for change in CHANGES if change.__name__ not in OF_WORKERS
    }

    def experiment(context: Any, config: Any) -> str:
        name, change = config.x
        return repr(changes[name](change))

    drive = Drive(Serial(), tmp_path / "store")
    drive.start(experiment)
    tasks, names = [], list(changes)
    for number, name in enumerate(names):
        tasks += [drive.task(3 * number + step, (name, step == 1)) for step in range(3)]
    drive.run(tasks)
    drive.executor.close()
    told = {name: [drive.value(3 * number + step) for step in range(3)] for number, name in enumerate(names)}
    assert {name: values[1:] for name, values in told.items()} == {
        name: v[:1] * 2 for name, v in told.items()
    }
    assert drive.notes == []


def test_an_interval_that_python_tells_a_little_too_short_is_put_back_as_it_was() -> None:
    from memento.worker.process_options import Options

    before = sys.getswitchinterval()
    try:
        sys.setswitchinterval(1e-4)
        wanted, options = sys.getswitchinterval(), Options(of_python=True)
        sys.setswitchinterval(1.0)
        assert options.put_back() == ""
        assert sys.getswitchinterval() == wanted
    finally:
        sys.setswitchinterval(before + 5e-7)


def test_what_a_thread_has_for_itself_is_put_back(tmp_path: Path) -> None:
    import sklearn

    drive = Drive(Threads(2), tmp_path / "store")

    def experiment(context: Any, config: Any) -> bool:
        before = bool(sklearn.get_config()["assume_finite"])
        sklearn.set_config(assume_finite=True)
        return before

    drive.start(experiment)
    drive.run([drive.task(number) for number in range(6)])
    drive.executor.close()
    assert [drive.value(number) for number in range(6)] == [False] * 6


def test_an_option_that_cannot_be_put_back_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from memento.worker import process_options as options

    values = [1]
    monkeypatch.setitem(
        options.LIBRARIES, "sys", lambda: iter([options.Option("it", lambda: values[0], lambda _: None)])
    )
    isolation = Isolation()
    try:
        assert isolation.restore() == ""
        values[0] = 2
        assert isolation.restore() == "changed it"
    finally:
        isolation.close()


def test_a_task_prints_although_an_earlier_one_has_closed_or_redirected_its_output(drive: Drive) -> None:
    def talk(context: Any, config: Any) -> None:
        print("hello", config.x)
        os.write(2, b"to descriptor two\n")
        if config.x == 1:
            sys.stdout.close()
        elif config.x == 2:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
        elif config.x == 3:
            os.close(1)
            os.close(2)

    drive.start(talk, num_workers=1)
    drive.run([drive.task(i, i) for i in range(5)])
    assert [log_of(drive, i) for i in range(5)] == [f"hello {i}\nto descriptor two\n" for i in range(5)]


@pytest.mark.slow
def test_a_logger_that_an_import_has_set_up_stays_so(drive: Drive, tmp_path: Path) -> None:
    (tmp_path / "chatty_library.py").write_text(
        "import logging\n"
        "log = logging.getLogger('chatty_library.inner')\n"
        "log.addHandler(logging.StreamHandler())\nlog.setLevel(10)\n"
    )

    def use(context: Any, config: Any) -> tuple[int, int]:
        sys.path.insert(0, config.settings["path"])
        import chatty_library  # type: ignore[import-not-found]  # it is made here

        return len(chatty_library.log.handlers), chatty_library.log.level

    drive.start(use, settings={"path": str(tmp_path)}, num_workers=1)
    drive.run([drive.task(i, i) for i in range(3)])
    assert [drive.value(i) for i in range(3)] == [(1, 10)] * 3


def test_seeding_by_one_task_tells_nothing_of_what_the_next_draws(drive: Drive) -> None:
    def draw(context: Any, config: Any) -> tuple[float, float]:
        import random

        import numpy as np

        if config.x:
            random.seed(1)
            np.random.seed(1)
        return random.random(), float(np.random.random())

    drive.start(draw, num_workers=1)
    drive.run([drive.task(i, i % 2 == 0) for i in range(8)])
    seeded, free = ([drive.value(i) for i in range(start, 8, 2)] for start in (0, 1))
    assert len(set(seeded)) == 1
    assert len({a for a, _ in free}) == len({b for _, b in free}) == 4


@pytest.mark.slow
def test_an_alarm_that_a_task_leaves_does_not_ring_in_the_next(drive: Drive) -> None:
    import signal

    def leave(context: Any, config: Any) -> str:
        left = signal.alarm(100 if config.x == 0 else 0)
        return f"{left} s left"

    drive.start(leave, num_workers=1)
    drive.run([drive.task(i, i) for i in range(2)])
    assert drive.value(1) == "0 s left"


@pytest.mark.slow
def test_a_task_that_removes_imported_modules_costs_the_worker(drive: Drive) -> None:
    def remove(context: Any, config: Any) -> tuple[int, bool]:
        import sys

        there = "json" in sys.modules
        if config.x == 0:
            del sys.modules["json"]
        return os.getpid(), there

    drive.start(remove, num_workers=1)
    drive.run([drive.task(i, i) for i in range(3)])
    assert drive.value(1)[1]
    assert drive.value(1)[0] != drive.value(0)[0]
    assert drive.value(2) == drive.value(1)


@pytest.mark.slow
def test_a_task_that_lowers_a_limit_of_its_process_costs_the_worker(drive: Drive) -> None:
    def lower(context: Any, config: Any) -> tuple[int, int]:
        import resource

        before = resource.getrlimit(resource.RLIMIT_CORE)[1]
        if config.x == 0:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        return os.getpid(), before

    drive.start(lower, num_workers=1)
    drive.run([drive.task(i, i) for i in range(2)])
    assert drive.value(0)[1] == drive.value(1)[1]
    assert drive.value(0)[0] != drive.value(1)[0]
    assert any("changed resource limits" in note for note in drive.notes)


@pytest.mark.slow
def test_who_ran_beside_a_task_that_kills_its_parent_is_not_blamed(drive: Drive, tmp_path: Path) -> None:
    def shoot(context: Any, config: Any) -> int:
        import signal
        import time

        (tmp_path / f"began {config.x} {os.getpid()}").touch()
        soon = time.monotonic() + 0.5  # when there is nobody to wait for

        def began(x: int) -> list[int]:
            return [int(file.name.split()[-1]) for file in tmp_path.glob(f"began {x} *")]

        def lives(pid: int) -> bool:
            with contextlib.suppress(psutil.NoSuchProcess):
                return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
            return False

        if config.x == 1:
            again = len(began(1)) > 1
            while len(began(0)) < len(began(1)) and not (again and time.monotonic() > soon):
                time.sleep(0.001)
            os.kill(os.getppid(), signal.SIGKILL)
            signal.pause()
        if config.x == 0 and len(began(0)) == 1:
            signal.pause()  # until the server is killed
        while config.x == 0 and time.monotonic() < soon:
            for pid in began(1):
                while lives(pid):  # until that kills the server again, or is gone itself
                    time.sleep(0.001)
            time.sleep(0.001)
        return 1

    drive.start(shoot, num_workers=2)
    outcomes = drive.run([drive.task(i, i) for i in range(8)])
    assert [i for i, outcome in outcomes.items() if outcome.status != DONE] == [1]


@pytest.mark.slow
def test_a_task_that_kills_its_parent_is_blamed_when_it_does_so_again(drive: Drive) -> None:
    import signal

    def shoot(context: Any, config: Any) -> int:
        if config.x == 4:
            os.kill(os.getppid(), signal.SIGKILL)
            signal.pause()
        return 1

    drive.start(shoot, num_workers=2)
    outcomes = drive.run([drive.task(i, i) for i in range(12)])
    failure = outcomes[4].failure
    assert failure is not None
    assert failure.type == "SIGKILL"
    assert sum(outcome.status == DONE for outcome in outcomes.values()) == 11


# -- experiments that use processes, threads and descriptors of their own


def test_a_task_that_closes_what_it_did_not_open_harms_nobody(drive: Drive, tmp_path: Path) -> None:
    def close(context: Any, config: Any) -> str:
        if config.x:
            os.closerange(3, 256 if config.x == 1 else 70_000)
            with open(config.settings["file"], "w") as file:
                file.write("mine")
        return "closed"

    mine = tmp_path / "mine"
    drive.start(close, settings={"file": str(mine)}, num_workers=1)
    outcomes = drive.run([drive.task(i, i) for i in range(4)])
    told = [outcomes[i].status == DONE for i in range(4)]
    assert told == [True, True, False, False]  # ours are out of reach of who closes the first few hundred
    failure = outcomes[2].failure
    assert failure is not None
    assert "closed file descriptors" in failure.message
    assert mine.read_text() == "mine"


@pytest.mark.parametrize("whom", [pytest.param("parent", marks=pytest.mark.slow), "group"])
def test_a_task_that_signals_those_around_it_fails_alone_at_most(drive: Drive, whom: str) -> None:
    import signal

    def shoot(context: Any, config: Any) -> int:
        if config.x == 2:
            if config.settings["whom"] == "parent":
                os.kill(os.getppid(), signal.SIGTERM)
                os.kill(os.getppid(), signal.SIGHUP)
            else:
                os.killpg(0, signal.SIGTERM)
        return os.getppid()

    drive.start(shoot, settings={"whom": whom})
    outcomes = drive.run([drive.task(i, i) for i in range(10)])
    failed = [number for number, outcome in outcomes.items() if outcome.status != DONE]
    assert failed == ([2] if whom == "group" else [])


@pytest.mark.slow
def test_a_task_may_use_pools_of_processes_and_threads(drive: Drive) -> None:
    def pools(context: Any, config: Any) -> tuple[int, list[int]]:
        import concurrent.futures
        import math
        import multiprocessing

        if config.x in ("fork", "spawn"):
            with multiprocessing.get_context(config.x).Pool(2) as pool:
                found = pool.map(math.isqrt, [16, 25])
        elif config.x == "threads":
            with concurrent.futures.ThreadPoolExecutor(2) as threads:
                found = list(threads.map(math.isqrt, [16, 25]))
        elif config.x == "subprocess":
            code = "import math; print(math.isqrt(16), math.isqrt(25))"
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
            found = [int(word) for word in done.stdout.split()]
        else:
            import asyncio

            async def both() -> list[int]:
                return list(await asyncio.gather(*(asyncio.to_thread(math.isqrt, n) for n in (16, 25))))

            found = asyncio.run(both())
        return os.getpid(), found

    drive.start(pools, num_workers=1)
    kinds = ["fork", "spawn", "threads", "subprocess", "asyncio"]
    drive.run([drive.task(i, kind) for i, kind in enumerate(kinds)])
    assert {kind: drive.value(i)[1] for i, kind in enumerate(kinds)} == {kind: [4, 5] for kind in kinds}
    assert len({drive.value(i)[0] for i in range(5)}) == 1, f"a worker was replaced: {drive.notes}"


@pytest.mark.slow
def test_a_task_may_use_joblib(drive: Drive) -> None:
    def many(context: Any, config: Any) -> list[int]:
        import joblib

        return list(joblib.Parallel(n_jobs=2)(joblib.delayed(pow)(n, 2) for n in (4, 5)))

    drive.start(many, num_workers=1)
    drive.run([drive.task(i, i) for i in range(3)])
    assert [drive.value(i) for i in range(3)] == [[16, 25]] * 3


@pytest.mark.slow
def test_a_task_may_run_memento(drive: Drive) -> None:
    def nested(context: Any, config: Any) -> list[int]:
        from memento import Memento

        results = Memento(
            lambda context, config: config.n * 10, store=config.settings["path"], num_workers=2
        ).run({"parameters": {"n": [1, 2]}})
        return [result.inner for result in results or ()]

    drive.start(nested, settings={"path": str(drive.store.parent / "inner")}, num_workers=1)
    drive.run([drive.task(i, i) for i in range(2)])
    assert drive.value(0) == drive.value(1) == [10, 20]


def test_logging_that_a_task_imports_is_put_back_to_what_its_import_leaves() -> None:
    program = """
import sys
from memento.executors.processes.worker_isolation import WorkerIsolation
order = WorkerIsolation()
assert "logging" not in sys.modules
order.restore()
import logging
logging.basicConfig(level=logging.DEBUG)
logging.getLogger("mine").setLevel(logging.ERROR)
logging.disable(logging.INFO)
order.restore()
for _ in range(2):
    root, mine = logging.getLogger(), logging.getLogger("mine")
    assert (root.level, root.handlers, mine.level, root.manager.disable) == (logging.WARNING, [], logging.NOTSET, 0)
    root.addHandler(logging.StreamHandler())
    mine.setLevel(logging.ERROR)
    order.restore()
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=300)
