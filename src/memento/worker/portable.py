"""Send to workers what they need, in bytes that are made when somebody needs them.

Knows: pickles, the words for what cannot be pickled. May not know: processes, tasks, who asks.
"""

from __future__ import annotations

from typing import Any

from memento.errors import Unsendable


class Portable:
    """An object on its way to workers: itself in this process and in copies of it, bytes for all others.

    A copy has the very function, with all that it refers to, so nothing of it is pickled; what cannot be
    pickled stands in nobody's way there. Pickling this sends the bytes.
    """

    def __init__(self, here: Any, what: str, data: bytes | None = None) -> None:
        self.here = here  # None where only bytes have arrived
        self._what, self._data = what, data

    @property
    def data(self) -> bytes:
        """Its bytes, for `memento.values.pickling.loads`; raises Unsendable."""
        if self._data is None:
            self._data = sendable(self.here, self._what)
        return self._data

    def load(self) -> Any:
        """Return an object of this process' own, made of the bytes."""
        from memento.values import pickling

        return pickling.loads(self.data)

    def __reduce__(self) -> tuple[Any, ...]:
        return Portable, (None, self._what, self.data)


def initialize(initializer: Portable | None) -> None:
    """Call what prepares a process for its first task."""
    if initializer is not None:
        (initializer.load() if initializer.here is None else initializer.here)()


def sendable(value: Any, where: str) -> bytes:
    """Pickle something for workers, or say what is in the way."""
    from memento.values import pickling

    try:
        return pickling.dumps(value)
    except Exception as exc:
        from memento.values.unpicklable import culprit

        part, _, _ = culprit(value, "", exc, pickling.dumps)
        kind = type(exc).__qualname__
        raise Unsendable(f"{where}{part}", f"it cannot be pickled ({kind}: {exc})") from exc
