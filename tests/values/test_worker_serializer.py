"""Classes of a script come to a process once and whole, in whichever of its threads values are read."""

from __future__ import annotations

import sys
import threading
import types
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec
from typing import Any

import cloudpickle  # type: ignore[import-untyped, unused-ignore]
import pytest

from memento.values import store_serializer, worker_serializer
from memento.values.definitions import tokens

SCRIPT = """
class Base:
    def hello(self):
        return "hello"

class A(Base):
    mark = Mark()
    def say(self):
        return self.hello()
"""
WAITS = 0.2  # seconds for a thread that may wait for this very one


class Mark:
    """Calls a function where it is read: amid the making of the class that holds it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return sys.modules["amid_of_test"].call, ()


@pytest.fixture
def amid(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[], object]], None]]:
    """Have a function called, once, while a class is half made."""
    todo: list[Callable[[], object]] = []

    def call() -> None:
        while todo:
            todo.pop()()

    call.__module__, call.__qualname__ = "amid_of_test", "call"
    module = types.ModuleType("amid_of_test")
    module.__spec__ = ModuleSpec("amid_of_test", None, origin="built-in")  # by name, in every pickle
    monkeypatch.setitem(sys.modules, "amid_of_test", module)
    monkeypatch.setattr(module, "call", call, raising=False)
    yield todo.append
    assert not todo
    tokens.forget()


@pytest.fixture
def script(amid: object, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    module = types.ModuleType("script_of_test")
    monkeypatch.setitem(sys.modules, "script_of_test", module)
    exec(SCRIPT, {"__name__": "script_of_test", "Mark": Mark}, vars(module))
    return module


def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the script, as in another process."""
    monkeypatch.delitem(sys.modules, "script_of_test")
    tokens.forget()
    cloudpickle.cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID.clear()  # it would find the class, as its name says


def in_a_thread(read: Callable[[], Any], into: list[Any]) -> None:
    thread = threading.Thread(target=lambda: into.append(read()), daemon=True)
    thread.start()
    thread.join(WAITS)


def test_what_another_thread_reads_while_its_class_is_sent_is_whole(
    amid: Any, script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = worker_serializer.dumps([script.A()])
    elsewhere(monkeypatch)
    said: list[str] = []
    kinds: list[type] = []

    def read() -> None:
        (value,) = worker_serializer.loads(data)
        kinds.append(type(value))
        said.append(value.say())

    amid(lambda: in_a_thread(read, []))
    read()
    assert said == ["hello", "hello"]
    assert kinds[0] is kinds[1]


def test_what_another_thread_reads_while_its_class_is_read_from_the_store_is_whole(
    amid: Any, script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = store_serializer.dumps_value(script.A())
    definitions = worker_serializer.dump_definitions(kept.found)
    elsewhere(monkeypatch)
    said: list[str] = []
    both = threading.Semaphore(0)

    def read() -> None:
        value = store_serializer.loads_value(kept.body, kept.buffers, kept.main, lambda: definitions)
        said.append(value.say())
        both.release()

    amid(lambda: in_a_thread(read, []))
    read()
    assert all(both.acquire(timeout=60) for _ in range(2))
    assert said == ["hello", "hello"]
