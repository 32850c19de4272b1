"""What a task changes of its values, the next does not see; what cannot be copied is the program's own object."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from memento import Memento
from memento.values import pickling
from memento.worker.task_values import TaskValues, copied, copies, is_unchangeable, unpacked


class Unpicklable:
    """Can be copied, and not pickled."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError("no pickle of this")

    def __deepcopy__(self, memo: dict[int, Any]) -> Unpicklable:
        copy = Unpicklable()
        copy.seen = list(self.seen)
        return copy


@pytest.mark.parametrize(
    "value",
    [[1], {"a": [1]}, {1, 2}, bytearray(b"x"), Unpicklable(), [[Unpicklable()]], [1, threading.Lock()]],
    ids=["list", "dict", "set", "bytearray", "object", "nested", "beside a lock"],
)
def test_each_task_gets_a_copy_of_its_own(value: Any) -> None:
    get = copies(value)
    one, two = get(), get()
    assert one is not two
    assert one is not value


@pytest.mark.parametrize(
    "value", [threading.Lock(), threading.local(), socket.socket], ids=["lock", "local", "class"]
)
def test_what_cannot_be_copied_is_handed_over_as_it_is(value: Any) -> None:
    assert copies(value)() is value


def test_beside_what_cannot_be_copied_the_rest_is_copied() -> None:
    lock = threading.Lock()
    numbers = [1, 2]
    value: dict[str, Any] = {"lock": lock, "deep": [(numbers, lock)], "again": numbers}
    got = copies(value)()
    assert got["lock"] is lock
    assert got["deep"][0] == (numbers, lock)
    assert got["deep"][0][0] is not numbers
    assert got["again"] is got["deep"][0][0]


def test_a_value_that_contains_itself_is_copied() -> None:
    value: list[Any] = [threading.Lock()]
    value.append(value)
    got = copied(value)
    assert got is not value
    assert got[1] is got


def test_values_that_are_bytes_only_are_unpickled_for_each_task() -> None:
    values = TaskValues([pickling.dumps([1])])
    one, two = values.named(["x"], [0]), values.named(["x"], [0])
    assert one == two == {"x": [1]}
    assert one["x"] is not two["x"]


def test_settings_are_a_tasks_own() -> None:
    for settings in ({"a": 1}, {"a": [1]}, {"a": [1], "lock": threading.Lock()}):
        get = copies(settings)
        get()["new"] = 1
        assert get() == settings


def test_only_what_tasks_cannot_change_is_shared() -> None:
    values = TaskValues([pickling.dumps([1]), pickling.dumps((1, "a")), pickling.dumps(dict)])
    first, second = values.named("abc", [0, 1, 2]), values.named("abc", [0, 1, 2])
    assert first == second
    assert first["a"] is not second["a"]
    assert first["b"] is second["b"]
    assert not is_unchangeable(([],))


def loader(data: Any) -> dict[str, Any]:
    """Functions that have data of their own, in every place where a function has any."""

    def captured() -> Any:
        return data

    def default(a: Any = data) -> Any:
        return a

    def keyword(*, a: Any = data) -> Any:
        return a

    def attribute() -> Any:
        return attribute.data  # type: ignore[attr-defined]

    attribute.data = data  # type: ignore[attr-defined]
    return {
        "captured": captured,
        "default": default,
        "keyword": keyword,
        "attribute": attribute,
        "through another": lambda: captured(),
    }


@pytest.mark.parametrize("name", loader(None))
def test_what_a_function_has_of_its_own_is_a_tasks_own(name: str) -> None:
    sent = pickling.dumps(loader([1])[name])
    values, here = TaskValues([sent]), copies(loader([1])[name])
    ways: list[Callable[[], Any]] = [lambda: values.named(["load"], [0])["load"], here, unpacked(sent)]
    for get in ways:
        get()().append(2)
        assert get()() == [1]
    assert is_unchangeable(loader((1, "a"))[name])


def test_a_function_that_has_captured_itself_or_a_generator_is_shared() -> None:
    rng = random.Random(0)

    def draw(n: int) -> float:
        return draw(n - 1) if n else rng.random()

    def count(n: int) -> int:
        return count(n - 1) if n else 0

    assert is_unchangeable(count)
    assert is_unchangeable(draw)  # it is set for each task, as the same object


def test_settings_with_something_to_change_are_unpickled_for_each_task() -> None:
    get = unpacked(pickling.dumps({"a": 1, "b": [1]}))
    get()["b"].append(2)
    assert get() == {"a": 1, "b": [1]}


LOCK = threading.Lock()


def uses_a_lock(context: Any, config: Any) -> int:
    with LOCK:
        config.data.append(1)
        return len(config.data)


@pytest.mark.parametrize("name", ["serial", "threads", "pool"])
def test_an_experiment_with_a_lock_among_its_globals_runs_in_this_process(name: str, tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        runs = Memento(
            uses_a_lock, executor=pool if name == "pool" else name, store=tmp_path / "store", progress=False
        )
        results = runs.run({"parameters": {"data": [[]], "n": range(6)}, "settings": {"s": [1]}})
    assert results is not None
    assert {result.inner for result in results} == {1}
