"""The commands that steer a run: who is asked, what is said of the answer, and how to undo it."""

from __future__ import annotations

import os
import re
import shlex
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from memento import system
from memento.cli.live_run import command_line
from memento.index.run_contract import Run
from memento.index.types import COMMANDS, Command
from memento.store.store import Store
from memento.testing.index_rows import info_of, row_of
from tests.cli.calling import GENEROUS, Ran, memento

ANSWERS = {
    "pause": ("paused: nothing more is started", "resume"),
    "resume": ("it goes on", "pause"),
    "stop": ("the run ends when what runs has ended", "run it again"),
    "cancel": ("2 tasks cancelled", "run it again"),
    "first": ("2 tasks put before all others", "first, with others"),
    "resize": ("4 workers from now on, instead of 2", "resize to 2"),
}


def alive(store: Store, experiment: str = "science:experiment", **more: Any) -> Run:
    """Begin a run that lives as long as this process does."""
    proof = {"process_started": system.process_start(os.getpid()) or "", "boot_id": system.boot_identity()}
    info = {"experiment": experiment, "pid": os.getpid(), "argv": ("science.py", "--fast"), **proof}
    return store.begin(info_of(**{**info, **more}))


class Answering:
    """A run that answers whatever it is asked, in a thread of its own, as a run's own process would."""

    def __init__(self, path: Path, *experiments: str) -> None:
        self.path = path
        self.heard: list[Command] = []
        self.refuses = ""
        self._store = Store.open(path)
        self.runs = [alive(self._store, name) for name in experiments or ("science:experiment",)]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        while not self._over.wait(0.01):
            for run in self.runs:
                for command in run.commands():
                    self.heard.append(command)
                    text, undo = ANSWERS[command.kind]
                    if self.refuses:
                        run.answer(command.id, self.refuses, done=False)
                    else:
                        run.answer(command.id, text, undo=undo)

    def __call__(self, *arguments: str) -> Ran:
        return memento(*arguments, "--store", self.path)

    def close(self) -> None:
        self._over.set()
        self._thread.join(GENEROUS)
        for run in self.runs:
            run.finish("interrupted", {})
        self._store.close()


@contextmanager
def answering(path: Path, *experiments: str) -> Iterator[Answering]:
    runs = Answering(path, *experiments)
    try:
        yield runs
    finally:
        runs.close()


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Answering]:
    with answering(tmp_path / "store") as runs:
        yield runs


UNDONE = [
    ("pause", (), "memento resume --store {}"),
    ("resume", (), "memento pause --store {}"),
    ("stop", (), "python science.py --fast"),
    ("cancel", ("x=1",), "python science.py --fast"),
    ("cancel", ("--all",), "python science.py --fast"),
    ("first", ("0a1b",), None),
    ("resize", ("4",), "memento resize 2 --store {}"),
]


@pytest.mark.parametrize(("kind", "arguments", "undo"), UNDONE)
def test_each_command_says_what_was_done_and_the_line_that_undoes_it(
    live: Answering, kind: str, arguments: tuple[str, ...], undo: str | None
) -> None:
    undone = None if undo is None else undo.format(shlex.quote(str(live.path)))
    told = live(kind, *arguments)
    sent = "stop" if "--all" in arguments else kind
    assert (told.code, told.err) == (0, "")
    assert told.out.startswith(f"run 1, science:experiment: {ANSWERS[sent][0]}\n")
    assert (undone or "") in told.out
    as_json = live(kind, *arguments, "--json").json
    assert (as_json["schema"], as_json["run"]) == (f"memento.{kind}/1", 1)
    assert (as_json["done"], as_json["answered"], as_json["undo"]) == (True, True, undone)
    assert [command.kind for command in live.heard] == [sent, sent]


def test_there_is_a_command_for_everything_that_a_run_can_be_asked() -> None:
    assert {kind for kind, _, _ in UNDONE} == set(COMMANDS)


def test_tasks_are_named_by_keys_and_by_what_their_parameters_are(live: Answering) -> None:
    live("cancel", "0a1b", "model=SVC", "C=1", "C=0.5", "name=a=b")
    (command,) = live.heard
    assert command.arguments == {
        "keys": ["0a1b"],
        "parameters": {},
        "texts": {"model": ["SVC"], "C": ["1", "0.5"], "name": ["a=b"]},
    }


def test_all_is_the_end_of_the_run_now_and_no_key(live: Answering) -> None:
    live("cancel", "--all")
    assert live.heard[0].arguments == {"now": True}


WRONG = [
    (
        ("cancel",),
        "say which tasks: a KEY, or NAME=VALUE as in model=SVC; `memento cancel --all --store {}` ends the run",
    ),
    (("first",), "say which tasks: a KEY, or NAME=VALUE as in model=SVC."),
    (("cancel", "--all", "x=1"), "--all and tasks contradict each other"),
    (("cancel", "model"), "'model' is no key, and no NAME=VALUE"),
    (("cancel", "=SVC"), "'=SVC' is no key"),
    (("pause", "--run", "9"), "there is no run 9 in this store"),
    (("pause", "-e", "nope"), "no single experiment is named 'nope'"),
    (("pause", "--wait", "soon"), "--wait must be seconds or a text like"),
]


@pytest.mark.parametrize(("arguments", "why"), WRONG)
def test_wrong_usage_asks_no_run_for_anything(live: Answering, arguments: tuple[str, ...], why: str) -> None:
    told = live(*arguments)
    assert (told.code, told.out) == (2, "")
    assert why.format(shlex.quote(str(live.path))) in told.err
    assert live.heard == []


@pytest.mark.parametrize("arguments", [("resize", "0"), ("resize", "-1"), ("resize", "x"), ("resize",)])
def test_a_number_of_workers_is_a_whole_number_above_0(live: Answering, arguments: tuple[str, ...]) -> None:
    told = live(*arguments)
    assert told.code == 2
    assert live.heard == []


def test_a_refusal_exits_with_1_and_says_why(live: Answering) -> None:
    live.refuses = "it is not paused"
    told = live("resume")
    assert (told.code, told.out) == (1, "")
    assert "run 1 refused to resume: it is not paused" in told.err
    as_json = live("resume", "--json")
    assert as_json.code == 1
    assert (as_json.json["done"], as_json.json["answered"]) == (False, True)
    assert "it is not paused" in as_json.json["answer"]


def test_of_several_runs_one_has_to_be_named_and_the_lines_to_type_are_given(tmp_path: Path) -> None:
    with answering(tmp_path / "store", "science:experiment", "science:other") as live:
        told = live("pause")
        assert told.code == 2
        assert "2 runs are alive, so say which one:" in told.err
        for number, name in ((1, "science:experiment"), (2, "science:other")):
            assert re.search(rf"memento pause --run {number} --store .+  {name}, process", told.err)
        assert live("pause", "--run", "2").out.startswith("run 2, science:other: paused")
        assert live("pause", "-e", "science:other").out.startswith("run 2, science:other: paused")
        wrong = live("pause", "-e", "science:other", "--run", "1")
        assert (wrong.code, "run 1 is of science:experiment, not of science:other" in wrong.err) == (2, True)
        assert {command.run for command in live.heard} == {2}


@pytest.mark.parametrize(
    ("status", "how"),
    [("done", "is done"), ("failed", "some tasks failed"), ("interrupted", "was stopped"), ("died", "died")],
)
def test_where_no_run_is_alive_it_is_said_when_the_last_one_ended_and_how(
    status: str, how: str, tmp_path: Path
) -> None:
    with Store.open(tmp_path / "store") as store:
        run = alive(store, pid=2**22 + 1 if status == "died" else os.getpid())
        if status != "died":
            run.finish(status, {"done": 1, "cached": 0, "failed": 0})
    for which in ((), ("--run", "1"), ("-e", "science:experiment")):
        told = memento("pause", *which, "--store", tmp_path / "store")
        assert (told.code, told.out) == (1, "")
        assert "run 1, science:experiment, " in told.err
        assert how in told.err
        assert " ago)" in told.err
        assert ("python science.py --fast" in told.err) == (status != "done")


def test_a_store_without_runs_says_so(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store"):
        pass
    told = memento("pause", "--store", tmp_path / "store")
    assert (told.code, "no run is alive: none was ever started here" in told.err) == (1, True)
    missing = memento("pause", "--store", tmp_path / "nowhere")
    assert (missing.code, "there is no store at" in missing.err) == (2, True)
    assert not (tmp_path / "nowhere").exists()


def test_a_command_that_is_not_answered_in_time_waits_for_the_run(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store") as store:
        run = alive(store)
        told = memento("stop", "--wait", "0", "--store", tmp_path / "store")
        assert told.code == 1
        assert "no answer within 0, so it takes the command later" in told.out
        as_json = memento("stop", "--wait", "0", "--json", "--store", tmp_path / "store").json
        assert (as_json["done"], as_json["answered"], as_json["undo"]) == (False, False, None)
        assert [command.kind for command in run.commands()] == ["stop", "stop"]


def test_a_run_that_ends_instead_of_answering_is_told(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store") as store:
        run = alive(store)

        def end() -> None:
            while not run.commands():
                time.sleep(0.01)
            run.finish("done", {"done": 1})

        thread = threading.Thread(target=end)
        thread.start()
        told = memento("pause", "--store", tmp_path / "store")
        thread.join()
    assert told.code == 1
    assert "run 1 has ended, and did not take the command pause" in told.err


def test_what_a_run_answers_does_not_steer_the_terminal(live: Answering) -> None:
    live.refuses = "bell\x07 \x1b[31mred"
    assert "\x1b" not in live("pause").err
    assert "\x1b" not in live("pause", "--json").out


def test_rows_of_a_run_that_is_asked_stay_as_they_are(live: Answering) -> None:
    live.runs[0].commit([row_of(1)])
    live("pause")
    with Store.open(live.path) as store:
        assert len(store.index.ids()) == 1


@pytest.mark.parametrize(
    ("command", "argv", "told"),
    [
        (None, ("science.py", "--fast"), "python science.py --fast"),
        (["/opt/bin/python3.12", "science.py", "a b"], ("science.py", "a b"), "python science.py 'a b'"),
        (["python", "-m", "lab.science"], ("/x/lab/science.py",), "python -m lab.science"),
        (["python", "-m", "memento", "run", "m.yaml"], ("x",), "memento run m.yaml"),
        (["/opt/bin/memento", "run", "m.yaml"], ("x",), "memento run m.yaml"),
        (["python", "-m", "ipykernel_launcher", "-f", "k.json"], ("x",), "as it was started"),
        (["python", "-c", "run()"], ("-c",), "as it was started"),
        (["python"], ("",), "as it was started"),
        (None, (), "as it was started"),
    ],
)
def test_how_a_run_was_started_is_told_as_one_types_it(
    command: list[str] | None, argv: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    with Store.open(tmp_path / "store") as store:
        run = store.begin(info_of(argv=argv, provenance={} if command is None else {"command": command}))
        record = store.index.run(run.id)
    assert record is not None
    assert command_line(record) == told
