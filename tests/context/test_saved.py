"""A loop's state comes back in place: whatever is nested in whatever, the task's own names stay good."""

from __future__ import annotations

import array
import dataclasses
import io
import itertools
import pickle
import random
import threading
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memento.context.saved import capture, fill
from memento.context.states import CannotFill, check, how_to_fill


class Plain:
    def __init__(self, **parts: Any) -> None:
        vars(self).update(parts)


class Slotted:
    __slots__ = ("part", "total")

    def __init__(self, part: Any) -> None:
        self.part, self.total = part, 0


class Stateful:
    """As torch's modules are."""

    def __init__(self) -> None:
        self.weights = np.zeros(2)

    def state_dict(self) -> dict[str, Any]:
        return {"weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.weights[...] = state["weights"]


class Pickled:
    """Says itself what of it is state: not the lock."""

    def __init__(self, part: Any) -> None:
        self.part, self.total, self.lock = part, 0, threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {"part": self.part, "total": self.total}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)


@dataclasses.dataclass
class Record:
    part: Any
    total: int = 0


@dataclasses.dataclass(frozen=True)
class Frozen:
    part: Any
    name: str = "frozen"


class OwnList(list):  # type: ignore[type-arg]
    note = ""


Pair = namedtuple("Pair", ["first", "second"])


def saved_and_read(state: Any) -> Any:
    return pickle.loads(pickle.dumps(capture(state), protocol=5))


# ---------------------------------------------------------------- any nesting

LEAVES: dict[str, Callable[[], Any]] = {
    "array": lambda: np.zeros(3),
    "generator": lambda: np.random.default_rng(0),
    "python": lambda: random.Random(0),
    "legacy": lambda: np.random.RandomState(0),
    "numbers": lambda: [1, 2],
    "set": lambda: {1},
    "bytes": lambda: bytearray(b"a"),
    "typed": lambda: array.array("d", [1.0]),
    "stateful": Stateful,
    "counter": lambda: Counter({"a": 1}),
    "number": lambda: 1,
    "none": lambda: None,
    "text": lambda: "text",
}
CONTAINERS: dict[str, Callable[[list[Any]], Any]] = {
    "list": list,
    "deque": deque,
    "dict": lambda parts: dict(enumerate(parts)),
    "ordered": lambda parts: OrderedDict(enumerate(parts)),
    "default": lambda parts: defaultdict(list, enumerate(parts)),
    "tuple": lambda parts: tuple(parts),
    "object": lambda parts: Plain(**{f"part{i}": part for i, part in enumerate(parts)}),
    "namespace": lambda parts: SimpleNamespace(**{f"part{i}": part for i, part in enumerate(parts)}),
    "slots": lambda parts: Slotted(parts),
    "record": lambda parts: Record(parts),
    "frozen": lambda parts: Frozen(parts),
    "own list": lambda parts: OwnList(parts),
    "pickled": lambda parts: Pickled(parts),
}


def specs() -> Any:
    leaf: Any = st.sampled_from([*LEAVES, "again"]).map(lambda kind: (kind, []))
    return st.recursive(
        leaf,
        lambda inner: st.tuples(st.sampled_from([*CONTAINERS]), st.lists(inner, max_size=4)),
        max_leaves=12,
    )


def build(spec: Any, leaves: list[Any]) -> Any:
    """Make what a spec says, anew; `leaves` gets all that a task may have a name for, in order."""
    kind, parts = spec
    if kind == "again":  # something that stands elsewhere already
        made = leaves[-1] if leaves else None
    elif kind in LEAVES:
        made = LEAVES[kind]()
    else:
        made = CONTAINERS[kind]([build(part, leaves) for part in parts])
    if how_to_fill(made) not in ("plain", "tuple", "frozen"):
        leaves.append(made)
    return made


def change(value: Any, number: int) -> None:
    if isinstance(value, np.ndarray):
        value += number
    elif isinstance(value, np.random.Generator):
        value.random(number)
        value.spawn(1)
    elif isinstance(value, (random.Random, np.random.RandomState)):
        value.normalvariate(0, 1) if isinstance(value, random.Random) else value.normal(size=number)
    elif isinstance(value, Counter):
        value["b"] = number
    elif isinstance(value, dict):
        value["new"] = number
    elif isinstance(value, set):
        value.add(number)
    elif isinstance(value, Stateful):
        value.weights += number
    elif isinstance(value, OwnList):
        value.note = str(number)
        value.append(number)
    elif isinstance(value, (list, deque)):
        value.append(number)
    elif isinstance(value, bytearray):
        value += b"b"
    elif isinstance(value, array.array):
        value.append(number)
    elif isinstance(value, SimpleNamespace):
        value.total = number
    else:
        value.total = number


def told(value: Any, seen: dict[int, int]) -> Any:
    """Describe a structure: what it holds, and what in it is one object."""
    if isinstance(value, (int, str, type(None))):
        return value
    if id(value) in seen:
        return "again", seen[id(value)]
    seen[id(value)] = len(seen)
    kind = type(value).__name__
    if isinstance(value, np.ndarray):
        return kind, value.tolist()
    if isinstance(value, np.random.Generator):
        return kind, str(value.bit_generator.state), str(value.bit_generator.seed_seq)
    if isinstance(value, random.Random):
        return kind, value.getstate()
    if isinstance(value, np.random.RandomState):
        return kind, str(value.get_state(legacy=False))
    if isinstance(value, dict):
        return kind, [(key, told(part, seen)) for key, part in value.items()]
    if isinstance(value, (list, deque, tuple)):
        return kind, [told(part, seen) for part in value], getattr(value, "note", "")
    if isinstance(value, (set, bytearray, array.array)):
        return kind, repr(value)
    names = sorted(getattr(value, "__slots__", None) or vars(value).keys() - {"lock"})
    return kind, [(name, told(getattr(value, name), seen)) for name in names]


@pytest.mark.slow
@given(spec=specs().filter(lambda spec: spec[0] in CONTAINERS and spec[0] not in ("tuple", "frozen")))
def test_any_nesting_is_filled_in_place(spec: Any) -> None:
    before: list[Any] = []
    after: list[Any] = []
    first, second = build(spec, before), build(spec, after)
    names = {id(leaf): leaf for leaf in after}
    check(first)
    for number, leaf in enumerate({id(leaf): leaf for leaf in before}.values(), 1):
        change(leaf, number)
    fill(second, saved_and_read(first))
    assert told(second, {}) == told(first, {})
    # What the task has a name for is what stands there now.
    again: list[Any] = []
    held(second, again, set())
    assert {
        id(leaf) for leaf in again if how_to_fill(leaf) not in ("plain", "tuple", "frozen", "")
    } >= names.keys()


def held(value: Any, found: list[Any], seen: set[int]) -> None:
    if id(value) in seen:
        return
    seen.add(id(value))
    found.append(value)
    if isinstance(value, dict):
        parts = list(value.values())
    elif isinstance(value, (list, deque, tuple)):
        parts = list(value)
    elif isinstance(value, (Plain, SimpleNamespace, Record, Frozen, Pickled)):
        parts = [part for name, part in vars(value).items() if name != "lock"]
    elif isinstance(value, Slotted):
        parts = [value.part]
    else:
        parts = []
    for part in parts:
        held(part, found, seen)


def test_what_leads_back_to_itself_is_filled() -> None:
    def make() -> Any:
        ring: list[Any] = [0]
        ring.append({"ring": ring})
        return ring

    first, second = make(), make()
    first[0] = 7
    inner = second[1]
    fill(second, saved_and_read(first))
    assert second[0] == 7
    assert second[1] is inner
    assert inner["ring"] is second


def test_what_two_names_shared_when_it_was_saved_is_one_object_again() -> None:
    first: dict[str, Any] = {"now": [1], "best": None}
    first["best"] = first["now"]
    second: dict[str, Any] = {"now": [1], "best": None}
    now = second["now"]
    fill(second, saved_and_read(first))
    assert second["best"] is second["now"] is now


@pytest.mark.parametrize(
    "make",
    [lambda: (np.zeros(2), [1]), lambda: Pair(np.zeros(2), [1]), lambda: Frozen([1])],
    ids=["tuple", "named tuple", "frozen dataclass"],
)
def test_a_value_that_cannot_change_is_a_state_if_its_parts_can(make: Callable[[], Any]) -> None:
    first, second = make(), make()
    change(first.part if isinstance(first, Frozen) else first[1], 5)
    check(first)
    fill(second, saved_and_read(first))
    assert told(second, {}) == told(first, {})


def test_an_array_of_another_shape_is_replaced_where_something_holds_it() -> None:
    state = {"array": np.zeros(2)}
    fill(state, saved_and_read({"array": np.ones(3)}))
    assert state["array"].tolist() == [1, 1, 1]
    with pytest.raises(CannotFill, match=r"array of shape \(3,\).*shape \(2,\)"):
        fill(np.zeros(2), saved_and_read(np.ones(3)))


def test_a_part_with_a_state_dict_that_is_gone_is_an_error_that_names_it() -> None:
    with pytest.raises(CannotFill, match=r"state\['model'\] is a Stateful"):
        fill({"model": None}, saved_and_read({"model": Stateful()}))


def callback() -> None:
    pass


def test_functions_stay_what_they_are_and_bring_no_second_self_of_what_they_hold() -> None:
    class Trainer:
        def __init__(self) -> None:
            self.weights = np.zeros(1)
            self.step = lambda: self.weights
            self.method = self.forward
            self.after = callback

        def forward(self) -> Any:
            return self.weights

    first, second = Trainer(), Trainer()
    first.weights += 5
    fill(second, capture(first))
    assert second.step() is second.method() is second.weights  # type: ignore[no-untyped-call]  # a lambda
    assert second.weights[0] == 5
    assert second.after is callback


# ---------------------------------------------------------------- what is refused

REFUSED: dict[str, Any] = {
    "number": 1,
    "text": "a",
    "fraction": 0.5,
    "numbers": (1, 2),
    "scalar": np.float64(1),
    "frozen set": frozenset({1}),
    "frozen value": Frozen(1),
    "function": callback,
    "iterator": iter([1]),
    "generator": (i for i in range(3)),
    "count": itertools.count(),
    "lock": threading.Lock(),
    "iterator in a dict": {"it": iter([1])},
    "file in an object": Plain(log=io.StringIO().readlines, out=io.TextIOWrapper(io.BytesIO())),
    "lock in a tuple in a list": [([1], threading.Lock())],
    "key with a state": {Plain(): 1},
    "item with a state": {Plain()},
    "number beside a list": ([1], 2),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_filled_in_place_is_refused(name: str) -> None:
    with pytest.raises(TypeError, match=r"cannot be filled in place") as caught:
        check(REFUSED[name])
    assert ("state_dict" in str(caught.value)) or ('state["total"] += 1' in str(caught.value))
