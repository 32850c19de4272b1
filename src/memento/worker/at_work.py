"""Tell whether a task has this process to itself, where several runs may go on in threads of one program.

Knows: tasks that begin and end in a thread, and which of them began inside another. May not know: what they change.

The folder, the environment and the random generators are the process' own. To put them back after a task, or to set
them before one, would take them away from a task of another run that is just at work.
"""

from __future__ import annotations

import os
from contextvars import ContextVar, Token

_inside: ContextVar[AtWork] = ContextVar("memento-at-work")
_all: set[AtWork] = set()  # of this process
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_all.clear)  # other threads' tasks go on in the original alone


IN_COMPANY = (
    "tasks of another run are at work in this process, in another thread: meanwhile tasks draw from its random"
    " generators in no fixed order, and what they change of its environment and folder is not put back. Use"
    " executor='processes', or let one run begin after the other"
)


class AtWork:
    """A task that is at work in this thread until its `with` block ends, or until it is given up.

    A task of a run that it has started itself is no company: it waits for that one.
    """

    has_company = False  # another task is, or was, at work meanwhile
    _around: frozenset[AtWork] = frozenset()
    _token: Token[AtWork]

    def __enter__(self) -> AtWork:
        token = self._token = _inside.set(self)
        outer = token.old_value
        if isinstance(outer, AtWork):  # else it is a mark that there was none
            self._around = outer._around | {outer}
        _all.add(self)  # before looking: of two that begin at once, one at least sees the other
        if len(_all) > 1:
            for other in _all.copy():
                if other is not self and other not in self._around:
                    other.has_company = self.has_company = True
        return self

    def __exit__(self, *_: object) -> None:
        _all.discard(self)
        _inside.reset(self._token)

    def give_up(self) -> None:
        """Count it no more: whatever it does still, its outcome is dropped. Called in any thread."""
        _all.discard(self)
