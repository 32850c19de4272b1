"""Two coordinators, one after the other or at once, and what pilots have in hand: nothing is run twice."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from memento.executors.base import Lost, Running, Update
from memento.executors.pilots import charter as charters
from memento.executors.pilots import pilot_messages, streams
from memento.executors.pilots.charter import Charter, taken_by, told_to, write_charter
from memento.executors.pilots.handle import PilotHandle
from memento.executors.pilots.pilot_messages import (
    Beat,
    Cancel,
    Do,
    Ended,
    Leaving,
    Resize,
    Serve,
    Told,
)
from memento.executors.pilots.streams import Reader, Writer
from memento.records import FAILED, RAISED, STOPPED, Failure, Outcome
from memento.testing.driving import Drive
from memento.worker import handover
from memento.worker.batch_runner import Batch
from memento.worker.handover import Left
from memento.worker.work import Task
from tests.executors.pilots.test_succession import (
    DEAD,
    Unstarted,
    dead_pilot,
    driver,
    here,
    left,
    speak,
    tell,
)

__all__ = ["dead_pilot", "driver"]  # fixtures
OTHER = "20260101-000000-2-0001"  # a run that lives, as far as anybody knows


def engine(driver: Drive) -> Unstarted:
    assert isinstance(driver.executor, Unstarted)
    return driver.executor


def failed(task: Task, kind: str) -> Left:
    failure = Failure(kind, "ValueError", "too long", "", "", None, "")
    ended = left(task)
    return ended._replace(outcome=ended.outcome._replace(status=FAILED, failure=failure))


def take(folder: Path, run: str = OTHER) -> None:
    """Have another run take the pilot over first."""
    taken_by(folder, 1, 2).write_text(run)


def told_in(stream: Path) -> list[Any]:
    return [pilot_messages.told(data) for data in Reader(stream).read()]


# -- what nobody has read yet


@pytest.fixture
def unread(driver: Drive, monkeypatch: pytest.MonkeyPatch) -> PilotHandle:
    """Return a pilot that has ended three tasks, a record each, of which nothing was read."""
    monkeypatch.setattr(streams, "_AT_ONCE", 1)  # bytes that are read at once: a record
    driver.start(lambda context, config: 0)
    (pilot,) = engine(driver).pilots.values()
    run = pilot.folder.parents[1].name
    writer = Writer(pilot.folder / "from-1")
    speak(writer, here(run))
    tasks = [driver.task(number) for number in range(3)]
    pilot.give(Batch(1, "", "", {}, {}, tuple(tasks)), tasks)
    for task in tasks:
        speak(writer, Ended(left(task)._replace(run=run)))
    return pilot


def test_all_that_a_pilot_has_ended_counts_when_its_place_ends_however_much_it_is(
    driver: Drive, unread: PilotHandle
) -> None:
    engine(driver).over[unread.name] = "its place has ended"
    told = tell(driver)
    assert [type(one) for one in told] == [Outcome] * 3


def test_all_that_a_pilot_has_ended_is_left_to_the_next_run_however_much_it_is(
    driver: Drive, unread: PilotHandle, tmp_path: Path
) -> None:
    driver.executor.close()
    assert len(handover.outcomes_of(str(tmp_path), unread.folder.parents[1].name)) == 3


# -- who has it


def test_what_is_at_a_pilot_that_another_run_has_just_taken_is_waited_for_and_not_run(
    driver: Drive, dead_pilot: tuple[Path, Writer, Task]
) -> None:
    folder, writer, task = dead_pilot
    take(folder)
    driver.start(lambda context, config: 0, former=[DEAD])
    driver.executor.submit([task._replace(number=0)])
    assert not engine(driver).queue
    assert tell(driver) == []
    speak(writer, Ended(left(task)))
    assert [told.number for told in tell(driver) if isinstance(told, Outcome)] == [0]
    assert not told_to(folder, 1, 2).exists(), "it is the other run's to say something"


@pytest.mark.parametrize("first", ["it failed", "it was given back"])
def test_what_a_pilot_was_given_a_second_time_is_waited_for_and_not_run(
    driver: Drive, dead_pilot: tuple[Path, Writer, Task], first: str
) -> None:
    folder, writer, task = dead_pilot
    again = task._replace(attempt=2)
    batches = [Do(Batch(number, f"/{DEAD}", "", {}, {}, (one,))) for number, one in enumerate((task, again))]
    Writer(folder / "to-1-1").append(*map(pilot_messages.pack, batches))
    speak(writer, Ended(failed(task, RAISED)) if first == "it failed" else Told(Lost(7, 1, cancelled=True)))
    driver.start(lambda context, config: 0, former=[DEAD])
    driver.executor.submit([task._replace(number=0)])
    assert not engine(driver).queue


def test_who_is_too_late_for_a_pilot_watches_no_place_of_it(
    driver: Drive, dead_pilot: tuple[Path, Writer, Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _, task = dead_pilot
    serve = PilotHandle.serve

    def too_late(pilot: Any, run_folder: str) -> bool:
        take(folder)
        return serve(pilot, run_folder)

    monkeypatch.setattr(PilotHandle, "serve", too_late)
    driver.start(lambda context, config: 0, former=[DEAD])
    assert engine(driver).watched == []
    driver.executor.submit([task._replace(number=0)])
    assert not engine(driver).queue, "the other run's pilot is at it"


@pytest.mark.parametrize(
    ("end", "has_begun"),
    [
        (here(OTHER), False),
        (Leaving("nothing to do"), False),
        (Told(Lost(7, 1, cancelled=True)), False),
        (Told(Lost(7, 1, "its node failed")), True),
        ("over", True),
        ("started again", True),
    ],
)
def test_what_another_runs_pilot_has_no_more_in_hand_is_given_out(
    driver: Drive, dead_pilot: tuple[Path, Writer, Task], end: Any, has_begun: bool
) -> None:
    folder, writer, task = dead_pilot
    take(folder)
    driver.start(lambda context, config: 0, former=[DEAD])
    driver.executor.submit([task._replace(number=0)])
    if end == "over":
        charters.note_over(folder)
    elif end == "started again":
        Writer(folder / "from-2").append(b"")
        engine(driver)._former.elsewhere[0]._looked = -1e9
    else:
        speak(writer, end)
    (lost,) = tell(driver)
    assert isinstance(lost, Lost)
    assert (lost.number, lost.kept, lost.cancelled) == (0, True, not has_begun)
    assert bool(lost.reason) is has_begun
    driver.executor.submit([task._replace(number=0)])
    assert engine(driver).queue


def test_a_run_that_stops_waits_for_no_pilot_of_another(
    driver: Drive, dead_pilot: tuple[Path, Writer, Task]
) -> None:
    folder, _, task = dead_pilot
    take(folder)
    driver.start(lambda context, config: 0, former=[DEAD])
    driver.executor.submit([task._replace(number=0)])
    driver.executor.cancel(running=False)
    assert tell(driver) == [], "it runs"
    driver.executor.cancel(running=True)
    assert tell(driver) == [Lost(0, 1, cancelled=True)]


def test_who_died_before_it_told_a_pilot_anything_keeps_nobody_from_taking_it_over(
    driver: Drive, dead_pilot: tuple[Path, Writer, Task]
) -> None:
    folder, _, _ = dead_pilot
    take(folder, OTHER)
    driver.start(lambda context, config: 0, former=[DEAD, OTHER])
    assert list(engine(driver).pilots) == [f"{DEAD}/p0001"]
    assert isinstance(told_in(told_to(folder, 1, 3))[-1], Serve)
    assert charters.next_coordinator(folder, 1, 1) == 3, "the pilot would not hear it"


def test_what_never_reached_a_pilot_is_given_back_when_it_has_nothing_more_in_hand(
    driver: Drive, dead_pilot: tuple[Path, Writer, Task]
) -> None:
    _, writer, task = dead_pilot
    driver.start(lambda context, config: 0, former=[DEAD])
    driver.executor.submit([task._replace(number=0)])
    speak(writer, here(Path(engine(driver)._handing.folder).name))
    assert [told.number for told in tell(driver) if isinstance(told, Lost)] == [0]


def test_what_a_pilot_that_was_taken_over_is_at_is_told_as_running(
    driver: Drive, dead_pilot: tuple[Path, Writer, Task]
) -> None:
    _, writer, task = dead_pilot
    driver.start(lambda context, config: 0, former=[DEAD])
    driver.executor.submit([task._replace(number=0)])
    update = Update(task.number, "w", 1.0, None, {"loss": 0.5})
    speak(writer, Beat((Running("w", task.number, 3.0),), None), Told(update))
    assert tell(driver) == [update._replace(number=0)]
    assert [state.number for state in driver.executor.running()] == [0]


@pytest.mark.parametrize("now", ["it serves another run", "it is over", "it leaves"])
def test_what_a_pilot_had_ended_before_it_went_elsewhere_is_not_run_again(
    driver: Drive, dead_pilot: tuple[Path, Writer, Task], now: str
) -> None:
    folder, writer, task = dead_pilot
    speak(writer, Ended(left(task)))
    if now == "it serves another run":
        take(folder)
        speak(writer, here(OTHER))
    elif now == "it is over":
        charters.note_over(folder)
    else:
        speak(writer, Leaving("it has had nothing to do"))
    driver.start(lambda context, config: 0, former=[DEAD])
    driver.executor.submit([task._replace(number=0)])
    assert [told.number for told in tell(driver) if isinstance(told, Outcome)] == [0]


# -- what counts


@pytest.mark.parametrize("ended_before", [True, False])
def test_what_a_dead_run_computed_from_results_that_are_newer_now_is_run_anew(
    driver: Drive, dead_pilot: tuple[Path, Writer, Task], ended_before: bool
) -> None:
    _, writer, task = dead_pilot
    if ended_before:
        speak(writer, Ended(left(task)))
    driver.start(lambda context, config: 0, former=[DEAD], outdated={DEAD: {0}})
    driver.executor.submit([task._replace(number=0)])
    assert [waiting.number for waiting in engine(driver).queue] == [0]


def test_a_failure_of_the_dead_runs_attempt_uses_up_no_attempt_of_this_run(
    driver: Drive, dead_pilot: tuple[Path, Writer, Task]
) -> None:
    _, writer, task = dead_pilot
    driver.start(lambda context, config: 0, former=[DEAD])
    driver.executor.submit([task._replace(number=0)])
    speak(writer, Ended(failed(task, RAISED)))
    (lost,) = tell(driver)
    assert isinstance(lost, Lost)
    assert (lost.number, lost.kept, lost.gone) == (0, True, True)
    assert "ValueError: too long" in lost.reason


def test_a_task_that_was_told_to_stop_at_a_pilot_that_was_taken_over_has_stopped(
    driver: Drive, dead_pilot: tuple[Path, Writer, Task]
) -> None:
    _, writer, task = dead_pilot
    driver.start(lambda context, config: 0, former=[DEAD])
    driver.executor.submit([task._replace(number=0)])
    speak(writer, Ended(failed(task, STOPPED)))
    assert [told.number for told in tell(driver) if isinstance(told, Outcome)] == [0]


def test_pilots_of_a_larger_run_are_made_as_wide_as_this_one_wants(tmp_path: Path) -> None:
    streams_of = []
    for name in ("p0001", "p0002"):
        folder = write_charter(Charter(str(tmp_path / "work" / DEAD), 4), name)
        speak(Writer(folder / "from-1"), here(DEAD))
        streams_of.append(told_to(folder, 1, 2))
    driver = Drive(Unstarted(3), tmp_path)
    driver.start(lambda context, config: 0, former=[DEAD])
    first, second = map(told_in, streams_of)
    driver.executor.close()
    serve = next(one for one in first if isinstance(one, Serve))
    assert serve.width == 4, "the run before may have changed it"
    assert Resize(3) in first
    assert [type(one) for one in second][:3] == [Cancel, Serve, type(second[2])]
    assert second[2].now is False


def test_pilots_that_die_before_they_serve_this_run_do_not_end_it(tmp_path: Path) -> None:
    for number in range(4):
        folder = write_charter(Charter(str(tmp_path / "work" / DEAD), 1), f"p{number}")
        speak(Writer(folder / "from-1"), here(DEAD))
    driver = Drive(Unstarted(4), tmp_path)
    driver.start(lambda context, config: 0, former=[DEAD])
    assert len(engine(driver).pilots) == 4
    engine(driver).over = dict.fromkeys(engine(driver).pilots, "its node has failed")
    tell(driver)
    assert not engine(driver).pilots
    driver.executor.close()


# -- what a stranger's store may have


def _pipe(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()


def _huge(path: Path) -> None:
    path.write_text("[" * (1 << 16))
    os.truncate(path, 1 << 40)


def _deep(path: Path) -> None:
    path.write_text("[" * 50_000)


def _odd(path: Path) -> None:
    path.write_text('{"run": "r", "width": 1, "grace": "long", "python": [3, 10]}')


@pytest.mark.parametrize("name", ["charter.json", "taken-1-2"])
@pytest.mark.parametrize("make", [_pipe, _folder, _huge, _deep, _odd])
def test_what_is_no_file_of_ours_keeps_nobody_waiting(
    driver: Drive, dead_pilot: tuple[Path, Writer, Task], name: str, make: Any
) -> None:
    folder, _, _ = dead_pilot
    make(folder / name)
    driver.start(lambda context, config: 0, former=[DEAD])
    assert f"{DEAD}/p0001" not in engine(driver).pilots
