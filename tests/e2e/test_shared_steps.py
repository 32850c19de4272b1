"""Shared steps are computed once, whoever runs the tasks; their ends are told like a task's."""

from __future__ import annotations

import pytest

from tests.e2e.workplace import COUNTING, Workplace

ENGINES = {
    "processes": "'processes'",
    "threads": "'threads'",
    "serial": "'serial'",
    "a pool": "concurrent.futures.ProcessPoolExecutor(3)",
}
HEAD = (
    COUNTING
    + """
import concurrent.futures, dataclasses, signal, threading
import numpy

def load(path, n=3):
    note(f"load {path}")
    time.sleep(0.05)
    return numpy.arange(n * 10_000.0)

@dataclasses.dataclass
class Features:
    X: numpy.ndarray
    seed: int

def featurize(context: Context, path, scale=1.0):
    note(f"featurize {path}")
    data = context.cached(load, path)
    context.record({"rows": len(data)})
    data *= scale
    return Features(data, context.seed)

def fail(path):
    note(f"fail {path}")
    raise OSError(f"the server of {path} is away")

def run(experiment, engine, parameters, **options):
    runs = Memento(experiment, executor=engine, num_workers=3, on_error="return", progress=False, **options)
    return runs.run({"parameters": parameters})
"""
)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_steps_are_shared_whoever_runs_the_tasks(place: Workplace, engine: str) -> None:
    place.write(
        "exp.py",
        HEAD
        + f"""
def experiment(context, config):
    if config.kind == "bad":
        return context.cached(fail, "c")
    features = context.cached(featurize, config.kind, scale=2.0)
    again = context.cached(featurize, scale=2.0, path=config.kind)
    features.X[:] = -1  # nobody else sees it
    rows = context.cached(load, n=3, path=config.kind)
    return type(features).__name__, again.seed, float(again.X.sum()), float(rows.sum())

if __name__ == "__main__":
    results = run(experiment, {ENGINES[engine]}, {{"kind": ["a", "b", "bad"], "i": list(range(4))}})
    total = sum(range(30_000))
    done = [r.inner for r in results if r.status == "done"]
    print("right", all(found[::2] == ("Features", 2.0 * total) and found[3] == total for found in done))
    print("seeds", [len({{r.inner[1] for r in results.filter(kind=kind)}}) for kind in ("a", "b")])
    print(results.failures)
    from memento.store.store import Store
    with Store.open("memento-store") as store:
        print("used", sorted(store.index.names((), ()).steps.values()))
""",
    )
    out = place.run("exp.py").out
    assert "right True" in out
    assert "seeds [1, 1]" in out
    assert "4 of 12 tasks failed, from one cause" in out
    assert "OSError: the server of c is away (in step fail(path='c')) (exp.py:" in out
    assert "used [4, 4, 4, 4]" in out
    assert place.counts("computed") == {
        "load a": 1,
        "load b": 1,
        "featurize a": 1,
        "featurize b": 1,
        "fail c": 1,
    }


@pytest.mark.slow
def test_a_step_that_kills_its_workers_is_left_after_a_few(place: Workplace) -> None:
    place.write(
        "exp.py",
        HEAD
        + """
def deadly(path):
    note(path)
    os.kill(os.getpid(), signal.SIGKILL)

def experiment(context, config):
    return context.cached(deadly, "p")

results = run(experiment, "processes", {"i": list(range(12))})
print(results.failures)
""",
    )
    out = place.run("exp.py").out
    assert place.counts("computed") == {"p": 3}
    assert "9 tasks: StepFailed: 3 tasks ended" in out


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_a_retry_tries_a_failed_step_again_once_for_all(place: Workplace, engine: str) -> None:
    place.write(
        "exp.py",
        HEAD
        + f"""
def flaky(path):
    note(path)
    if len((HERE / "computed").read_text().splitlines()) == 1:
        raise OSError("away")
    return 7

def experiment(context, config):
    return context.cached(flaky, "p")

if __name__ == "__main__":
    results = run(experiment, {ENGINES[engine]}, {{"i": list(range(6))}}, retries=1)
    print([r.inner for r in results])
""",
    )
    assert "[7, 7, 7, 7, 7, 7]" in place.run("exp.py").out
    assert place.counts("computed") == {"p": 2}


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_waiting_for_a_step_does_not_count_towards_a_tasks_timeout(place: Workplace, engine: str) -> None:
    place.write(
        "exp.py",
        HEAD
        + f"""
from memento.context.task_space import TaskSpace

def held(path):
    note("computing")
    wait_for("released")
    return path

def elsewhere():
    context = Context.for_task(TaskSpace(os.path.abspath("memento-store"), "another", b"k" * 16))
    context.cached(held, "p")

def release():
    wait_for("asked")
    time.sleep(8.0)  # until long after the timeout
    (HERE / "released").touch()

def experiment(context, config):
    note("asks", "asked")
    return context.cached(held, "p")

if __name__ == "__main__":
    thread = threading.Thread(target=elsewhere)
    thread.start()
    wait_for("computed")
    threading.Thread(target=release).start()
    results = run(experiment, {ENGINES[engine]}, {{"i": [1]}}, timeout=5.0, store="memento-store")
    print([r.inner if r.status == "done" else r.error for r in results])
    thread.join()
""",
    )
    assert "['p']" in place.run("exp.py").out
    assert place.counts("computed") == {"computing": 1}


@pytest.mark.slow
def test_a_default_that_is_edited_makes_another_step_once(place: Workplace) -> None:
    results = []
    for default in (1, 2, 2, 1):
        place.write(
            "exp.py",
            HEAD
            + f"""
def step(n={default}):
    note(n)
    return n

def experiment(context, config):
    return context.cached(step), context.cached(step, {default}), context.cached(step, n=5)

print(run(experiment, "processes", {{"i": [1]}}, on_code_change="rerun")[0].inner)
""",
        )
        results.append(place.run("exp.py").out.strip())
    assert results == ["(1, 1, 5)", "(2, 2, 5)", "(2, 2, 5)", "(1, 1, 5)"]
    assert place.counts("computed") == {"1": 1, "2": 1, "5": 2}
