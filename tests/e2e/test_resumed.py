"""A task that several attempts did has the time and the output of all of them, however each of them ended."""

from __future__ import annotations

import os
import re
import signal
from datetime import timedelta
from typing import Any

import pytest

import memento
from tests.e2e.workplace import COUNTING, Program, Workplace

SCRIPT = (
    COUNTING
    + """
from memento import Retry

def by_loop(context, config):
    state = {"steps": 0}
    for step in context.loop(range(40), state, every="1 steps"):
        print("step", step)
        state["steps"] += 1
        pause(step)
    return state["steps"]

def by_hand(context, config):
    done = context.restore() if context.checkpoint_exist() else 0
    for step in range(done, 40):
        print("step", step)
        context.checkpoint(step + 1)
        pause(step)
    return 40

def pause(step):
    # The first attempt stays at 10, the second at 20 and the third at 30, until somebody ends it.
    if step in (10, 20, 30) and not (HERE / f"go{step}").exists():
        note(step, "at")
        if (HERE / "raise").exists():
            note("", f"go{step}")
            if (HERE / "exit").exists():
                os._exit(3)
            raise ValueError("broken on the way")
        wait_for(f"go{step}")

retries = Retry(3, delay=0) if (HERE / "raise").exists() else 0
runs = Memento(globals()[sys.argv[1]], num_workers=1, executor=sys.argv[2], retries=retries)
results = runs.run({"parameters": {"x": [1]}})
print("value", results[0].inner)
"""
)
WAYS = ["by_loop", "by_hand"]


def about(seconds: float) -> Any:
    return pytest.approx(seconds, abs=1e-5)  # results tell microseconds


def seconds(time: timedelta | None) -> float:
    assert time is not None
    return time.total_seconds()


def interrupt(place: Workplace, program: Program, step: int, how: signal.Signals) -> None:
    place.until(lambda: str(step) in place.lines("at"), what=f"step {step}")
    program.send(how)
    if how != signal.SIGKILL:
        place.until(lambda: "Ctrl-C again" in program.err, what="word that it stops")
        place.write(f"go{step}", "")
    program.wait(None)
    place.nobody_left()  # or a worker, which ends a moment later, would go on to the next stop
    place.write(f"go{step}", "")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("way", "how"),
    [
        ("by_loop", signal.SIGINT),
        ("by_loop", signal.SIGTERM),
        ("by_loop", signal.SIGKILL),
        ("by_hand", signal.SIGKILL),
    ],
)
def test_an_interrupted_task_has_the_time_and_output_of_all_its_pieces(
    place: Workplace, way: str, how: signal.Signals
) -> None:
    place.write("exp.py", SCRIPT)
    for step in (10, 20):
        interrupt(place, place.start("exp.py", way, "processes"), step, how)
    place.write("go30", "")
    assert "value 40" in place.run("exp.py", way, "processes").out
    (result,) = memento.load(place.folder / "memento-store")
    assert [attempt.status for attempt in result.attempts] == ["interrupted", "interrupted", "done"]
    assert len({attempt.run for attempt in result.attempts}) == 3
    assert seconds(result.runtime) == about(sum(a.runtime for a in result.attempts))
    assert seconds(result.cpu_time) == about(sum(a.cpu_time or 0.0 for a in result.attempts))
    assert all(attempt.runtime > 0 for attempt in result.attempts)
    steps = re.findall(r"step (\d+)", result.log)
    assert steps == [str(n) for n in range(40)]
    listed = place.run(
        "-m", "memento", "show", result.key, "--store", str(place.folder / "memento-store")
    ).out
    assert listed.count("interrupted in run") == 2
    shown = place.run("-m", "memento", "logs", result.key, "--store", str(place.folder / "memento-store")).out
    assert shown == result.log


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("executor", "how"),
    [("processes", "raise"), ("processes", "exit"), ("threads", "raise"), ("serial", "raise")],
)
def test_an_attempt_that_failed_on_the_way_counts_up_to_its_checkpoint(
    place: Workplace, way: str, executor: str, how: str
) -> None:
    place.write("exp.py", SCRIPT)
    place.write("raise", "")
    place.write(how, "")
    assert "value 40" in place.run("exp.py", way, executor).out
    (result,) = memento.load(place.folder / "memento-store")
    *failed, last = result.attempts
    assert [attempt.status for attempt in failed] == ["failed"] * 3
    kept = [attempt.kept for attempt in failed if attempt.kept is not None]
    assert len(kept) == 3
    assert seconds(result.runtime) == about(sum(kept) + last.runtime)
    assert all(seconds <= attempt.runtime for seconds, attempt in zip(kept, failed, strict=True))


@pytest.mark.slow
def test_an_attempt_that_began_anew_counts_alone(place: Workplace) -> None:
    place.write("exp.py", SCRIPT.replace("context.restore() if context.checkpoint_exist() else 0", "0"))
    place.write("raise", "")
    place.run("exp.py", "by_hand", "processes")
    (result,) = memento.load(place.folder / "memento-store")
    assert seconds(result.runtime) == about(result.attempts[-1].runtime)
    assert [attempt.kept for attempt in result.attempts] == [None] * 4
    assert os.path.exists(place.folder / "go30")
