"""The result of one task as a parameter of another: loaded in the worker that needs it, when it is needed.

Knows: where a stored value is. May not know: matrices, plans.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from memento.config import Deferred
from memento.errors import UpstreamPending
from memento.layout import Layout
from memento.records import Encoded


def tasks_named(parameters: str) -> list[str]:
    """Return the keys of tasks whose results stand among parameters (JSON), in hexadecimal; see `fragment`."""
    import re

    found: list[str] = re.findall(r'"task ([0-9a-f]{32})"', parameters)
    return found


class UpstreamValue(Deferred):
    """A finished task's value, by reference; equal to another one of the same task.

    `row` is the id of the result: what was computed from it has a later one; -1 where it is not known. `parameters`
    returns the task's parameters, and stays in this process.
    """

    def __init__(
        self,
        key: bytes,
        root: str,
        encoded: Encoded,
        row: int = -1,
        parameters: Callable[[], Mapping[str, Any]] | None = None,
    ) -> None:
        self.key, self.root, self.encoded, self.row = key, root, encoded, row
        self._parameters = parameters

    def __reduce__(self) -> tuple[Any, ...]:
        return UpstreamValue, (self.key, self.root, self.encoded, self.row)

    def origin(self) -> Mapping[str, Any] | None:
        """Return the parameters of the task."""
        return None if self._parameters is None else self._parameters()

    def load(self) -> Any:
        """Return the value, verified, its arrays mapped for whoever asks alone; raises PayloadDamaged."""
        from memento.values.encoding import decode
        from memento.values.payloads import PayloadDir

        return decode(self.encoded, PayloadDir(Layout(self.root).payloads), mmap=True)

    def fragment(self) -> str:
        """Return readable JSON that stands for the value."""
        return f'"task {self.key.hex()}"'

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UpstreamValue) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


class PendingValue(UpstreamValue):
    """The value of a task that has not been computed yet: a plan can be made of its key."""

    def __init__(
        self, key: bytes, root: str, parameters: Callable[[], Mapping[str, Any]] | None = None
    ) -> None:
        nothing = Encoded("json", b"null", None, 4, "builtins:NoneType")
        super().__init__(key, root, nothing, parameters=parameters)

    def __reduce__(self) -> tuple[Any, ...]:
        return PendingValue, (self.key, self.root)

    def load(self) -> Any:
        """Raise UpstreamPending."""
        raise UpstreamPending(self.key.hex())
