"""What workers of a dead run have left is taken in once, where it fits; all else is set aside or left, and said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from memento import Memento
from memento.events import Said
from memento.executors.pilots.pilot_messages import Ended, Leaving, pack_all
from memento.executors.pilots.streams import Writer
from memento.index.types import Living
from memento.keys.project_files import Script
from memento.matrix.matrix import Matrix
from memento.records import DONE, FAILED, RAISED, Encoded, Failure, Outcome
from memento.runner import inherited
from memento.runner.inherited import drop_committed
from memento.runner.options import Options
from memento.runner.session import Session
from memento.store.store import Store
from memento.testing.index_rows import info_of
from memento.worker import handover
from memento.worker.portable import Portable
from memento.worker.work import Task, Work

DEAD: dict[str, Any] = {"pid": 2**22 + 1}  # no system of ours hands out such a pid
NAME = "tests:square"
MATRIX = {"parameters": {"x": [1, 2, 3]}}


def square(context: Any, config: Any) -> int:
    assert config.x not in done_already
    return int(config.x**2)


done_already: set[int] = set()


class Dead:
    """A run whose coordinator died, and whose workers did not."""

    def __init__(self, store: Path, **who: Any) -> None:
        self.store = Store.open(store)
        self.said: list[str] = []
        self.session = Session(
            square, NAME, Matrix.of(MATRIX), self.store, Options(1, executor="serial"), self.hear
        )
        self.run = self.store.begin(info_of(**{**DEAD, **who}, experiment=NAME)).name
        self.codes = self.session.code.accepted(self.session.plan)
        self.files: list[Path] = []

    def hear(self, event: Any) -> None:
        if isinstance(event, Said):
            self.said.append(event.text)

    def leave(
        self, x: int, *, attempt: int = 1, key: bytes | None = None, code: bytes = b"", **fields: Any
    ) -> Path:
        key = key or self.session.tasks.key(x - 1)
        value = Encoded("json", str(100 * x).encode(), None, 3, "builtins:int")
        outcome = Outcome(
            0, DONE, attempt, 1.0, 2.0, None, None, None, "node/1", value, (), (), None, None
        )._replace(**fields)
        script = Script("script.py", "script", (), "")
        work = Work(
            self.run, NAME, Portable(len, ""), Portable({}, ""), [()], [], self.store.root, script, [], "", 1,
            codes=((code,),) if code else self.codes,
        )  # fmt: skip
        before = set(handover.outcomes_of(self.store.root, self.run))
        handover.leave(work, Task(0, key, 0, (), 0, attempt, 0.0), outcome)
        (path,) = set(handover.outcomes_of(self.store.root, self.run)) - before
        return path

    def go_on(self) -> list[Any]:
        """Run it again, in the same store."""
        self.session.run(notify=False)
        found = Memento(square, name=NAME, store=self.store.root, executor="serial", progress=False).run(
            MATRIX
        )
        return [result.inner for result in found or ()]


@pytest.fixture
def dead(tmp_path: Path) -> Iterator[Dead]:
    dead = Dead(tmp_path / "store")
    yield dead
    done_already.clear()
    dead.store.close()


def test_what_was_finished_is_taken_in_and_not_computed(dead: Dead) -> None:
    done_already.update({1, 3})
    left = [dead.leave(1), dead.leave(3)]
    assert dead.go_on() == [100, 4, 300]
    assert not any(path.exists() for path in left)
    assert any("2 tasks were finished by workers that outlived their run" in text for text in dead.said)
    assert dead.session.finished is not None
    assert (dead.session.finished.cached, dead.session.finished.done) == (2, 1)


def test_a_task_of_which_several_attempts_were_left_is_taken_in_once(dead: Dead) -> None:
    left = [dead.leave(1), dead.leave(1, attempt=2)]
    assert dead.go_on() == [100, 4, 9]
    assert not any(path.exists() for path in left)
    assert len(list(dead.store.index.known(NAME))) == 3


def test_what_is_torn_is_set_aside_and_said_and_computed(dead: Dead) -> None:
    path = dead.leave(2)
    path.write_bytes(path.read_bytes()[:-1])
    assert dead.go_on() == [1, 4, 9]
    assert (path.parent / "damaged" / path.name).exists()
    assert any(
        "1 outcomes that workers of dead runs have left are not what was written" in t for t in dead.said
    )


def test_what_names_a_value_that_is_gone_is_set_aside_and_computed(dead: Dead) -> None:
    gone = Encoded("npy", None, "3f/3f" + "0" * 30 + ".npy", 10, "numpy:ndarray")
    path = dead.leave(2, value=gone)
    assert dead.go_on() == [1, 4, 9]
    assert not path.exists()
    assert any("name a value that is gone" in text for text in dead.said)


def test_what_is_of_other_code_is_not_used_and_said(dead: Dead) -> None:
    dead.leave(2, code=b"another version!")
    assert dead.go_on() == [1, 4, 9]
    assert any("are of other code, and not used" in text for text in dead.said)


def test_what_is_of_another_matrix_stays(dead: Dead) -> None:
    path = dead.leave(2, key=b"another matrix' ")
    assert dead.go_on() == [1, 4, 9]
    assert path.exists()
    assert dead.store.gc().removed == {}
    assert dead.store.gc(unfinished=True).removed
    assert not path.exists()


def test_a_failure_is_tried_again(dead: Dead) -> None:
    failure = Failure(RAISED, "ValueError", "no", "", "", None, "")
    path = dead.leave(2, status=FAILED, value=None, failure=failure)
    assert dead.go_on() == [1, 4, 9]
    assert not path.exists()


def test_of_a_run_that_lives_nothing_is_touched(tmp_path: Path) -> None:
    living = Dead(tmp_path / "store", pid=info_of().pid)
    path = living.leave(2)
    assert living.go_on() == [1, 4, 9]
    assert path.exists()
    living.store.close()


def test_a_run_that_begins_while_the_dead_are_looked_for_is_none_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = Dead(tmp_path / "store")
    dead.leave(1)
    begun: list[Dead] = []
    living = dead.store.index.living

    def then_one_begins() -> Living:
        told = living()
        begun.append(Dead(tmp_path / "store", pid=info_of().pid))
        begun[0].leave(2)
        return told

    monkeypatch.setattr(dead.store.index, "living", then_one_begins)
    assert inherited.dead_runs(dead.store) == [dead.run]
    for one in (dead, *begun):
        one.store.close()


def test_what_a_run_has_committed_itself_goes(dead: Dead) -> None:
    done, other = dead.leave(2), dead.leave(2, key=b"another matrix' ")
    dead.session.plan.rows[1] = 5
    drop_committed(dead.store.root, dead.run, dead.session.plan)
    assert (done.exists(), other.exists()) == (False, True)


def test_gc_keeps_values_as_long_as_outcomes_are_left_that_may_name_them(dead: Dead) -> None:
    from memento.values.encoding import encode

    value = encode(b"x" * 100_000, dead.store.payloads, 100)
    assert value.ref is not None
    dead.leave(2, value=value)
    dead.store.gc()
    assert dead.go_on() == [1, b"x" * 100_000, 9]


def test_what_a_pilot_ends_while_others_are_taken_in_is_there_for_the_next(
    dead: Dead, monkeypatch: pytest.MonkeyPatch
) -> None:
    pilot = Path(dead.store.root, "work", dead.run, "pilots", "p0001")
    pilot.mkdir(parents=True)
    stream = Writer(pilot / "from-1")

    def end(x: int) -> bytes:
        path = dead.leave(x)
        left = handover.read(path)
        path.unlink()
        assert left is not None
        return pack_all([Ended(left)])

    stream.append(end(1))
    commit = inherited._commit

    def slowly(*given: Any) -> None:
        commit(*given)
        stream.append(end(2), pack_all([Leaving("it has had nothing to do")]))

    monkeypatch.setattr(inherited, "_commit", slowly)
    session = dead.session
    assert inherited.take_in(dead.store, session.plan, session.code, dead.hear)
    monkeypatch.undo()
    done_already.update({1, 2})
    assert dead.go_on() == [100, 200, 9]
    assert not pilot.exists()


def fit(context: Any, config: Any) -> Any:
    if "stage" in config:
        return 1
    if Path("wait").exists():
        raise RuntimeError("it is left to others")
    return config.clean + config.x


def test_what_was_computed_from_an_older_upstream_result_is_not_taken_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that died had begun before an upstream result was computed anew, another one after it."""
    monkeypatch.chdir(tmp_path)
    store = Store.open(tmp_path / "store")
    key, codes = b"", [(b"",)]

    def leave(run: str, value: int) -> None:
        encoded = Encoded("json", str(value).encode(), None, 3, "builtins:int")
        outcome = Outcome(0, DONE, 1, 1.0, 2.0, None, None, None, "node/1", encoded, (), (), None, None)
        script = Script("script.py", "script", (), "")
        work = Work(
            run, NAME, Portable(len, ""), Portable({}, ""), [()], [], store.root, script, [], "", 1, codes=codes,
        )  # fmt: skip
        handover.leave(work, Task(0, key or b"k" * 16, 0, (), 0, 1, 0.0), outcome)

    def look(of: Store, plan: Any, code: Any, emit: Any) -> bool:
        nonlocal key, codes
        if len(plan.tasks) == 2:  # the later stage
            key, codes = plan.tasks.key(0), list(code.accepted(plan))
        return take_in(of, plan, code, emit)

    def run() -> list[Any]:
        memento = Memento(
            fit, name=NAME, store=store.root, executor="serial", progress=False, on_error="return"
        )
        memento.add_matrix({"id": "clean", "parameters": {"stage": ["clean"]}})
        memento.add_matrix({"id": "fit", "dependencies": ["clean"], "parameters": {"x": [10, 20]}})
        return [result.inner for result in (memento.run_all() or {})["fit"] or () if result.status == DONE]

    take_in = inherited.take_in
    monkeypatch.setattr(inherited, "take_in", look)
    older = store.begin(info_of(**DEAD, experiment=NAME)).name
    leave(older, 0)
    Path("wait").touch()
    assert run() == []  # the upstream result is there, and all else failed
    Path("wait").unlink()
    newer = store.begin(info_of(**DEAD, experiment=NAME)).name
    leave(older, 100)
    assert run() == [11, 21], "from an upstream result that is not there any more"
    store.forget([key])
    leave(newer, 300)
    assert run() == [300, 21]
    store.close()
