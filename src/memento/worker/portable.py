"""Send to workers what they need, in bytes that are made when somebody needs them.

Knows: pickles, the words for what cannot be pickled. May not know: processes, tasks, who asks.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from memento.errors import StoreUnwritable, Unsendable

if TYPE_CHECKING:
    from memento.values.shared_files import SharedFiles


class Portable:
    """An object on its way to workers: itself in this process and in copies of it, bytes for all others.

    A copy has the very function, with all that it refers to, so nothing of it is pickled; what cannot be
    pickled stands in nobody's way there. Pickling this sends the bytes. What is large in it goes into `files`.
    """

    def __init__(
        self, here: Any, what: str, data: bytes | None = None, files: SharedFiles | None = None
    ) -> None:
        self.here = here  # None where only bytes have arrived
        self._what, self._data, self._files = what, data, files
        self._lock = threading.Lock()  # threads of this process may ask at once

    @property
    def data(self) -> bytes:
        """Its bytes, for `memento.values.pickling.loads`; raises Unsendable."""
        try:
            return self.packed()
        except Exception as exc:
            raise unsendable(self.here, self._what, exc) from exc

    def packed(self) -> bytes:
        """Return its bytes; raises whatever its parts raise."""
        with self._lock:
            if self._data is None:
                from memento.values import pickling

                self._data = pickling.dumps(self.here, self._files)
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


def unsendable(value: Any, where: str, exc: Exception) -> Exception:
    """Say which part of a value is in the way."""
    from memento.values import pickling
    from memento.values.unpicklable import culprit

    if isinstance(exc, StoreUnwritable):  # it is not the value's fault
        return exc
    part, _, _ = culprit(value, "", exc, pickling.dumps)
    kind = type(exc).__qualname__
    return Unsendable(f"{where}{part}", f"it cannot be pickled ({kind}: {exc})")
