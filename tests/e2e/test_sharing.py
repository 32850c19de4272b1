"""Runs share one store, tasks share values, and workers share the machine."""

from __future__ import annotations

import signal

import pytest

from tests.e2e.workplace import COUNTING, Workplace

TOGETHER = (
    COUNTING
    + """
def experiment(context, config):
    note(config.x, "begun")
    time.sleep(0.01)
    if config.x == 30:
        wait_for("go")
    note(config.x)
    return config.x ** 2

results = Memento(experiment, num_workers=2).run({"parameters": {"x": list(range(120))}})
print("right", [r.inner for r in results] == [x ** 2 for x in range(120)])
"""
)


@pytest.mark.slow
def test_three_runs_of_one_script_compute_every_task_once(place: Workplace) -> None:
    place.write("exp.py", TOGETHER)
    programs = [place.start("exp.py") for _ in range(3)]
    place.until(lambda: len(place.lines("computed")) >= 110)
    place.write("go", "")
    for program in programs:
        assert "right True" in program.wait().out
    assert place.counts("computed") == {str(x): 1 for x in range(120)}


@pytest.mark.slow
def test_when_one_of_two_runs_is_killed_the_other_completes_the_grid(place: Workplace) -> None:
    place.write("exp.py", TOGETHER)
    programs = [place.start("exp.py") for _ in range(2)]
    place.until(lambda: "30" in place.lines("begun") and len(place.lines("computed")) > 40)
    programs[0].send(signal.SIGKILL)
    programs[0].wait(-signal.SIGKILL)
    place.write("go", "")
    assert "right True" in programs[1].wait().out
    counts = place.counts("computed")
    assert set(counts) == {str(x) for x in range(120)}
    # What the killed run had computed but not committed yet is computed again: at most what its workers had in hand
    # and a commit's worth.
    assert sum(counts.values()) - len(counts) <= 40
    assert "right True" in place.run("exp.py").out
    assert place.counts("computed") == counts


@pytest.mark.slow
def test_a_failure_in_one_run_is_a_failure_in_the_run_that_waited_for_it(place: Workplace) -> None:
    place.write(
        "exp.py",
        COUNTING
        + """
def experiment(context, config):
    note(f"{config.x} {os.environ['WHO']}")
    wait_for("go")
    raise ValueError("no good")
try:
    Memento(experiment, num_workers=1).run({"parameters": {"x": [1]}})
except AggregateException as error:
    print("failed", repr(error.exceptions[0]))
""",
    )
    first = place.start("exp.py", WHO="first")
    place.until(lambda: place.lines("computed"))
    second = place.start("exp.py", WHO="second")
    place.until(lambda: "1 to run" in second.err)
    place.write("go", "")
    assert "failed ValueError('no good')" in first.wait().out
    assert "failed ValueError('no good')" in second.wait().out
    assert place.lines("computed") == ["1 first"]


THREADS = (
    COUNTING
    + """
import numpy, threadpoolctl

def experiment(context, config):
    import sklearn.ensemble  # brings an OpenMP runtime
    pools = threadpoolctl.threadpool_info()
    return sorted({pool["num_threads"] for pool in pools}), len(pools) > 0, context.resources.cpus

for cpus in (1, 2):
    runs = Memento(experiment, num_workers=1, cpus_per_task=cpus, name=f"with {cpus}")
    print(cpus, [r.inner for r in runs.run({"parameters": {"x": [1]}})])
"""
)


@pytest.mark.slow
def test_libraries_use_as_many_threads_as_a_task_has_cores(place: Workplace) -> None:
    pytest.importorskip("threadpoolctl")
    pytest.importorskip("sklearn")
    place.write("exp.py", THREADS)
    out = place.run("exp.py", OMP_NUM_THREADS="16").out
    assert "1 [([1], True, 1)]" in out
    assert "2 [([2], True, 2)]" in out


BIG = (
    COUNTING
    + """
import numpy

class Counted:
    # Says where and how often it is pickled and unpickled.
    def __init__(self, array):
        self.array = array
    def __reduce__(self):
        note(os.getpid(), "pickled")
        return Counted, (self.array,)
    def __memento_key__(self):
        return "counted"

ARRAY = numpy.arange(6_250_000, dtype=float)  # 50 MB

def experiment(context, config):
    note(os.getpid(), "workers")
    before = float(config.data.array[0])
    config.data.array[0] = 99.0  # in place
    return before, float(config.data.array[-1])

def written():
    return int((Path("/proc/self/io").read_text().split("wchar: ")[1]).split()[0])

start = written()
results = Memento(experiment, num_workers=2).run({"parameters": {"data": [Counted(ARRAY)], "x": list(range(100))}})
print("MB written", (written() - start) // 1_000_000)
print("results", set(r.inner for r in results), ARRAY[0])
"""
)


@pytest.mark.slow
@pytest.mark.skipif("not __import__('pathlib').Path('/proc/self/io').exists()")
def test_a_big_value_travels_once_to_each_worker_and_is_new_for_each_task(place: Workplace) -> None:
    place.write("exp.py", BIG)
    out = place.run("exp.py").out
    assert "results {(0.0, 6249999.0)} 0.0" in out
    workers = set(place.lines("workers"))
    megabytes = int(out.split("MB written")[1].split()[0])
    assert megabytes <= 50 * len(workers) + 20, out
    assert not workers & set(place.lines("pickled"))


INSIDE = (
    COUNTING
    + """
import asyncio, concurrent.futures, functools, multiprocessing, subprocess, threading

def double(x):
    return 2 * x

def with_pool(context, x):
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return sum(pool.map(double, range(x)))

def with_spawn(context, x):
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(abs, -x).result()

def with_forkserver(context, x):
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("forkserver")) as pool:
        return pool.submit(abs, -x).result()

def with_executor(context, x):
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
        return sum(pool.map(double, range(x)))

def with_threads(context, x):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        return sum(pool.map(double, range(x)))

def with_asyncio(context, x):
    async def main():
        return sum(await asyncio.gather(*[asyncio.sleep(0, double(i)) for i in range(x)]))
    return asyncio.run(main())

def with_subprocess(context, x):
    return int(subprocess.run([sys.executable, "-c", f"print({x})"], capture_output=True, check=True).stdout)

def with_joblib(context, x):
    import joblib
    return sum(joblib.Parallel(n_jobs=2)(joblib.delayed(double)(i) for i in range(x)))

def with_sklearn(context, x):
    from sklearn.model_selection import cross_val_score
    from sklearn.linear_model import LogisticRegression
    from sklearn.datasets import load_iris
    return len(cross_val_score(LogisticRegression(), *load_iris(return_X_y=True), n_jobs=2, cv=x))

def with_manager(context, x):
    with multiprocessing.get_context("fork").Manager() as manager:
        shared = manager.dict()
        shared["x"] = x
        return shared["x"]

def inner(context, config):
    return config.y + 1

def with_memento(context, x):
    results = Memento(inner, executor="serial", progress=False, store=context.directory / "inner").run(
        {"parameters": {"y": [x, x + 1]}})
    return sum(r.inner for r in results)

def with_memento_processes(context, x):
    results = Memento(inner, num_workers=2, progress=False, store=context.directory / "inner").run(
        {"parameters": {"y": [x, x + 1]}})
    return sum(r.inner for r in results)

def with_memento_in_the_same_store(context, x):
    results = Memento(inner, num_workers=1, progress=False, name="inner", store=HERE / "memento-store").run(
        {"parameters": {"y": [x, x + 1]}})
    return sum(r.inner for r in results)

def experiment(context, config):
    return config.how(context, 5)

hows = [globals()[name] for name in sys.argv[1:]]
results = Memento(experiment, num_workers=2, timeout=60).run({"parameters": {"how": hows}})
for result in results:
    print(result.config.how.__name__, result.inner)
"""
)
USES = {
    "with_pool": 20,
    "with_spawn": 5,
    "with_forkserver": 5,
    "with_executor": 20,
    "with_threads": 20,
    "with_asyncio": 20,
    "with_subprocess": 5,
    "with_joblib": 20,
    "with_sklearn": 5,
    "with_manager": 5,
    "with_memento": 13,
    "with_memento_processes": 13,
    "with_memento_in_the_same_store": 13,
}


@pytest.mark.slow
@pytest.mark.parametrize("how", ["spawn", "forkserver"])
def test_processes_that_a_task_spawns_know_the_script_but_do_not_run_it(how: str, place: Workplace) -> None:
    place.write(
        "exp.py",
        """
        import concurrent.futures, functools, multiprocessing, os, sys
        from dataclasses import dataclass
        from memento import Memento
        print("top level")

        @dataclass
        class Point:
            x: int
            def moved(self, by):
                return Point(self.x + by)

        def move(point, by):
            return helper(point).moved(by)

        def helper(point):
            assert type(point) is Point
            return point

        def experiment(context, config):
            away = multiprocessing.get_context(config.settings["how"])
            with concurrent.futures.ProcessPoolExecutor(1, mp_context=away) as pool:
                first = pool.submit(move, Point(1), 2).result()
            with away.Pool(1) as pool:
                others = pool.map(functools.partial(move, by=3), [Point(1), Point(2)])
            assert all(type(point) is Point for point in [first, *others])
            return os.path.basename(__file__), [point.x for point in [first, *others]]

        matrix = {"parameters": {"x": [1]}, "settings": {"how": sys.argv[1]}}
        print(Memento(experiment, num_workers=1, timeout=60).run(matrix)[0].inner)
        """,
    )
    out = place.run("exp.py", how).out
    assert "('exp.py', [3, 4, 5])" in out
    assert out.count("top level") == 1


@pytest.mark.slow
def test_a_task_may_use_processes_threads_loops_and_memento_itself(place: Workplace) -> None:
    pytest.importorskip("sklearn")
    place.write("exp.py", INSIDE)
    out = place.run("exp.py", *USES).out
    for name, value in USES.items():
        assert f"{name} {value}" in out
