"""A run in one terminal, and in another one whoever looks at it and steers it, as people do."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cli.calling import Ran, memento
from tests.e2e.pseudo_terminal import Terminal
from tests.e2e.workplace import COUNTING, PATIENCE, Workplace

# A task ends when its file is there, or that of all; so nothing here depends on how quick anything is.
SCRIPT = (
    COUNTING
    + """
def fit(context, config):
    note(config.x, "begun")
    context.record({"loss": 0.25})
    try:
        for _ in context.loop(range(10**9), {"seen": 0}):  # which saves its state when the task is to stop
            if (HERE / "go").exists() or (HERE / f"go-{config.x}").exists():
                break
            time.sleep(0.01)
    except BaseException:
        note(config.x, "stopped")
        raise
    note(config.x)
    return {"accuracy": config.x / 10}

if __name__ == "__main__":
    matrix = {"parameters": {"model": ["SVC"], "x": list(range(8))}}
    Memento(fit, executor=sys.argv[1], num_workers=2, order="matrix").run(matrix)
"""
)


STEERING = {"pause", "resume", "stop", "cancel", "first", "resize"}


class Two:
    """A run in a terminal, and a second one over the same store."""

    def __init__(self, place: Workplace, executor: str) -> None:
        self.place, self.executor = place, executor
        place.write("exp.py", SCRIPT)

    def run(self, columns: int = 100) -> Terminal:
        folder = self.place.folder
        return Terminal(
            sys.executable, "exp.py", self.executor, cwd=folder, env=self.place.environment, columns=columns
        )

    def __call__(self, *arguments: str, code: int = 0) -> Ran:
        if arguments[0] in STEERING and "--wait" not in arguments:
            arguments = (*arguments, "--wait", str(int(PATIENCE)))
        told = memento(*arguments, "--store", self.place.folder / "memento-store")
        assert told.code == code, told
        return told

    def told(self) -> dict[str, Any]:
        """What status tells of the latest run."""
        run: dict[str, Any] = self("status", "--json").json["runs"][0]
        return run

    def begun(self, count: int) -> list[str]:
        """Wait until so many tasks have begun; return which."""
        found: list[str] = self.place.until(
            lambda: len(lines := self.place.lines("begun")) >= count and lines, what=f"{count} tasks to begin"
        )
        assert len(found) == count, found
        return found

    def let_go(self, *xs: str) -> None:
        for x in xs:
            self.place.write(f"go-{x}", "")
        self.place.until(lambda: {*xs} <= {*self.place.lines("computed")}, what="tasks to end")

    def each_once(self) -> None:
        assert self.place.counts("computed") == {str(x): 1 for x in range(8)}


@pytest.fixture(params=["processes", "threads"])
def two(request: pytest.FixtureRequest, place: Workplace) -> Iterator[Two]:
    yield Two(place, request.param)
    place.nobody_left()


@pytest.mark.slow
@pytest.mark.parametrize("columns", [80, 160])
def test_a_run_is_paused_resumed_cancelled_resized_interrupted_and_goes_on(two: Two, columns: int) -> None:
    with two.run(columns) as screen:
        assert sorted(two.begun(2)) == ["0", "1"]
        screen.expect("2 running")

        assert "paused: nothing more is started, and 2 running tasks may finish" in two("pause").out
        screen.expect("Command pause by ")
        screen.expect("paused by ")
        told = two("status").out
        assert re.search(
            r"paused by \S+: no more tasks are started; `memento resume --store \S+` has it go on", told
        )
        assert re.search(r"^    [0-9a-f]{12}  model=SVC, x=0  .*loss=0\.25", told, re.MULTILINE)
        two.let_go("0", "1")
        two.place.until(lambda: two.told()["counts"]["done"] == 2, what="two tasks to be done")
        assert "it is paused already" in two("pause", code=1).err
        assert "1 task put before all others" in two("first", "x=5").out
        assert len(two.place.lines("begun")) == 2

        assert "`memento pause --store" in two("resume").out
        assert "5" in two.begun(4)
        assert two.told()["paused_by"] is None
        screen.resize(60)
        assert "3 workers from now on, instead of 2" in two("resize", "3").out
        two.begun(5)

        assert "1 task cancelled, 1 of them while at work" in two("cancel", "x=5", "model=SVC").out
        two.begun(6)
        assert two.place.lines("stopped") == ["5"]
        assert "cancelled already" in two("cancel", "x=5", code=1).err
        assert "have finished" in two("cancel", "x=0", code=1).err

        screen.type("\x03")
        told = screen.wait(130)
        assert "Interrupted after" in told
        assert two.told()["status"] == "interrupted"
    assert f"6 left; run it again for the rest: python exp.py {two.executor}" in two("status").out
    two.place.write("go", "")
    with two.run() as screen:
        assert "8 tasks: 6 done, 2 cached" in screen.wait()
    two.each_once()
    assert "highest accuracy 0.7: model=SVC, x=7" in two("status").out


@pytest.mark.slow
def test_stop_lets_what_runs_finish_and_the_run_says_that_it_stops(two: Two) -> None:
    with two.run() as screen:
        two.begun(2)
        assert f"Run it again to compute what is left: python exp.py {two.executor}" in two("stop").out
        assert "stopping: no more tasks are started" in two("status").out
        assert "it is stopping already" in two("stop", code=1).err.replace("the run is", "it is")
        two.place.write("go", "")
        assert "Interrupted after" in screen.wait(130)
    assert two.place.counts("computed") == {"0": 1, "1": 1}
    assert two.told()["left"] == 6
    with two.run() as screen:
        screen.wait()
    two.each_once()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["Ctrl-C", "cancel --all"])
def test_a_paused_run_ends_at_once_when_it_is_asked_to(two: Two, how: str) -> None:
    with two.run() as screen:
        two.begun(2)
        two("pause")
        screen.expect("paused by ")
        if how == "Ctrl-C":
            screen.type("\x03")
        else:
            assert (
                "the run ends now: 2 running tasks may save what there is so far"
                in two("cancel", "--all").out
            )
        screen.wait(130)
        assert sorted(two.place.lines("stopped")) == ["0", "1"]
    assert (two.told()["status"], two.told()["left"]) == ("interrupted", 8)
    assert "no run is alive: run 1, exp.py:fit, was stopped before its end" in two("resume", code=1).err
    two.place.write("go", "")
    with two.run() as screen:
        screen.wait()
    two.each_once()


@pytest.mark.slow
def test_after_kill_9_nothing_is_told_as_running(two: Two) -> None:
    with two.run() as screen:
        two.begun(2)
        two.place.until(lambda: two.told()["running"] == 2, what="the run to tell what runs")
        os.kill(screen.process.pid, signal.SIGKILL)
        screen.process.wait()
        told = two.told()
        assert (told["status"], told["now"], told["left"]) == ("died", [], 8)
        assert "running now" not in two("status").out
        assert "died: its process is gone" in two("pause", code=1).err
        two.place.until(lambda: not two.place.alive(), what="the workers' end")
        screen.wait(None)
    two.place.write("go", "")
    with two.run() as screen:
        screen.wait()
    assert two.told()["status"] == "done"


@pytest.mark.slow
@pytest.mark.parametrize("two", ["serial"], indirect=True)
def test_where_tasks_run_in_the_programs_own_thread_it_hears_between_two_of_them(two: Two) -> None:
    with two.run() as screen:
        two.begun(1)
        late = two("pause", "--wait", "0", code=1).out
        assert "it takes the command later" in late
        time.sleep(0.6)  # it looks twice a second at most
        two.let_go("0")
        screen.expect("Command pause by ")
        two.place.until(lambda: two.told()["counts"]["done"] == len(two.place.lines("computed")))
        begun = len(two.place.lines("begun"))
        two.place.write("go", "")
        two("resume")
        screen.wait()
        assert begun < 8
    two.each_once()


@pytest.mark.slow
@pytest.mark.parametrize("two", ["processes"], indirect=True)
def test_of_two_runs_that_share_a_store_each_is_steered_alone(two: Two) -> None:
    with two.run() as one, two.run() as other:
        two.begun(4)
        told = two("pause", code=2).err
        lines = re.findall(r"memento pause --run (\d) --store", told)
        assert sorted(lines) == ["1", "2"]
        two("pause", "--run", "1")
        paused = {run["id"]: bool(run["paused_by"]) for run in two("status", "--json").json["runs"]}
        assert paused == {1: True, 2: False}
        assert "`memento resume --run 1 --store" in two("status").out
        two.place.write("go", "")
        two.place.until(lambda: len(two.place.lines("computed")) == 8, what="the other to do all")
        two("resume", "--run", "1")
        one.wait()
        other.wait()
    two.each_once()
