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
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memento.context.generators import Shared


class _Python:
    """The global generator of `random`."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def seed(self, told: bytes) -> None:
        self._module.seed(int.from_bytes(told[:16], "little"))

    def state(self) -> Any:
        return self._module.getstate()

    def fill(self, state: Any) -> None:
        self._module.setstate(state)


class _NumPy:
    """The global generator of `numpy.random`."""

    def __init__(self, module: Any) -> None:
        self._module = module
        self._bits = module.get_bit_generator()

    def seed(self, told: bytes) -> None:
        if self._module.get_bit_generator() is not self._bits:  # a task has set another one
            self._module.set_bit_generator(self._bits)
        # 32 bits are all that it takes without a detour that costs five times as much.
        self._module.seed(int.from_bytes(told[16:20], "little"))

    def state(self) -> Any:
        return self._module.get_state(legacy=False)

    def fill(self, state: Any) -> None:
        name = state["bit_generator"]
        if type(self._module.get_bit_generator()).__name__ != name:
            own = type(self._bits).__name__ == name
            self._module.set_bit_generator(self._bits if own else getattr(self._module, name)())
        self._module.set_state(state)


class _Torch:
    """The generators of PyTorch: the processor's, and those of the devices that are in use."""

    def __init__(self, module: Any) -> None:
        self._torch = module
        built = module.version
        self._devices = bool(
            getattr(built, "cuda", None) or getattr(built, "hip", None) or getattr(built, "xpu", None)
        ) or bool(getattr(module.backends, "mps", None) and module.backends.mps.is_available())

    def seed(self, told: bytes) -> None:
        number = int.from_bytes(told[24:31], "little")
        if self._devices:
            self._torch.manual_seed(number)  # of devices not yet in use too: they take it when they are
        else:
            self._torch.default_generator.manual_seed(number)  # a hundredth of the price

    def state(self) -> Any:
        cuda = self._torch.cuda
        used = self._devices and cuda.is_initialized()
        return self._torch.get_rng_state(), cuda.get_rng_state_all() if used else []

    def fill(self, state: Any) -> None:
        here, devices = state
        self._torch.set_rng_state(here)
        if devices and self._torch.cuda.is_available():
            for number, one in enumerate(devices[: self._torch.cuda.device_count()]):
                self._torch.cuda.set_rng_state(one, number)


LIBRARIES: dict[str, Any] = {"random": _Python, "numpy.random": _NumPy, "torch": _Torch}
_KEY = b"memento draws"
_NOTHING: dict[str, bytes] = {}


class Seeding:
    """The generators of this process that tasks draw from without having made them.

    `alone`: one task runs in this process at a time; generators of a process cannot be set for several.
    `origins`: what children of shared generators are derived from, where the program has told it. In a worker that has
    imported a module anew, its generator is not where the program's is.

    >>> import random
    >>> seeding = Seeding()
    >>> seeding.begin(b"a task's key")
    >>> first = random.random()
    >>> seeding.begin(b"a task's key")
    >>> random.random() == first
    True
    >>> seeding.put_back()
    """

    def __init__(self, *, alone: bool = True, origins: Mapping[str, bytes] = _NOTHING) -> None:
        self._alone, self._origins = alone, origins
        self._key: bytes | None = None
        self._libraries: dict[str, Any] = {}
        self._before: dict[str, Any] = {}
        self._shared: dict[str, Shared] = {}  # by what the script calls them
        self._followed: Any = None  # what was looked at for generators
        for name in LIBRARIES:
            self.notice(name)

    def notice(self, name: str) -> None:
        """Take a library in hand, where it is loaded: from now on its generator is set for each task."""
        module = sys.modules.get(name)
        if not self._alone or module is None or name in self._libraries:
            return
        try:
            library = LIBRARIES[name](module)
            self._before[name] = library.state()
        except Exception:  # half imported, or a stand-in
            return
        self._libraries[name] = library
        if self._key is not None:
            library.seed(self._told())

    def follow(self, value: Any) -> None:
        """Look for generators in what a function or a class refers to; tasks share them."""
        if not self._alone or not self._libraries:
            return
        from memento.context.generators import Shared
        from memento.context.reach import Reach

        if self._followed is None:
            self._followed = Reach()
        for label, generator in self._followed.generators(value):
            shared = Shared.of(generator, self._origins.get(label))
            if shared is not None:
                self._shared[label] = shared
                if self._key is not None:
                    shared.begin(self._key)

    def begin(self, key: bytes) -> None:
        """Set every generator for an attempt at a task."""
        self._key = key
        if self._libraries:
            told = self._told()
            for library in self._libraries.values():
                library.seed(told)
            for shared in self._shared.values():
                shared.begin(key)

    def _told(self) -> bytes:
        return blake2b(self._key or b"", digest_size=32, person=_KEY).digest()

    def states(self) -> dict[str, Any]:
        """Return where every generator is now."""
        told: dict[str, Any] = {name: library.state() for name, library in self._libraries.items()}
        if self._shared:
            told["shared"] = {label: shared.state() for label, shared in self._shared.items()}
        return told

    def bring_back(self, states: Mapping[str, Any]) -> None:
        """Set every generator to where an earlier attempt was; those that it had not loaded yet, as at its start."""
        if not self._alone:
            return
        for name in LIBRARIES:
            if name in states and name not in self._libraries:
                self._import(name)
            library = self._libraries.get(name)
            if library is not None and name in states:
                library.fill(states[name])
            elif library is not None and self._key is not None:
                library.seed(self._told())
        saved = states.get("shared", {})
        for label, shared in self._shared.items():
            if label in saved:
                shared.fill(saved[label])

    def _import(self, name: str) -> None:
        import importlib

        with contextlib.suppress(ImportError):  # the attempt that goes on does not need it, then
            importlib.import_module(name)
            self.notice(name)

    @contextlib.contextmanager
    def apart(self, key: bytes) -> Iterator[None]:
        """Set every generator from another key meanwhile: for what is no part of the task, whoever does it."""
        before, states = self._key, self.states()
        self.begin(key)
        try:
            yield
        finally:
            self._key = before
            self.bring_back(states)

    def put_back(self) -> None:
        """Set every generator to where the program had it."""
        for name, library in self._libraries.items():
            library.fill(self._before[name])
        for shared in self._shared.values():
            shared.put_back()
        self._key = None
