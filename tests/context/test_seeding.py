"""What a task draws comes from its key; what it drew before goes with its checkpoints."""

from __future__ import annotations

import functools
import random
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memento.context.context import Context
from memento.context.generators import kind_of, set_state, state_of
from memento.context.reach import Reach
from memento.context.seeding import LIBRARIES, Seeding
from memento.context.task_space import StopTask, TaskSpace

legacy: Any = np.random  # NumPy's types do not tell all of it


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    python, numpy = random.getstate(), np.random.get_state()
    yield
    random.setstate(python)
    np.random.set_state(numpy)


def draw() -> tuple[float, float, float]:
    return random.random(), float(np.random.random()), random.gauss(0, 1)


def test_a_key_tells_what_the_global_generators_draw() -> None:
    seeding = Seeding()
    told = []
    for key in (b"one", b"other", b"one"):
        seeding.begin(key)
        told.append(draw())
    assert told[0] == told[2]
    assert len({*told[0], *told[1]}) == 6


def test_what_a_key_makes_the_generators_draw_is_pinned() -> None:
    Seeding().begin(bytes(16))
    assert (random.getrandbits(32), int(np.random.randint(2**31))) == PINNED


PINNED = (3712633417, 1458733982)


def test_another_bit_generator_that_a_task_sets_is_gone_for_the_next() -> None:
    seeding = Seeding()
    seeding.begin(b"key")
    first = draw()
    legacy.set_bit_generator(np.random.PCG64(1))
    seeding.begin(b"key")
    assert draw() == first
    assert type(legacy.get_bit_generator()).__name__ == "MT19937"


def test_the_program_draws_afterwards_as_if_nothing_had_been() -> None:
    random.seed(3)
    np.random.seed(3)
    expected = draw()
    random.seed(3)
    np.random.seed(3)
    seeding = Seeding()
    seeding.begin(b"key")
    legacy.set_bit_generator(np.random.PCG64(1))
    draw()
    seeding.put_back()
    assert draw() == expected


@pytest.mark.parametrize("name", ["random", "numpy.random"])
def test_a_library_that_a_task_is_the_first_to_import_is_seeded_too(name: str) -> None:
    program = f"""
import sys
from memento.context.seeding import LIBRARIES, Seeding
from memento.worker.import_watch import ImportWatch
seeding = Seeding()
watch = ImportWatch(list(LIBRARIES), seeding.notice)
seeding.begin(b"key")
import {name}
print({name}.random())
seeding.begin(b"key")
print({name}.random())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=300
    )
    first, again = done.stdout.split()
    assert first == again


KINDS: dict[str, Callable[[], Any]] = {
    "random.Random": lambda: random.Random(0),
    "Generator": lambda: np.random.default_rng(0),
    "Generator of MT19937": lambda: np.random.Generator(np.random.MT19937(0)),
    "Generator of Philox": lambda: np.random.Generator(np.random.Philox(0)),
    "RandomState": lambda: np.random.RandomState(0),
    "RandomState of PCG64": lambda: np.random.RandomState(np.random.PCG64(0)),
    "bit generator": lambda: np.random.SFC64(0),
}


def drawn(generator: Any) -> list[float]:
    if isinstance(generator, np.random.BitGenerator):
        return [float(word) for word in generator.random_raw(3)]
    return [float(generator.random()) for _ in range(3)]


@pytest.mark.parametrize("name", KINDS)
def test_a_generator_that_tasks_share_has_a_child_for_each_key(name: str) -> None:
    shared = KINDS[name]()
    expected = drawn(KINDS[name]())

    def experiment() -> Any:
        return shared

    seeding = Seeding()
    seeding.follow(experiment)
    told = []
    for key in (b"one", b"other", b"one"):
        seeding.begin(key)
        told.append(drawn(shared))
    assert told[0] == told[2] != told[1]
    assert expected not in told
    seeding.put_back()
    assert drawn(shared) == expected


def test_children_of_a_shared_generator_are_a_tasks_own() -> None:
    rng = np.random.default_rng(0)
    seeding = Seeding()
    seeding.follow(lambda: rng)
    told = []
    for key in (b"one", b"other", b"one"):
        seeding.begin(key)
        told.append([child.random() for child in rng.spawn(2)])
    assert told[0] == told[2] != told[1]


@pytest.mark.parametrize("name", KINDS)
def test_the_state_of_a_generator_goes_and_comes_back(name: str) -> None:
    generator = KINDS[name]()
    kind = kind_of(generator)
    assert kind is not None
    drawn(generator)
    state = kind.state(generator)
    expected = drawn(generator)
    kind.fill(generator, state)
    assert drawn(generator) == expected


# ---------------------------------------------------------------- where shared generators stand

rng = np.random.default_rng(1)
held = {"rng": [np.random.default_rng(2)]}
bound = np.random.default_rng(3).random
home = types.ModuleType("tests.context.test_seeding_home")


class Sampler:
    chance = random.Random(4)

    def __init__(self) -> None:
        self.own = np.random.default_rng(5)

    def draw(self) -> float:
        return float(rng.random())


sampler = Sampler()


def helper() -> float:
    return float(rng.random())


def made_inside() -> Any:
    captured = random.Random(6)

    def inner() -> float:
        return captured.random()

    return inner


def by_default(chance: random.Random = random.Random(7)) -> float:  # noqa: B008
    return chance.random()


@functools.lru_cache
def cached() -> float:
    return float(rng.random())


WAYS: dict[str, tuple[Any, list[str]]] = {
    "named": (lambda: rng.random(), ["rng"]),
    "through a helper": (lambda: helper(), ["rng"]),
    "in containers": (lambda: held["rng"], ["held['rng'][0]"]),
    "a bound method": (lambda: bound(), ["bound"]),
    "an attribute of a class": (lambda: Sampler.chance, ["rng", "Sampler.chance"]),
    "an attribute of an object": (lambda: sampler.own, ["rng", "sampler.own", "Sampler.chance"]),
    "a method of an object": (sampler.draw, ["rng", "own", "Sampler.chance"]),
    "captured": (made_inside(), ["captured"]),
    "a default": (by_default, ["a default of by_default()"]),
    "a partial": (functools.partial(by_default, random.Random(8)), ["a default of by_default()", "it"]),
    "behind a cache": (lambda: cached(), ["rng"]),
    "in a comprehension": (lambda: [rng.random() for _ in range(3)], ["rng"]),
    "a class": (Sampler, ["rng", "Sampler.chance"]),
    "global functions": (lambda: (random.random(), np.random.rand()), []),
    "made by the task": (lambda: np.random.default_rng(0).random(), []),
}


@pytest.mark.parametrize("name", WAYS)
def test_generators_are_found_wherever_the_experiment_has_them(name: str) -> None:
    function, labels = WAYS[name]
    assert sorted(label for label, _ in Reach().generators(function)) == sorted(labels)


# ---------------------------------------------------------------- checkpoints and loops

START = state_of(rng)


def test_a_generator_of_a_class_is_found_however_much_the_class_has() -> None:
    wide = type("Wide", (), {**{f"field{n}": n for n in range(2_000)}, "rng": random.Random(1)})
    wide.__module__ = __name__
    assert [label for label, _ in Reach().generators(wide)] == ["Wide.rng"]


def context(store: Path, attempt: int = 1, **options: Any) -> Context:
    set_state(rng, START)  # as in a program that has just been started
    seeding = Seeding()
    seeding.follow(helper)
    seeding.begin(b"k" * 16)
    return Context.for_task(TaskSpace(str(store), "run", b"k" * 16, attempt, seeding=seeding, **options))


def all_draws(told: Context) -> list[float]:
    return [
        random.random(), random.gauss(0, 1), float(np.random.random()), float(np.random.normal()),
        float(told.rng.random()), float(told.shared_rng.random()), float(told.rng.spawn(1)[0].random()), helper(),
    ]  # fmt: skip


def test_a_checkpoint_brings_back_what_every_generator_draws_next(tmp_path: Path) -> None:
    first = context(tmp_path)
    all_draws(first)
    first.checkpoint("state")
    expected = all_draws(first)
    second = context(tmp_path, 2)
    own = second.rng
    assert second.restore() == "state"
    assert all_draws(second) == expected
    assert second.rng is own


Work = Callable[[Context, list[Any], Callable[[], None]], None]


def run(store: Path, attempt: int, stop: int | None, work: Work) -> list[Any] | None:
    """One attempt, which is asked to stop after so many steps; returns what it drew, once it is through."""
    steps = [0]

    def step() -> None:
        steps[0] += 1

    told = context(store, attempt, stopping=lambda: stop is not None and steps[0] >= stop)
    state: list[Any] = []
    try:
        work(told, state, step)
    except StopTask:
        return None
    return state


def flat(told: Context, state: list[Any], step: Callable[[], None]) -> None:
    for _ in told.loop(range(5), state):
        state.append(all_draws(told))
        step()


def shuffled(told: Context, state: list[Any], step: Callable[[], None]) -> None:
    def loader() -> Iterator[int]:  # draws what it yields, as a loader that shuffles
        yield from np.random.permutation(5)

    for item in told.loop(loader(), state):
        state.append((int(item), all_draws(told)))
        step()


def one_by_one(told: Context, state: list[Any], step: Callable[[], None]) -> None:
    for item in told.loop((random.random() for _ in range(5)), state):
        state.append((item, all_draws(told)))
        step()


def nested(told: Context, state: list[Any], step: Callable[[], None]) -> None:
    for _ in told.loop(range(3), {}):
        order = np.random.permutation(4).tolist()  # runs again when the inner loop goes on
        for item in told.loop(order, state):
            state.append((item, all_draws(told)))
            step()
        random.random()


def in_a_row(told: Context, state: list[Any], step: Callable[[], None]) -> None:
    random.random()
    for _ in told.loop(range(3), state, name="first"):
        state.append(all_draws(told))
        step()
    between = random.random()
    for _ in told.loop(range(3), state, name="second"):
        state.append((between, all_draws(told)))
        step()


@pytest.mark.parametrize("work", [flat, shuffled, one_by_one, nested, in_a_row])
def test_an_interrupted_loop_draws_what_an_uninterrupted_one_draws(work: Any, tmp_path: Path) -> None:
    expected = run(tmp_path / "whole", 1, None, work)
    assert expected
    for stop in range(1, 7):
        store = tmp_path / f"stopped after {stop}"
        attempt, result = 1, None
        while result is None:
            result = run(store, attempt, stop, work)
            attempt += 1
            assert attempt < 20
        assert result == expected


def test_a_loop_that_first_comes_inside_a_later_short_item_is_saved_with_the_next(tmp_path: Path) -> None:
    """What stands before it in the item drew already, and nobody had looked."""

    def late(told: Context, state: list[Any], step: Callable[[], None]) -> None:
        for i in told.loop(range(6), {}):
            before = random.random()
            for _ in told.loop(range(2) if i >= 3 else (), state):
                state.append((before, random.random()))
                step()

    expected = run(tmp_path / "whole", 1, None, late)
    for stop in range(1, 5):
        store, result = tmp_path / str(stop), None
        for attempt, limit in ((1, stop), (2, None)):
            result = run(store, attempt, limit, late)
        assert result == expected


def test_what_tasks_of_one_repeat_share_is_the_same_for_all_of_them(tmp_path: Path) -> None:
    def told(key: int, repeat: int) -> tuple[int, float]:
        one = Context.for_task(TaskSpace(str(tmp_path), "run", bytes([key]) * 16, repeat=repeat))
        return one.shared_seed, float(one.shared_rng.random())

    assert told(1, 0) == told(2, 0) != told(1, 1)
    # Results of other programs were computed with these: a release that changes them is a breaking one.
    assert [told(3, repeat)[0] for repeat in range(3)] == [912651911, 603554536, 3883576744]
    assert told(3, 1)[1] == 0.28760286794925505


def test_a_shared_step_draws_the_same_whoever_computes_it_and_costs_the_task_no_draw(tmp_path: Path) -> None:
    def task(key: int, *, again: bool) -> tuple[Any, list[float]]:
        seeding = Seeding()
        seeding.begin(bytes([key]) * 16)
        store = tmp_path / f"{'again' if again else key}"
        told = Context.for_task(TaskSpace(str(store), f"run {store}", bytes([key]) * 16, seeding=seeding))
        random.random()
        value = told.cached(draw)
        return value, list(draw())

    one, other = task(1, again=False), task(2, again=False)
    assert one[0] == other[0], "each has computed it, in a store of its own"
    assert one[1] != other[1]
    assert [task(1, again=True), task(2, again=True)] == [one, other], "the second takes it from the store"


def test_a_library_that_another_thread_imports_while_a_task_begins_disturbs_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seeding = Seeding()
    seeding.begin(b"key")
    told = draw()
    monkeypatch.setitem(sys.modules, "torch", types.ModuleType("torch"))
    begin, fresh = random.Random.seed, iter([None])

    def seed(generator: random.Random, number: Any) -> None:
        if next(fresh, 1) is None:  # the import ends here
            seeding.notice("torch")
        begin(generator, number)

    class Library:
        def __init__(self, module: object) -> None: ...
        def begin(self, key: bytes) -> None: ...
        def put_back(self) -> None: ...

    monkeypatch.setattr(random.Random, "seed", seed)
    monkeypatch.setattr("memento.context.seeding.LIBRARIES", {**LIBRARIES, "torch": Library})
    seeding.begin(b"key")
    assert draw() == told
    seeding.put_back()


def test_generators_that_a_task_of_another_run_draws_from_are_left_alone() -> None:
    seeding = Seeding()
    random.seed(1)
    expected = [random.random() for _ in range(2)]
    random.seed(1)
    seeding.begin(b"key", has_company=True)
    told = [random.random()]
    with seeding.apart(b"other"):
        told.append(random.random())
    seeding.bring_back(seeding.states())
    assert told == expected
    assert seeding.states() == {}
