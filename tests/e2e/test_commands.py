"""Another process pauses, resumes, stops and resizes a live run, cancels some of its tasks and puts some first."""

from __future__ import annotations

import os
import signal
import time

import pytest

import memento
from memento.errors import CommandRefused
from memento.runner.remote_control import Control
from memento.store.store import Store
from tests.e2e.workplace import COUNTING, PATIENCE, Program, Workplace

# Tasks take a quarter of a second each until the file `go` is there, and that of x=-1 as long as it is not. So a run of
# all goes on for half a minute: whoever steers it may be as slow as a busy machine makes it.
SCRIPT = (
    COUNTING
    + """
def experiment(context, config):
    note(config.x, "begun")
    if config.x == -1:
        while not (HERE / "go").exists() and not context.stopping:
            time.sleep(0.01)
        assert (HERE / "go").exists()
    if not (HERE / "go").exists():
        time.sleep(0.25)
    note(config.x)
    return config.x

if __name__ == "__main__":
    matrix = {"parameters": {"x": eval(sys.argv[2]), "kind": ["a"]}}
    runs = Memento(experiment, executor=sys.argv[1], num_workers=int(sys.argv[3]), order="matrix")
    print("values", [r.inner for r in runs.run(matrix)])
"""
)
MANY = 200
EXECUTORS = ["processes", "threads", "serial"]


@pytest.fixture(params=EXECUTORS)
def executor(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Live:
    """A script that runs, and what steers it."""

    def __init__(self, place: Workplace, executor: str) -> None:
        self.place, self.executor = place, executor
        place.write("exp.py", SCRIPT)

    def start(self, xs: str = f"range({MANY})", workers: int = 2) -> tuple[Program, Control]:
        workers = 1 if self.executor == "serial" else workers
        program = self.place.start("exp.py", self.executor, xs, str(workers))
        self.place.until(lambda: self.begun, what="a task to begin")
        control = memento.control(self.place.folder / "memento-store")
        control.timeout = PATIENCE
        return program, control

    def go(self) -> None:
        """Have what is left take no time."""
        self.place.write("go", "")

    def again(self, xs: str = f"range({MANY})") -> str:
        self.go()
        return self.place.run("exp.py", self.executor, xs, "1" if self.executor == "serial" else "2").out

    @property
    def begun(self) -> list[str]:
        return self.place.lines("begun")

    def each_computed_once(self, xs: range | list[int] = range(MANY)) -> None:
        assert self.place.counts("computed") == {str(x): 1 for x in xs}


@pytest.fixture
def live(place: Workplace, executor: str) -> Live:
    return Live(place, executor)


@pytest.mark.slow
def test_a_paused_run_starts_nothing_until_it_is_resumed(live: Live) -> None:
    program, control = live.start()
    answer = control.pause()
    assert answer is not None
    assert (answer.done, answer.undo) == (True, "resume")
    ended = lambda: live.place.counts("begun") == live.place.counts("computed")  # noqa: E731
    live.place.until(ended, what="the end of what ran")
    begun = live.begun
    assert len(begun) < MANY
    time.sleep(0.8)
    assert live.begun == begun
    assert program.process.poll() is None
    with pytest.raises(CommandRefused, match="it is paused already"):
        control.pause()
    assert control.resume() is not None
    live.go()
    program.wait()
    live.each_computed_once()
    assert "Command pause by" in program.err


@pytest.mark.slow
def test_a_stopped_run_finishes_what_runs_and_the_next_one_goes_on(live: Live) -> None:
    program, control = live.start()
    assert control.stop() is not None
    program.wait(130)
    assert live.place.counts("begun") == live.place.counts("computed")
    assert 0 < len(live.begun) < MANY
    assert "that are left." in program.err
    assert f"values {list(range(MANY))}" in live.again()
    live.each_computed_once()


@pytest.mark.slow
def test_cancelled_tasks_are_not_done_the_rest_is_and_the_next_run_computes_them(live: Live) -> None:
    program, control = live.start()
    answer = control.cancel(x=[MANY - 3, MANY - 2, MANY - 1])
    assert answer is not None
    assert answer.text.startswith("3 tasks cancelled")
    live.go()
    program.wait(130)
    assert f"{MANY - 3} done, 3 not run" in program.err
    assert "Run it again to compute the 3 that are left." in program.err
    assert "failed" not in program.err.replace("0 failed", "")
    live.each_computed_once(range(MANY - 3))
    assert f"values {list(range(MANY))}" in live.again()
    live.each_computed_once()


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["processes", "threads"], indirect=True)
def test_a_task_at_work_is_stopped_when_it_is_cancelled(live: Live) -> None:
    program, control = live.start("[-1, *range(6)]")
    answer = control.cancel(key_of_longest(live).hex()[:10])
    assert answer is not None
    assert answer.text.startswith("1 task cancelled, 1 of them while at work")
    program.wait(130)
    live.each_computed_once(range(6))
    assert f"values {[-1, *range(6)]}" in live.again("[-1, *range(6)]")
    live.each_computed_once([-1, *range(6)])


def key_of_longest(live: Live) -> bytes:
    """The key of x=-1, as the index tells anybody, however late: the one that a run is at whenever somebody looks."""
    live.place.until(lambda: "-1" in live.begun, what="the longest task to begin")
    begun, always, looks = time.time(), set[bytes](), set[float]()
    with Store.open(live.place.folder / "memento-store", create=False) as store:
        (run,) = store.index.living().runs

        def one_is_left() -> bool:
            told, activities, _ = store.index.activity(run.run)
            looks.update({told} if told > begun else ())
            if len(looks) > 1:  # the first one may have been told later than it was true
                keys = {one.key for one in activities}
                always.intersection_update(keys) if always else always.update(keys)
            return len(always) == 1

        live.place.until(one_is_left, what="all others to have been at work")
    return always.pop()


@pytest.mark.slow
def test_tasks_put_first_come_next(live: Live) -> None:
    program, control = live.start()
    assert control.first(x=str(MANY - 1)) is not None
    live.go()
    program.wait()
    assert live.begun.index(str(MANY - 1)) < MANY - 2, "it was its turn anyway"
    live.each_computed_once()


@pytest.mark.slow
def test_the_number_of_workers_changes_where_the_engine_can_do_that(live: Live) -> None:
    program, control = live.start(workers=1)
    if live.executor == "serial":
        with pytest.raises(CommandRefused, match="executor='serial' cannot change its number of workers"):
            control.resize(4)
    else:
        answer = control.resize(4)
        assert answer is not None
        assert (answer.text, answer.undo) == ("4 workers from now on, instead of 1", "resize to 1")
        live.place.until(
            lambda: len(live.begun) - len(live.place.lines("computed")) >= 3, what="more tasks at a time"
        )
    live.go()
    program.wait()
    live.each_computed_once()


@pytest.mark.parametrize("executor", ["processes"], indirect=True)
def test_a_dead_run_takes_no_command_and_it_is_said_why(live: Live) -> None:
    program, control = live.start()
    os.kill(program.pid, signal.SIGKILL)
    program.wait(None)
    with pytest.raises(CommandRefused, match="has ended, and did not take the command pause"):
        control.pause()
    store = live.place.folder / "memento-store"
    with pytest.raises(CommandRefused, match=r"no run over .* is alive"):
        memento.control(store)
    with pytest.raises(CommandRefused, match=rf"run {control.run.id} over .* is not alive"):
        memento.control(store, control.run.id)


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["processes"], indirect=True)
def test_what_was_asked_and_said_can_be_read_of_the_index_afterwards(live: Live) -> None:
    program, control = live.start()
    control.cancel(x=MANY - 1)
    live.go()
    program.wait(130)
    with Store.open(live.place.folder / "memento-store", create=False) as store:
        events = store.index.events(control.run.id)
    (command,) = [event for event in events if event.kind == "CommandTaken"]
    assert command.data["command"] == "cancel"
    assert command.data["done"] is True
    assert len(command.data["keys"]) == 1
    assert any(event.kind == "Said" and "Command cancel by" in event.data["text"] for event in events)
