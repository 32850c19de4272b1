"""Workers are copies of the program where that is sound, and come from a fresh process where it is not."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.e2e.workplace import Workplace

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="only Linux copies programs safely"
)

# `tools.state` is 1 where a process has imported it anew, and 2 in the program and its copies. It is asked for by a
# name that nobody can follow: a run whose workers would see other globals ends.
TOOLS = "state = 1\n"
PROGRAM = """
    import json, os, sys
    import tools
    tools.state = 2
    from memento import Memento
    from memento.executors.processes import Processes

    def experiment(context, config):
        return vars(tools)["".join(["st", "ate"])]

    {setup}
    results = Memento(experiment, executor={executor}, progress=False).run(
        {{"parameters": {{"x": [1, 2, 3]}}}}, force_run=True
    )
    print(json.dumps([result.inner for result in results]))
    """


def states(place: Workplace, setup: str = "", executor: str = "Processes(2)", code: int = 0) -> str:
    place.write("tools.py", TOOLS)
    place.write("exp.py", PROGRAM.format(setup=setup.replace("\n", "\n    "), executor=executor))
    program = place.run("exp.py", code=code)
    return program.out.strip() if code == 0 else program.err


COPIED, FRESH = "[2, 2, 2]", "[1, 1, 1]"


def test_workers_are_copies_of_a_program_with_one_thread(place: Workplace) -> None:
    assert states(place) == COPIED


@pytest.mark.slow
def test_a_copy_can_be_declined(place: Workplace) -> None:
    assert states(place, executor="Processes(2, copy=False)") == FRESH


@pytest.mark.slow
def test_a_library_that_knows_of_forks_is_no_obstacle(place: Workplace) -> None:
    setup = "import numpy\nnumpy.ones((500, 500)) @ numpy.ones((500, 500))  # OpenBLAS has begun its threads"
    assert states(place, setup) == COPIED


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setup", "told"),
    [
        (
            "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()",
            "it runs several threads",
        ),
        ("kept = open('notes.txt', 'w')", "it has opened"),
        ("import socket\nkept = socket.socketpair()", "it has opened socket"),
        ("kept = os.pipe()", "it has opened pipe"),
        ("sys.setprofile(lambda *_: None)", "a debugger or profiler looks on"),
        ("sys.modules['torch'] = tools", "it has imported torch"),
        (
            "import faulthandler\nfaulthandler.dump_traceback_later(1_000)  # a thread that Python does not know",
            "a library runs threads",
        ),
    ],
    ids=lambda value: value.split()[-1],
)
def test_workers_come_from_a_fresh_process_where_a_copy_would_not_be_sound(
    place: Workplace, setup: str, told: str
) -> None:
    assert states(place, setup) == FRESH
    # Asked for a copy, it says what is in the way; the failed attempt leaves nothing behind.
    assert told in states(place, setup, executor="Processes(2, copy=True)", code=1)


@pytest.mark.slow
def test_what_the_program_holds_does_not_count_towards_the_memory_of_a_task(place: Workplace) -> None:
    assert states(place, executor="Processes(2), memory_limit='2GB'") == FRESH


@pytest.mark.slow
def test_a_copy_holds_on_to_nothing_that_the_program_was_started_with(place: Workplace) -> None:
    place.write(
        "exp.py",
        """
        import os, subprocess, sys
        read, write = os.pipe()
        code = '''
        import os, sys
        from memento import Memento

        def experiment(context, config):
            paths = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
            links = [os.readlink(path) for path in paths if os.path.lexists(path)]
            return os.readlink(f"/proc/self/fd/{sys.argv[1]}"), any("index.sqlite" in link for link in links)

        print(Memento(experiment, num_workers=1, progress=False).run({"parameters": {"x": [1]}})[0].inner)
        '''
        import textwrap
        subprocess.run([sys.executable, "-c", textwrap.dedent(code), str(write)], pass_fds=[write], check=True)
        """,
    )
    assert place.run("exp.py").out.strip() == "('/dev/null', False)"


@pytest.mark.slow
def test_what_the_program_has_not_printed_yet_is_printed_once(place: Workplace) -> None:
    place.write(
        "exp.py",
        """
        import sys
        from memento import Memento
        def experiment(context, config):
            print("from the task")
            sys.stdout.flush()
        print("from the program")  # stays in the buffer of a stream that is no terminal
        Memento(experiment, num_workers=2, progress=False).run({"parameters": {"x": list(range(4))}})
        """,
    )
    assert place.run("exp.py").out.splitlines() == ["from the program"]
    logs = "".join(path.read_text() for path in (place.folder / "memento-store" / "logs").rglob("*.log"))
    assert logs.splitlines() == ["from the task"] * 4


@pytest.mark.slow
def test_pools_of_threads_are_bounded_in_copies(place: Workplace) -> None:
    place.write(
        "exp.py",
        """
        import os
        import json
        import numpy, threadpoolctl
        from memento import Memento
        from memento.executors.processes import Processes

        def pools():
            return [pool["num_threads"] for pool in threadpoolctl.threadpool_info()]

        def experiment(context, config):
            numpy.ones((300, 300)) @ numpy.ones((300, 300))
            return pools(), len(os.listdir("/proc/self/task")), os.environ["OPENBLAS_NUM_THREADS"]

        before = pools()
        results = Memento(experiment, executor=Processes(2, copy=True), progress=False).run({"parameters": {"x": [1]}})
        print(json.dumps([before, results[0].inner, pools()]))
        """,
    )
    before, (pools, threads, variable), after = json.loads(place.run("exp.py").out)
    assert pools
    assert set(pools) == {1}
    assert (threads, variable) == (1, "1")
    assert after == before


@pytest.mark.slow
def test_copies_draw_numbers_of_their_own(place: Workplace) -> None:
    place.write(
        "exp.py",
        """
        import json, random, numpy
        random.seed(1)
        numpy.random.seed(1)
        from memento import Memento
        from memento.executors.processes import Processes

        def experiment(context, config):
            return random.random(), float(numpy.random.rand())

        executor = Processes(2, copy=True)
        results = Memento(experiment, executor=executor, progress=False).run({"parameters": {"x": list(range(40))}})
        print(json.dumps([result.inner for result in results]))
        """,
    )
    drawn = json.loads(place.run("exp.py").out)
    assert len({first for first, _ in drawn}) == len({second for _, second in drawn}) == 40


@pytest.mark.slow
def test_signals_in_a_copy_do_not_reach_the_handlers_of_the_program(place: Workplace) -> None:
    place.write(
        "exp.py",
        """
        import os, signal
        signal.signal(signal.SIGUSR1, lambda *_: open("handled", "w").close())
        from memento import Memento
        from memento.executors.processes import Processes

        def experiment(context, config):
            if config.x:
                os.kill(os.getpid(), signal.SIGUSR1)

        memento = Memento(experiment, executor=Processes(2, copy=True), progress=False)
        memento.run({"parameters": {"x": [0, 1]}})
        """,
    )
    assert "SIGUSR1" in place.run("exp.py", code=1).err
    assert not (place.folder / "handled").exists()


@pytest.mark.slow
@pytest.mark.parametrize("how", [("exp.py",), ("-m", "exp")], ids=["script", "module"])
def test_a_task_may_use_multiprocessing_though_the_script_has_no_guard(
    place: Workplace, how: tuple[str, ...]
) -> None:
    place.write(
        "exp.py",
        """
        import multiprocessing
        from memento import Memento
        from memento.executors.processes import Processes
        print("the script begins")

        def double(x):
            return 2 * x

        def experiment(context, config):
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                return pool.map(double, [config.x])

        executor = Processes(1, copy=True)
        print(Memento(experiment, executor=executor, progress=False).run({"parameters": {"x": [21]}})[0].inner)
        """,
    )
    assert place.run(*how).out.splitlines() == ["the script begins", "[42]"]


HELD = """
    import functools, json, sys, threading
    from memento import Memento
    from memento.executors.processes import Processes

    LOCK = threading.Lock()
    calls = []

    def named_by_nobody():
        return "found"

    class Held:
        def __init__(self):
            self.lock = threading.Lock()

        def __call__(self, context, config):
            with self.lock, LOCK:
                calls.append(config.x)
                return globals()["named_by_" + "nobody"](), sorted(set(calls)) == sorted(calls)

        def method(self, context, config):
            return self(context, config)

    held = Held()
    for number, experiment in enumerate(({experiments})):
        memento = Memento(experiment, name=f"held-{{number}}", executor=Processes(2{copy}), progress=False)
        results = memento.run({{"parameters": {{"x": [1, 2]}}}})
        print(json.dumps([result.inner for result in results]), calls)
    """


@pytest.mark.slow
def test_copies_call_the_very_function_that_the_program_has(place: Workplace) -> None:
    kinds = (
        "held, held.method, functools.partial(held),",
        "lambda context, config: held(context, config)",
    )
    place.write("exp.py", HELD.format(experiments=" ".join(kinds), copy=""))
    told = place.run("exp.py").out.splitlines()
    assert told == ['[["found", true], ["found", true]] []'] * 4


@pytest.mark.slow
def test_what_cannot_be_pickled_is_told_where_workers_are_no_copies(place: Workplace) -> None:
    place.write("exp.py", HELD.format(experiments="held,", copy=", copy=False"))
    assert "the experiment held-0" in (told := place.run("exp.py", code=1).err)
    assert "cannot be sent to workers: it cannot be pickled" in told


@pytest.mark.slow
def test_a_copy_has_one_class_for_the_function_and_all_values_and_results(place: Workplace) -> None:
    place.write(
        "exp.py",
        """
        import dataclasses, json, pickle
        from memento import Memento
        from memento.executors.processes import Processes

        @dataclasses.dataclass(frozen=True)
        class Point:
            x: int

            def moved(self):
                return Point(self.x + 1)

        ORIGIN = Point(-1)

        def experiment(context, config):
            assert type(config.point) is type(ORIGIN) is Point
            assert pickle.loads(pickle.dumps(ORIGIN)) == ORIGIN
            return config.point.moved()

        # More values than are looked at before the copy is made.
        points = [Point(x) for x in range(200)]
        memento = Memento(experiment, executor=Processes(2, copy=True), progress=False)
        results = memento.run({"parameters": {"point": points}})
        print(all(type(result.inner) is Point for result in results), sum(result.inner.x for result in results))
        """,
    )
    assert place.run("exp.py").out.split() == ["True", str(sum(range(1, 201)))]
    place.write("later.py", "import memento; print({str(result.inner) for result in memento.load()})")
    assert "Point(x=200)" in place.run("later.py").out


@pytest.mark.slow
def test_copies_keep_the_whole_contract_of_executors(place: Workplace, tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    place.write(
        "test_copy.py",
        """
        import gc
        import pytest
        from memento.executors.processes import Processes
        from memento.testing.executor_contract import ExecutorContract

        class TestCopies(ExecutorContract):
            @pytest.fixture
            def executor(self):
                return Processes(copy=True)

            @pytest.fixture(autouse=True)
            def closed(self):
                yield
                gc.collect()  # results keep their store open, and a program with open files is not copied

            # The limit is about what a task takes, so that a copy of what holds much already is refused.
            test_a_task_over_its_memory_is_ended_and_tells_its_peak = None
            test_a_task_with_a_memory_limit_of_its_own_may_use_that_much = None
            # It looks on from a thread, beside which there are no copies.
            test_after_ctrl_c_the_next_run_goes_on_from_the_checkpoints = None
        """,
    )
    # Capturing, and whatever watches over time, would hold files open or run threads.
    off = [
        part
        for name in ("faulthandler", "cacheprovider", "xdist", "timeout")
        for part in ("-p", f"no:{name}")
    ]
    program = place.run("-m", "pytest", "-c", "pytest.ini", "-q", "-s", *off, "test_copy.py")
    assert " passed" in program.out


@pytest.mark.slow
def test_a_copy_takes_locks_of_its_own_on_the_index_that_the_program_has_open(place: Workplace) -> None:
    """Otherwise a task that uses Memento in the store of its run writes to the index beside the run."""
    place.write(
        "other.py",
        """
        import sqlite3, sys
        try:
            sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None).execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            print(error)
        """,
    )
    place.write(
        "exp.py",
        """
        import subprocess, sys
        from pathlib import Path
        from memento import Memento
        from memento.index.sqlite.database import Database

        INDEX = Path(__file__).parent / "memento-store" / "index.sqlite"

        def experiment(context, config):
            database = Database(INDEX)
            database.connection().execute("BEGIN IMMEDIATE")
            found = subprocess.run([sys.executable, "other.py", INDEX], capture_output=True, text=True)
            database.connection().execute("ROLLBACK")
            database.close()
            return found.stdout.strip() + found.stderr

        print(Memento(experiment, num_workers=2).run({"parameters": {"x": [1]}})[0].inner)
        """,
    )
    assert "database is locked" in place.run("exp.py").out


@pytest.mark.slow
def test_a_copy_has_one_class_where_no_name_leads_to_it(place: Workplace) -> None:
    place.write(
        "exp.py",
        """
        import enum
        from memento import Memento
        from memento.executors.processes import Processes

        def main():
            calls = []

            class Colour(enum.Enum):
                RED = 1

            class Point:
                def __init__(self, x):
                    self.x = x

                def note(self):
                    calls.append(self.x)

            def experiment(context, config):
                config.point[0].note()
                return type(config.point[0]) is Point, config.point[1] is Colour.RED, calls.pop() == config.point[0].x

            points = [(Point(x), Colour.RED) for x in range(200)]
            memento = Memento(experiment, executor=Processes(2, copy=True), progress=False)
            return memento.run({"parameters": {"point": points}})

        print({result.inner for result in main()})
        """,
    )
    assert place.run("exp.py").out.strip() == "{(True, True, True)}"


THREADED = """
    import threading
    from memento import Memento
    from memento.executors.processes import Processes

    {held}

    class Starter:
        def __reduce__(self):
            return start, ()

    def start():
        threading.Thread(target=threading.Event().wait, daemon=True).start()

    def experiment(context, config):
        return held is not None

    settings = {{"starter": Starter()}}
    memento = Memento(experiment, executor=Processes(1, copy=True), progress=False)
    print(memento.run({{"parameters": {{"x": [1]}}, "settings": settings, "volatile": ["starter"]}})[0].inner)
    """


@pytest.mark.slow
def test_a_copy_that_can_be_copied_no_more_starts_fresh_workers(place: Workplace) -> None:
    place.write("exp.py", THREADED.format(held="held = 1"))
    assert place.run("exp.py").out.strip() == "True"


@pytest.mark.slow
def test_a_copy_that_can_be_copied_no_more_says_what_fresh_workers_cannot_get(place: Workplace) -> None:
    place.write("exp.py", THREADED.format(held="held = threading.Lock()"))
    told = place.run("exp.py", code=1).err
    assert "WorkerStartError" in told
    assert "the experiment exp.py:experiment (global 'held') cannot be sent to workers" in told


@pytest.mark.slow
def test_copies_have_nothing_of_their_own_to_say(place: Workplace) -> None:
    place.write(
        "exp.py",
        """
        from memento import Memento
        memento = Memento(lambda context, config: config.x, num_workers=2, progress=False, log_output=False)
        memento.run({"parameters": {"x": [1, 2, 3]}})
        """,
    )
    assert place.run("exp.py").err == ""
