"""A run ends at its deadline with what fits, keeps the rest for the next run, and says so without an exception."""

from __future__ import annotations

import json
import re
import time

import pytest

from tests.e2e.workplace import Workplace

SLEEPING = """
import sys, time
from memento import Memento

def experiment(context, config):
    time.sleep(config.t)
    return config.t

def run(seconds, **options):
    began = time.monotonic()
    runs = Memento(experiment, num_workers=2, store="store", on_error="return")
    results = runs.run({"parameters": {"t": seconds}}, **options)
    took = time.monotonic() - began
    print(round(took, 2), [result.status for result in results])
    return results, took
"""

# Tasks say how long they take: what is expected of others then does not depend on the machine.
COUNTED = """
import sys, time
from memento import Memento
from memento.executors.serial import Serial

class Counted:
    now = staticmethod(time.time)
    monotonic = staticmethod(lambda: sys.seconds)

sys.seconds = 0.0
"""

# Tasks get four seconds to save what they have, not as many as the run is short: this is about what they save.
LOOPING = """
import sys, time
from memento import Memento
from memento.runner import deadline

deadline._LISTENING_GRACE = 4.0

def experiment(context, config):
    state = {"seen": []}
    for step in context.loop(range(config.steps), state, every="10min"):
        state["seen"].append(step)
        with open(f"steps-{config.steps}", "a") as file:
            print(step, file=file)
        time.sleep(0.05)
    return state["seen"] == list(range(config.steps))

results = Memento(experiment, num_workers=2, store="store").run(
    {"parameters": {"steps": [1, 240]}}, **eval(sys.argv[1]))
print([(result.status, result.value) for result in results])
"""


def test_a_deadline_that_is_past_runs_nothing_and_says_so(place: Workplace) -> None:
    place.write("exp.py", SLEEPING + "run([0.0, 0.1], until='2001-01-01T00:00Z')\n")
    done = place.run("exp.py")
    assert "['missing', 'missing']" in done.out
    assert re.search(
        r"Stopped at its deadline, 20.*, which is past: 2 tasks left\. .* Run it again", done.err
    )
    assert "Traceback" not in done.err


@pytest.mark.slow
def test_where_all_is_there_a_deadline_is_no_matter(place: Workplace) -> None:
    place.write("exp.py", SLEEPING + "run([0.0, 0.1])\nrun([0.0, 0.1], until='2001-01-01T00:00Z')\n")
    done = place.run("exp.py")
    assert done.out.count("['done', 'done']") == 2
    assert "deadline" not in done.err


@pytest.mark.slow
def test_a_dry_run_says_what_would_fit(place: Workplace) -> None:
    place.write(
        "exp.py",
        COUNTED
        + """
def experiment(context, config):
    sys.seconds += config.t

known = {"parameters": {"t": [0.01, 0.02, 0.03, 0.04, 0.06]}}
Memento(experiment, executor=Serial(clock=Counted()), store="store").run(known)
runs = Memento(experiment, num_workers=1, store="store")
new = {"parameters": {"t": [0.05, 0.07, 5_000.0]}}
print(runs.plan(new, budget="2min").fits, runs.plan(new).fits)
runs.run(new, dry_run=True, budget="2min")
print(runs.plan(new, until="2001-01-01T00:00Z"))
""",
    )
    done = place.run("exp.py")
    assert "2 None" in done.out
    assert re.search(r"deadline: .*, in 2 min; about 2 of 3 tasks fit", done.err)
    assert "is past, so nothing would be run" in done.out


@pytest.mark.slow
def test_failures_are_raised_as_without_a_deadline(place: Workplace) -> None:
    place.write(
        "exp.py",
        """
        from memento import AggregateException, Memento

        def experiment(context, config):
            raise ValueError(config.x)

        try:
            Memento(experiment, num_workers=1, store="store").run({"parameters": {"x": [1]}}, budget="1h")
        except AggregateException as error:
            print("raised", len(error.exceptions))
        """,
    )
    assert "raised 1" in place.run("exp.py").out


@pytest.mark.slow
def test_on_the_command_line_a_deadline_has_an_exit_code_of_its_own(place: Workplace) -> None:
    place.write("exp.py", "def experiment(context, config):\n    return config.x\n")
    place.write("grid.yaml", "parameters: {x: [1, 2]}\n")
    line = ("-m", "memento", "run", "exp.py:experiment", "grid.yaml", "--store", "store", "--json")
    late = place.start(*line, "--until", "2001-01-01 07:00").wait(124)
    assert [one["status"] for one in json.loads(late.out)["results"]] == ["missing", "missing"]
    later = time.strftime("%H:%M", time.localtime(time.time() + 43_200))
    place.start(*line, "--until", later, "--budget", "8h").wait(0)
    place.start(*line, "--until", "2001-01-01 07:00").wait(0)  # nothing is left
    wrong = place.start(*line, "--until", "8h").wait(2)
    assert "budget='8h'" in wrong.err


def test_several_matrices_share_a_deadline(place: Workplace) -> None:
    place.write(
        "exp.py",
        """
        from memento import Memento

        runs = Memento(lambda context, config: 1, name="one", num_workers=1, store="store")
        runs.add_matrix({"id": "a", "parameters": {"x": [1, 2]}})
        runs.add_matrix({"id": "b", "parameters": {"y": [1]}, "dependencies": ["a"]})
        results = runs.run_all(until="2001-01-01T00:00Z")
        print({name: found and [one.status for one in found] for name, found in results.items()})
        results = runs.run_all(budget="1h")
        print({name: found and {one.status for one in found} for name, found in results.items()})
        """,
    )
    out = place.run("exp.py").out
    assert "{'a': ['missing', 'missing'], 'b': None}" in out
    assert "{'a': {'done'}, 'b': {'done'}}" in out


def test_where_nobody_can_stop_a_task_one_that_does_not_fit_is_not_begun(place: Workplace) -> None:
    place.write(
        "exp.py",
        COUNTED
        + """
def experiment(context, config):
    for step in context.loop(range(config.steps), {}):
        sys.seconds += 0.01
    return config.steps

runs = Memento(experiment, executor=Serial(clock=Counted()), store="store")
runs.run({"parameters": {"steps": [1, 2, 4, 8]}})
results = runs.run({"parameters": {"steps": [3, 1_000_000]}}, budget="5min")
print([result.status for result in results])
""",
    )
    assert "['done', 'missing']" in place.run("exp.py").out


@pytest.mark.slow
def test_what_fits_is_run_and_the_rest_is_left(place: Workplace) -> None:
    """How well the time is used is tested with a simulated clock: see tests/runner/test_tasks_that_fit.py."""
    place.write(
        "exp.py",
        SLEEPING
        + """
run([4.1, 2.9, 1.6, 0.8, 0.25, 0.12, 0.06])
seconds = [4.0, 3.0, 2.0, 1.5, 1.0, 0.7, 0.5, 0.4, 0.3, 0.2, 0.15, 0.1, 0.08, 0.07, 0.05, 0.04]
results, took = run([one + i / 1000 for one in seconds for i in range(2)], budget=10)
print("counts", *[sum(one.status == status for one in results) for status in ("done", "missing")])
""",
    )
    done = place.run("exp.py")
    told = re.search(r"counts (\d+) (\d+)", done.out)
    assert told is not None
    assert int(told[1]) > 0
    assert int(told[2]) > 0  # 14 seconds on two workers, were it not for the deadline
    assert int(told[1]) + int(told[2]) == 32
    assert re.search(r"Stopped at its deadline, .*left", done.err)


@pytest.mark.slow
def test_at_the_deadline_tasks_save_what_they_have_and_go_on_from_there(place: Workplace) -> None:
    place.write("exp.py", LOOPING)
    first = place.run("exp.py", "{'budget': 14}")
    assert first.out.strip().endswith("[('done', True), ('missing', None)]")
    assert "Its deadline is near" in first.err
    assert re.search(r"Stopped at its deadline, \d\d:\d\d(:\d\d)?: 1 task left", first.err)
    again = place.run("exp.py", "{'budget': '10min'}")
    assert "[('done', True), ('done', True)]" in again.out
    assert place.counts("steps-240") == {str(step): 1 for step in range(240)}


@pytest.mark.slow
def test_status_tells_the_deadline_of_a_run(place: Workplace) -> None:
    place.write("exp.py", LOOPING)
    run = place.start("exp.py", "{'budget': '10min'}")

    def told() -> str:
        return place.run("-m", "memento", "status", "--store", "store").out

    def found() -> object:
        there = (place.folder / "store" / "index.sqlite").exists()
        return there and re.search(
            r"deadline 20\d\d-.*, in \d+ min .*: only tasks are started that fit", told()
        )

    place.until(found)
    run.wait()
