"""Set the random generators of this process by a task's key, save where they are, bring them back.

Knows: the global generators of `random`, NumPy and PyTorch, those that a script's tasks share. May not know: files.

    begin        an attempt starts: each generator is set from the key, so that what a task draws depends on no other
    states       where they are now; goes with every checkpoint
    bring_back   an attempt goes on: they draw what comes next
    put_back     the run is over: the program draws what it would have drawn without it

A library that a task imports first is set when its import ends (`notice`). Nothing here imports one that is not there.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from memento.context.generators import GlobalOfNumPy, GlobalOfPython, GlobalOfTorch, InHand, Shared

if TYPE_CHECKING:
    from memento.context.reach import Reach

LIBRARIES: dict[str, Any] = {"random": GlobalOfPython, "numpy.random": GlobalOfNumPy, "torch": GlobalOfTorch}
_NOTHING: dict[str, bytes] = {}


class Seeding:
    """The generators of this process that tasks draw from without having made them.

    `alone`: one task runs in this process at a time; generators of a process cannot be set for several.
    `origins`: what children of shared generators are derived from, where the program has told it. In a worker that has
    imported a module anew, its generator is not where the program's is.
    """

    def __init__(self, *, alone: bool = True, origins: Mapping[str, bytes] = _NOTHING) -> None:
        self._alone, self._origins = alone, origins
        self._key: bytes | None = None
        self._has_company = False  # just now, another task is at work in this process
        self._in_hand: dict[str, InHand] = {}  # by library, and by what the script calls what it shares
        self._reach: Reach | None = None  # what was looked at for generators
        for name in LIBRARIES:
            self.notice(name)

    def notice(self, name: str) -> None:
        """Take a library in hand, where it is loaded: from now on its generator is set for each task."""
        module = sys.modules.get(name)
        if self._alone and module is not None and name not in self._in_hand:
            with contextlib.suppress(Exception):  # half imported, or a stand-in
                self._take(name, LIBRARIES[name](module))

    def follow(self, value: Any) -> None:
        """Look for generators in what a function or a class refers to; tasks share them."""
        if not self._in_hand:
            return
        from memento.context.reach import Reach

        if self._reach is None:
            self._reach = Reach()
        for label, generator in self._reach.generators(value):
            shared = Shared.of(generator, self._origins.get(label))
            if shared is not None:
                self._take(f"the script's {label}", shared)

    def _take(self, name: str, generator: InHand) -> None:
        self._in_hand[name] = generator
        if self._key is not None:
            generator.begin(self._key)

    def begin(self, key: bytes, *, has_company: bool = False) -> None:
        """Set every generator for an attempt at a task; none that a task of another run draws from just now."""
        self._has_company, self._key = has_company, None if has_company else key
        if has_company:
            return
        for generator in tuple(self._in_hand.values()):  # another thread may import a library meanwhile
            generator.begin(key)

    def states(self) -> dict[str, Any]:
        """Return where every generator is now; nothing where that says nothing of this task."""
        if self._has_company:
            return {}
        return {name: generator.state() for name, generator in self._in_hand.copy().items()}

    def bring_back(self, states: Mapping[str, Any]) -> None:
        """Set every generator to where an earlier attempt was; those that it had not yet, as at its start."""
        if not self._alone or self._has_company:
            return
        for name in LIBRARIES:
            if name in states and name not in self._in_hand:
                self._import(name)
        for name, generator in self._in_hand.copy().items():
            if name in states:
                generator.fill(states[name])
            elif self._key is not None:
                generator.begin(self._key)

    def _import(self, name: str) -> None:
        import importlib

        with contextlib.suppress(ImportError):  # the attempt that goes on does not need it, then
            importlib.import_module(name)
            self.notice(name)

    @contextlib.contextmanager
    def apart(self, key: bytes) -> Iterator[None]:
        """Set every generator from another key meanwhile: for what is no part of the task, whoever does it."""
        if self._has_company:
            yield
            return
        before, states = self._key, self.states()
        self.begin(key)
        try:
            yield
        finally:
            self._key = before
            self.bring_back(states)

    def put_back(self) -> None:
        """Set every generator to where the program had it."""
        for generator in list(self._in_hand.values()):
            generator.put_back()
        self._key = None
