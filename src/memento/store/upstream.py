"""The result of one task as a parameter of another: loaded in the worker that needs it, when it is needed.

Knows: where a stored value is. May not know: matrices, plans.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from memento.config import Deferred, TaskParameters, labels_in, short_text
from memento.errors import UpstreamParameterMissing, UpstreamPending
from memento.layout import PAYLOADS, Layout
from memento.records import Encoded

_ATOMS = frozenset({int, float, complex, bool, type(None)})
_TRAVELS = 65_536  # bytes of a parameter that go to workers with each result of its task


def tasks_named(parameters: str) -> list[str]:
    """Return the keys of tasks whose results stand among parameters (JSON), in hexadecimal; see `fragment`."""
    import re

    found: list[str] = re.findall(r'"task ([0-9a-f]{32})"', parameters)
    return found


class Sent(Deferred):
    """A parameter of an upstream task's on its way to workers: bytes for whoever asks for it, or why there are none."""

    def __init__(self, data: bytes, text: str) -> None:
        self._data, self._text = data, text

    def load(self) -> Any:
        """Return the value; raises UpstreamParameterMissing."""
        if not self._data:
            raise UpstreamParameterMissing(self._text)
        from memento.values import pickling

        return pickling.loads(self._data)

    def __repr__(self) -> str:
        return self._text


class Origins:
    """The parameters of an upstream matrix' tasks, by number; what of them travels is pickled once for all tasks."""

    def __init__(self, of: Callable[[int], Mapping[str, Any]]) -> None:
        self._of = of
        self._sent: dict[int, tuple[Any, Sent]] = {}  # by id; with the value, which keeps the id its own

    def here(self, number: int) -> Mapping[str, Any]:
        """Return a task's parameters."""
        return self._of(number)

    def sent(self, number: int) -> Mapping[str, Any]:
        """Return a task's parameters as workers get them."""
        own = self._of(number)
        sent = {name: self._as_sent(value) for name, value in own.items()}
        return TaskParameters(sent, labels_in(own)) if labels_in(own) else sent

    def _as_sent(self, value: Any) -> Any:
        if isinstance(value, Deferred) or type(value) in _ATOMS or (type(value) is str and len(value) < 100):
            return value
        if id(value) not in self._sent:
            self._sent[id(value)] = value, _packed(value)
        return self._sent[id(value)][1]


def _packed(value: Any) -> Sent:
    from memento.values import pickling

    text, data = short_text(value), b""
    if getattr(value, "nbytes", 0) <= _TRAVELS:
        try:
            data = pickling.dumps(value)
        except Exception:  # whatever somebody's __reduce__ raises: the task may do without it
            data = b""
    return Sent(data if len(data) <= _TRAVELS else b"", text)


class UpstreamValue(Deferred):
    """A finished task's value, by reference; equal to another one of the same task.

    `row` is the id of the result: what was computed from it has a later one; -1 where it is not known. `origin` has the
    task's parameters: a place among those of its matrix, and in workers what has been sent of them. `payloads` is the
    address of the object store with the value, if it is in one.
    """

    def __init__(
        self,
        key: bytes,
        root: str,
        encoded: Encoded,
        row: int = -1,
        origin: tuple[Origins, int] | Mapping[str, Any] | None = None,
        payloads: str = "",
    ) -> None:
        self.key, self.root, self.encoded, self.row, self.payloads = key, root, encoded, row, payloads
        self._origin = origin

    def __reduce__(self) -> tuple[Any, ...]:
        origin = self._origin
        if isinstance(origin, tuple):
            origin = origin[0].sent(origin[1])
        return UpstreamValue, (self.key, self.root, self.encoded, self.row, origin, self.payloads)

    def origin(self) -> Mapping[str, Any] | None:
        """Return the parameters of the task."""
        origin = self._origin
        return origin[0].here(origin[1]) if isinstance(origin, tuple) else origin

    def __repr__(self) -> str:
        return f"task {self.key.hex()[:8]}"

    def load(self) -> Any:
        """Return the value, verified, its arrays mapped for whoever asks alone; raises PayloadDamaged."""
        from memento.values.encoding import decode
        from memento.values.payloads import PayloadDir

        folder = Layout(self.root).payloads
        if not self.payloads:
            return decode(self.encoded, PayloadDir(folder), mmap=True)
        from memento.values.choose_place import far_place
        from memento.values.far_files import Nearby
        from memento.values.places import LocalFolder

        # All tasks of a machine that take it read it over the network once.
        place = Nearby(far_place(self.payloads, PAYLOADS, for_tasks=True), LocalFolder(folder))
        return decode(self.encoded, PayloadDir(place, self.root), mmap=True)

    def fragment(self) -> str:
        """Return readable JSON that stands for the value."""
        return f'"task {self.key.hex()}"'

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UpstreamValue) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


class PendingValue(UpstreamValue):
    """The value of a task that has not been computed yet, or failed: a plan can be made of its key.

    Its result will be later than all that was computed from an earlier one.
    """

    def __init__(self, key: bytes, root: str, origin: tuple[Origins, int] | None = None) -> None:
        nothing = Encoded("json", b"null", None, 4, "builtins:NoneType")
        super().__init__(key, root, nothing, sys.maxsize, origin)

    def __reduce__(self) -> tuple[Any, ...]:
        return PendingValue, (self.key, self.root)

    def load(self) -> Any:
        """Raise UpstreamPending."""
        raise UpstreamPending(self.key.hex())
