"""What a task can ask of its context."""

from __future__ import annotations

import math
import pickle
import signal
import subprocess
import sys
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memento.context.context import Context
from memento.context.loop import parse_every
from memento.context.metrics import Metrics
from memento.context.space import Resources, StopTask, TaskSpace
from memento.records import Piece


class Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


@pytest.fixture
def store(tmp_path: Path) -> str:
    return str(tmp_path / "my store")


def context(store: str, key: int = 0, **options: Any) -> Context:
    return Context.for_task(TaskSpace(store, "run", bytes([key]) * 16, **options))


def y(told: Context, name: str) -> list[float]:
    values: list[float] = told.collect_metrics()[name]["y"].tolist()
    return values


class Scalar:
    """As torch's scalars are."""

    shape = ()

    def item(self) -> float:
        return 2.5


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1.5, 1.5), (3, 3.0), (True, 1.0), (np.float32(0.5), 0.5), (np.int64(4), 4.0), (np.array(2.0), 2.0),
        (np.array([7]), 7.0), (Scalar(), 2.5), (np.bool_(True), 1.0),
    ],
)  # fmt: skip
def test_record_takes_every_kind_of_number(value: Any, expected: float) -> None:
    told = Context("key")
    told.record({"m": value})
    told.record({"m": (np.int32(9), value)})
    assert y(told, "m") == [expected, expected]
    assert told.collect_metrics()["m"]["x"].iloc[1] == 9.0


@pytest.mark.parametrize("value", ["1", None, [1, 2, 3], np.zeros(2), 1j, (1, "a"), {}])
def test_record_names_the_metric_and_type_of_what_is_no_number(value: Any) -> None:
    with pytest.raises(TypeError, match="metric 'loss'"):
        Context("key").record({"loss": value})


def test_values_of_one_call_have_one_time_and_a_pair_keeps_its_x_to_itself(store: str) -> None:
    clock = Clock()
    told = context(store, clock=clock)
    told.record({"a": 1, "b": (5, 2), "c": 3})
    frames = told.collect_metrics()
    assert [frames[n]["x"][0] for n in "abc"] == [1000.0, 5.0, 1000.0]


def test_series_are_packed_for_the_store() -> None:
    told = Context("key")
    for step, value in enumerate([3.0, math.nan, 1.0]):
        told.record({"loss": (step, value)})
    (series,) = told.series()
    assert series[:5] == ("loss", 3, 1.0, 1.0, 3.0)
    assert np.frombuffer(series.data, "<f8")[:3].tolist() == [0.0, 1.0, 2.0]


def test_live_updates_come_at_most_once_an_interval(store: str) -> None:
    clock, seen = Clock(), []
    told = context(store, clock=clock, live=lambda *args: seen.append(args), live_every=0.5)
    for i in range(100):
        told.record({"loss": i})
        told.progress(1, 100)
        clock.time += 0.1
    assert 15 <= len(seen) <= 21
    assert seen[-1][1] == 100.0
    assert seen[-1][2]["loss"] >= 90


@pytest.mark.parametrize("odd", [("a", None), (None, 3), (1, "x"), (math.nan, [])])
def test_progress_never_raises(odd: Any, store: str) -> None:
    context(store, live=lambda *_: None).progress(*odd)


def test_one_value_comes_back_as_itself_several_as_a_tuple(store: str) -> None:
    context(store).checkpoint([1])
    assert context(store).restore() == [1]
    context(store).checkpoint(1, "b")
    assert context(store).restore() == (1, "b")
    context(store).checkpoint()
    assert context(store).restore() == ()


def test_restoring_without_a_checkpoint_is_a_key_error(store: str) -> None:
    assert not context(store).checkpoint_exist()
    with pytest.raises(KeyError, match="checkpoint_exist"):
        context(store).restore()


def test_metrics_recorded_before_a_checkpoint_come_back_exactly_once(store: str) -> None:
    first = context(store)
    first.record({"loss": 3})
    first.record({"loss": 2})
    first.checkpoint("state")
    first.record({"loss": 99})  # lost with the attempt
    second = context(store, attempt=2)
    second.restore()
    second.record({"loss": 1})
    second.checkpoint("state")
    second.restore()
    second.restore()
    assert y(second, "loss") == [3, 2, 1]


def test_metrics_recorded_before_restore_are_kept(store: str) -> None:
    first = context(store)
    first.record({"loss": 3})
    first.checkpoint("state")
    second = context(store)
    second.record({"loss": 7})
    second.restore()
    assert y(second, "loss") == [3, 7]


class Ancestral:
    """A checkpoint provider, as 1.2.0 has them."""

    def __init__(self) -> None:
        self.items: dict[str, Any] = {}

    def get(self, key: str) -> Any:
        return self.items[key]

    def set(self, key: str, item: Any) -> None:
        self.items[key] = item

    def contains(self, key: str) -> bool:
        return key in self.items

    def remove(self, key: str) -> None:
        del self.items[key]


def test_the_constructor_of_1_2_0_works_alone() -> None:
    provider = Ancestral()
    old = Context("key", provider)
    old.checkpoint(1)
    assert (old.checkpoint_exist(), old.restore(), old.key) == (True, 1, "key")
    with pytest.raises(RuntimeError, match="belongs to no store"):
        _ = old.directory


def test_what_a_task_is_told_of_itself(store: str) -> None:
    told = context(store, 7, attempt=3, resources=Resources(2, ("0",)), stopping=lambda: True)
    assert (told.key, told.attempt, told.resources.gpus, told.stopping) == ("07" * 16, 3, ("0",), True)


def test_seed_and_rng_are_the_same_again_and_differ_between_tasks(store: str) -> None:
    one, again, other = context(store, 1), context(store, 1, attempt=2), context(store, 2)
    assert one.seed == again.seed != other.seed
    assert 0 <= one.seed < 2**32
    first = one.rng.random(3).tolist()
    assert first == again.rng.random(3).tolist() != other.rng.random(3).tolist()
    assert one.rng is one.rng


def test_the_seed_of_a_key_is_pinned() -> None:
    assert Context("00" * 16).seed == 2475792558


def test_the_folder_of_a_task_is_kept_across_attempts(store: str) -> None:
    (context(store).directory / "notes").write_text("x")
    assert (context(store, attempt=2).directory / "notes").read_text() == "x"


def test_artifacts_that_were_written_are_named(store: str) -> None:
    told = context(store)
    told.artifact("plots/roc.png").write_text("x")
    told.artifact("never.txt")
    assert told.artifact_names() == ("plots/roc.png",)


def test_an_artifact_whose_name_no_disk_takes_was_not_written(store: str) -> None:
    told = context(store)
    told.artifact("x" * 400)
    assert told.artifact_names() == ()


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "", "a//b", "c:/x", "a\\..\\..\\b", "."])
def test_an_artifact_never_leaves_its_folder(name: str, store: str) -> None:
    with pytest.raises(ValueError, match="relative name"):
        context(store).artifact(name)


def test_what_is_logged_stands_on_standard_error(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    context(store).logger.info("epoch %d", 3)
    assert capsys.readouterr().err.endswith("INFO epoch 3\n")


# ---------------------------------------------------------------- loops


class Model:
    """As torch's modules and optimizers are."""

    def __init__(self) -> None:
        self.weights = [0]

    def state_dict(self) -> dict[str, Any]:
        return {"weights": list(self.weights)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.weights[:] = state["weights"]


class Plain:
    """An object with attributes only."""

    def __init__(self) -> None:
        self.total = 0


def train(
    store: str, items: Any, stop_after: int | None, every: Any = "1 step", name: str | None = None
) -> Any:
    """One attempt: returns what was seen, and the sum that it keeps; stopped after so many items."""
    seen: list[int] = []
    told = context(store, stopping=lambda: stop_after is not None and len(seen) >= stop_after)
    state = {"total": 0}
    try:
        for item in told.loop(items, state, every=every, name=name):
            seen.append(item)
            state["total"] += item
            told.record({"item": item})
    except StopTask:
        return seen, None
    return seen, (state["total"], y(told, "item"))


@pytest.mark.parametrize("items", [range(6), list(range(6)), np.arange(6)], ids=["range", "list", "array"])
def test_a_loop_goes_on_where_it_was_stopped(items: Any, store: str) -> None:
    assert train(store, items, 2) == ([0, 1], None)
    assert train(store, items, 1) == ([2], None)
    assert train(store, items, None) == ([3, 4, 5], (15, [0, 1, 2, 3, 4, 5]))


def test_a_loop_over_a_generator_skips_what_is_done(store: str) -> None:
    train(store, (i for i in range(5)), 2)
    assert train(store, (i for i in range(5)), None)[0] == [2, 3, 4]


@settings(max_examples=15)
@given(stops=st.lists(st.integers(1, 4), max_size=4), every=st.integers(1, 4))
def test_however_often_a_loop_is_stopped_each_item_is_done_once(
    stops: list[int], every: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = str(tmp_path_factory.mktemp("store"))
    seen = [item for stop in stops for item in train(store, range(20), stop, every=f"{every} steps")[0]]
    last, (total, recorded) = train(store, range(20), None)
    assert seen + last == list(range(20)) == recorded
    assert total == 190


def test_a_loop_saves_when_its_time_has_come(store: str) -> None:
    clock = Clock()
    told = context(store, clock=clock)
    state = {"n": 0}
    for i in told.loop(range(10), state, every="10s"):
        state["n"] = i
        clock.time += 4
        if i == 4:
            break
    again = {"n": -1}
    assert next(iter(context(store).loop(range(10), again, every="10s"))) == 3
    assert again == {"n": 2}


@pytest.mark.parametrize("make", [Model, Plain, list, deque, set, dict, bytearray, lambda: np.zeros(1)])
def test_every_kind_of_state_is_filled_in_place(make: Any, store: str) -> None:
    def change(state: Any) -> None:
        if isinstance(state, Model):
            state.weights.append(5)
        elif isinstance(state, Plain):
            state.total = 5
        elif isinstance(state, (list, deque, bytearray)):
            state.append(5)
        elif isinstance(state, set):
            state.add(5)
        else:
            state[0] = 5

    state, stop = make(), [False]
    with pytest.raises(StopTask):  # noqa: PT012 - it is the loop that raises
        for _ in context(store, stopping=lambda: stop[0]).loop(range(3), state):
            change(state)
            stop[0] = True
    again = make()
    next(iter(context(store).loop(range(3), again)))
    whole = [pickle.dumps(vars(s) if hasattr(s, "__dict__") else s) for s in (state, again)]
    assert whole[0] == whole[1]


def test_parts_with_a_state_dict_are_filled_where_they_stand(store: str) -> None:
    model, stop = Model(), [False]
    with pytest.raises(StopTask):  # noqa: PT012 - it is the loop that raises
        for i in context(store, stopping=lambda: stop[0]).loop(range(3), {"model": model, "epoch": 0}):
            model.weights.append(i + 8)
            stop[0] = True
    again = Model()
    state = {"model": again, "epoch": 0}
    next(iter(context(store).loop(range(3), state)))
    assert state["model"] is again
    assert again.weights == [0, 8]


@pytest.mark.parametrize("state", [3, "abc", (1, 2)])
def test_a_state_that_cannot_be_filled_in_place_is_refused(state: Any, store: str) -> None:
    with pytest.raises(TypeError, match="cannot be filled in place"):
        context(store).loop(range(3), state)


def test_nested_loops_go_on_inside(store: str) -> None:
    def attempt(stop_after: int | None) -> tuple[list[tuple[int, int]], dict[str, int]]:
        seen: list[tuple[int, int]] = []
        told = context(store, stopping=lambda: stop_after is not None and len(seen) >= stop_after)
        outer, inner = {"sum": 0}, {"sum": 0}
        try:
            for a in told.loop(range(3), outer):
                inner["sum"] = 0
                for b in told.loop(range(3), inner):
                    seen.append((a, b))
                    inner["sum"] += b
                outer["sum"] += inner["sum"]
        except StopTask:
            pass
        return seen, outer

    first, _ = attempt(5)
    second, outer = attempt(None)
    assert first + second == [(a, b) for a in range(3) for b in range(3)]
    assert outer == {"sum": 9}


def test_a_second_loop_brings_back_what_the_first_one_trained(store: str) -> None:
    def attempt(stop: bool) -> tuple[list[str], dict[str, int]]:
        seen, state = [], {"n": 0}
        told = context(store, stopping=lambda: stop and "b1" in seen)
        try:
            for kind in "ab":
                for i in told.loop(range(3), state):
                    seen.append(f"{kind}{i}")
                    state["n"] += 1
        except StopTask:
            pass
        return seen, state

    attempt(stop=True)
    assert attempt(stop=False) == (["b2"], {"n": 6})


@pytest.mark.parametrize(
    ("text", "seconds", "steps"),
    [("10min", 600, None), ("30s", 30, None), ("2h", 7200, None), (5, 5, None), ("1.5 h", 5400, None),
     ("100 steps", None, 100), ("1 iteration", None, 1), ("5 epochs", None, 5), ("250ms", 0.25, None)],
)  # fmt: skip
def test_intervals_are_read(text: Any, seconds: Any, steps: Any) -> None:
    assert parse_every(text) == (seconds, steps)


@pytest.mark.parametrize("text", ["", "soon", "10 parsecs", "0.5 steps", "-3", True, None])
def test_an_interval_that_is_none_says_what_would_be_right(text: Any) -> None:
    with pytest.raises(ValueError, match="give seconds, or a text like"):
        parse_every(text)


LOOPER = """
import sys
from memento.context.context import Context
from memento.context.space import TaskSpace
context = Context.for_task(TaskSpace(sys.argv[1], "run", bytes(16)))
state = {"sum": 0}
for i in context.loop(range(int(sys.argv[2])), state, every="1 step"):
    state["sum"] += i
    context.record({"i": i})
    print(i, flush=True)
print("sum", state["sum"], len(context.collect_metrics()["i"]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_loop_survives_kill_9(store: str) -> None:
    for lines in (1, 4, 2):
        with subprocess.Popen(
            [sys.executable, "-c", LOOPER, store, "100000"], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            for _ in range(lines):
                last = int(process.stdout.readline())
            process.send_signal(signal.SIGKILL)
            rest = process.stdout.read().split()
            last = int(rest[-1]) if rest else last
    done = subprocess.run(
        [sys.executable, "-c", LOOPER, store, str(last + 5)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    n = last + 5
    assert done.stdout.splitlines()[-1] == f"sum {n * (n - 1) // 2} {n}"


def test_metrics_survive_any_order_of_saving_and_restoring() -> None:
    metrics = Metrics()
    metrics.record({"a": 1.0}, 0.0)
    early = metrics.packed()
    metrics.record({"a": 2.0}, 0.0)
    late = metrics.packed()
    fresh = Metrics()
    for packed in (early, late, early, late):
        fresh.restore(packed)
    assert fresh.latest() == {"a": 2.0}
    assert len(fresh.curves["a"].y) == 2


def attempt(started: float, runtime: float) -> Any:
    """An attempt of a run, with what it has done so far."""
    return lambda: Piece(f"run-{int(started)}", 1, started, runtime, None, None, "host/1", None)


@pytest.mark.parametrize("way", ["checkpoint", "loop", "both"])
def test_a_checkpoint_tells_what_each_attempt_before_it_gave(store: str, way: str) -> None:
    def go_on(told: Context) -> None:
        if way != "loop":
            told.restore() if told.checkpoint_exist() else None
            told.checkpoint(1)
        if way != "checkpoint":
            for count, _ in enumerate(told.loop(range(10), {}, every="1 steps")):
                if count == 1:
                    break

    for started in (1.0, 2.0, 3.0):
        told = context(store, so_far=attempt(started, 10 * started))
        go_on(told)
        assert [(piece.started, piece.runtime) for piece in told.earlier] == [
            (n, 10 * n) for n in (1.0, 2.0) if n < started
        ]


def test_what_an_attempt_restores_of_itself_is_no_earlier_one(store: str) -> None:
    told = context(store, so_far=attempt(1.0, 5.0))
    told.checkpoint("a")
    assert told.restore() == "a"
    assert told.earlier == ()


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda context: context.record("loss", 1), "context.record({'loss': 1})."),
        (lambda context: context.record("loss", 1, 3), "context.record({'loss': 1}, step=3)."),
        (lambda context: context.record(loss=1), "context.record({'loss': 1})."),
        (lambda context: context.record(loss=1, step=3), "context.record({'loss': 1}, step=3)."),
        (lambda context: context.record(3.0), "context.record({'loss': 0.3})."),
        (lambda context: context.record(), "context.record({'loss': 0.3})."),
        (lambda context: context.log_metric("loss", 1), "context.record({'loss': 0.3})."),
        (lambda context: context.save(1), "context.checkpoint(state)."),
        (lambda context: context.load(), "context.restore()"),
        (lambda context: context.config, "config.settings['name']"),
        (lambda context: context.epoch, "step=epoch"),
        (lambda context: context.device, "context.resources.gpus."),
        (lambda context: context.n_jobs, "context.resources.cpus."),
        (lambda context: context.log_artifact("a"), "context.artifact("),
        (lambda context: context.recrod({"a": 1}), "context.record."),
        (lambda context: context.something, "it has: artifact, attempt, cached"),
    ],
    ids=map(str, range(16)),
)
def test_what_other_tools_call_otherwise_is_answered_by_the_right_line(call: Any, line: str) -> None:
    with pytest.raises((TypeError, AttributeError)) as told:
        call(Context("key"))
    assert line in str(told.value)


def test_a_context_can_be_asked_whether_it_has_something() -> None:
    assert not hasattr(Context("key"), "save")
    assert getattr(Context("key"), "__wrapped__", None) is None


def test_a_step_is_the_x_of_what_brings_none() -> None:
    told = Context("key")
    told.record({"loss": 0.5, "lr": (9, 0.1)}, step=np.int64(7))
    told.record({"loss": 0.4}, 8)
    frames = told.collect_metrics()
    assert (frames["loss"]["x"].tolist(), frames["lr"]["x"].tolist()) == ([7.0, 8.0], [9.0])
