"""Read, set and derive the states of random generators: those that are objects, those behind a library's functions.

Knows: `random`, NumPy's generators, PyTorch's. May not know: tasks, who shares a generator.

Types are known by name: nothing here imports a library that is not loaded.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from hashlib import blake2b
from typing import Any, NamedTuple


class Kind(NamedTuple):
    """How one kind of generator is read, set, and made to draw something of its own."""

    state: Callable[[Any], Any]
    fill: Callable[[Any, Any], None]
    seed: Callable[[Any, int], None]  # with 128 bits


def kind_of(value: Any) -> Kind | None:
    """Return how a generator is read and set; None for whatever else."""
    python, numpy, torch = (sys.modules.get(name) for name in ("random", "numpy.random", "torch"))
    if python is not None and isinstance(value, python.Random):
        return None if isinstance(value, python.SystemRandom) else _PYTHON
    if numpy is not None:
        if isinstance(value, numpy.Generator):
            return _NUMPY
        if isinstance(value, numpy.BitGenerator):
            return _BITS
        if isinstance(value, numpy.RandomState):
            return _LEGACY
    if torch is not None and isinstance(value, getattr(torch, "Generator", ())):
        return _TORCH
    return None


def state_of(generator: Any) -> Any:
    """Return where a generator is."""
    kind = kind_of(generator)
    assert kind is not None, generator
    return kind.state(generator)


def set_state(generator: Any, state: Any) -> None:
    """Set a generator to where it was."""
    kind = kind_of(generator)
    assert kind is not None, generator
    kind.fill(generator, state)


def origin_of(generator: Any) -> bytes:
    """Return a digest of where a generator is; empty for what is none."""
    kind = kind_of(generator)
    if kind is None:
        return b""
    return blake2b(repr(_plain(kind.state(generator))).encode(), digest_size=16).digest()


def _plain(state: Any) -> Any:
    """Write a state in Python's own numbers, which every version of a library writes alike."""
    if isinstance(state, dict):
        return [(name, _plain(state[name])) for name in sorted(state)]
    if isinstance(state, (tuple, list)):
        return [_plain(part) for part in state]
    if hasattr(state, "spawn_key"):  # NumPy's SeedSequence
        return _plain((state.entropy, state.spawn_key, state.n_children_spawned))
    return state.tolist() if hasattr(state, "tolist") else state


def global_generators() -> list[Any]:
    """Return the generators behind the functions of `random`, `numpy.random` and `torch`."""
    python, numpy, torch = (sys.modules.get(name) for name in ("random", "numpy.random", "torch"))
    found = [
        getattr(getattr(python, "random", None), "__self__", None),
        getattr(getattr(numpy, "rand", None), "__self__", None),
        getattr(torch, "default_generator", None),
    ]
    return [one for one in found if one is not None]


def _bits_state(bits: Any) -> Any:
    # With what it spawns children from, and how many those were.
    return bits.state, copy.copy(bits.seed_seq)


def _fill_bits(bits: Any, state: Any) -> None:
    # The protocol of pickles: nothing else sets what children are spawned from.
    bits.__setstate__((state[0], copy.copy(state[1])))


def _seed_bits(bits: Any, number: int) -> None:
    fresh = type(bits)(sys.modules["numpy.random"].SeedSequence(number))
    bits.__setstate__((fresh.state, fresh.seed_seq))


def _seed_legacy(value: Any, number: int) -> None:
    numpy = sys.modules["numpy.random"]
    bits = getattr(numpy, value.get_state(legacy=False)["bit_generator"])
    value.set_state(numpy.RandomState(bits(numpy.SeedSequence(number))).get_state(legacy=False))


_PYTHON = Kind(
    lambda g: g.getstate(),
    lambda g, state: g.setstate(state),
    lambda g, number: sys.modules["random"].Random.seed(g, number),
)
_NUMPY = Kind(
    lambda g: _bits_state(g.bit_generator),
    lambda g, state: _fill_bits(g.bit_generator, state),
    lambda g, number: _seed_bits(g.bit_generator, number),
)
_BITS = Kind(_bits_state, _fill_bits, _seed_bits)
_LEGACY = Kind(lambda g: g.get_state(legacy=False), lambda g, state: g.set_state(state), _seed_legacy)
_TORCH = Kind(
    lambda g: g.get_state(),
    lambda g, state: g.set_state(state),
    lambda g, number: g.manual_seed(number >> 65),  # a seed is a signed number of 64 bits
)


class InHand:
    """A generator that each task finds set by its key, and that the program gets back as it was."""

    def __init__(self) -> None:
        self._before = self.state()

    def begin(self, key: bytes) -> None:
        """Let it draw what only the task of this key draws."""
        raise NotImplementedError

    def state(self) -> Any:
        """Return where it is."""
        raise NotImplementedError

    def fill(self, state: Any) -> None:
        """Set it to where an earlier attempt was."""
        raise NotImplementedError

    def put_back(self) -> None:
        """Set it to where it was before any task."""
        self.fill(self._before)


class Shared(InHand):
    """One generator that tasks share: each gets a child of `origin`, by its key; it stays the same object."""

    def __init__(self, generator: Any, kind: Kind, origin: bytes) -> None:
        self._generator, self._kind, self._origin = generator, kind, origin
        super().__init__()

    @classmethod
    def of(cls, generator: Any, origin: bytes | None = None) -> Shared | None:
        """Take a generator in hand; None where its kind does not let itself be set."""
        kind = kind_of(generator)
        try:
            shared = None if kind is None else cls(generator, kind, origin or origin_of(generator))
            if shared is not None:
                shared.begin(b"")
                shared.put_back()
        except Exception:  # somebody's own bit generator, which takes no seed
            return None
        return shared

    def begin(self, key: bytes) -> None:
        told = blake2b(self._origin + key, digest_size=16, person=b"memento child")
        self._kind.seed(self._generator, int.from_bytes(told.digest(), "little"))

    def state(self) -> Any:
        return self._kind.state(self._generator)

    def fill(self, state: Any) -> None:
        self._kind.fill(self._generator, state)


class GlobalOfPython(Shared):
    """The generator behind the functions of `random`."""

    def __init__(self, module: Any) -> None:
        super().__init__(module.random.__self__, _PYTHON, b"")

    def begin(self, key: bytes) -> None:
        self._generator.seed(_number(key, 0, 16))


class GlobalOfNumPy(InHand):
    """The generator behind the functions of `numpy.random`."""

    def __init__(self, module: Any) -> None:
        self._module = module
        self._bits = module.get_bit_generator()
        super().__init__()

    def begin(self, key: bytes) -> None:
        if self._module.get_bit_generator() is not self._bits:  # a task has set another one
            self._module.set_bit_generator(self._bits)
        # 32 bits are all that it takes without a detour that costs five times as much.
        self._module.seed(_number(key, 16, 4))

    def state(self) -> Any:
        return self._module.get_state(legacy=False)

    def fill(self, state: Any) -> None:
        name = state["bit_generator"]
        if type(self._module.get_bit_generator()).__name__ != name:
            own = type(self._bits).__name__ == name
            self._module.set_bit_generator(self._bits if own else getattr(self._module, name)())
        self._module.set_state(state)


class GlobalOfTorch(InHand):
    """The generators of PyTorch: the processor's, and those of the devices that are in use."""

    def __init__(self, module: Any) -> None:
        self._torch = module
        built = module.version
        self._devices = bool(
            getattr(built, "cuda", None) or getattr(built, "hip", None) or getattr(built, "xpu", None)
        ) or bool(getattr(module.backends, "mps", None) and module.backends.mps.is_available())
        super().__init__()

    def begin(self, key: bytes) -> None:
        number = _number(key, 24, 7)  # a seed is a signed number of 64 bits
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


def _number(key: bytes, start: int, size: int) -> int:
    """Return what a library's generator is seeded with for the task of this key: its part of one digest."""
    told = blake2b(key, digest_size=32, person=b"memento draws").digest()
    return int.from_bytes(told[start : start + size], "little")
