"""Codecs: what turns values of a type into bytes and back, and which one a value gets.

Knows: types, names of codecs. May not know: where bytes are kept, the codecs of Memento themselves (`encoding`).

A type's codecs are asked one after the other, the latest registered first; what none of them takes is pickled. Codecs
that other packages bring, as entry points of the group ``memento.codecs``, are loaded when a type is met that has none.
"""

from __future__ import annotations

import re
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

GROUP = "memento.codecs"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SUFFIX = re.compile(r"\.[a-z]+")


class Codec(ABC):
    """Bytes for values of certain types. `memento.testing.CodecContract` has the tests that it must pass.

    Attributes
    ----------
    name : str
        Stands in the store beside each value: letters, digits, ``.``, ``_``, ``-``.
    types : sequence of type or str
        The types that it takes, exactly: no subclasses. As text, ``"polars.dataframe.frame:DataFrame"``, so that the
        library need not be imported.
    version : int, default=1
        Of the bytes. A higher one than a reader's own is refused there.
    suffix : str, default=".bin"
        Of the names of files.
    safe : bool, default=False
        Whether `load` runs nothing that the bytes bring, so that a stranger's store may be read; no pickle is.
    package : str, default=""
        What to install where it is missing.

    Examples
    --------
    >>> from fractions import Fraction
    >>> class Fractions(Codec):
    ...     name, types, safe = "fraction", [Fraction], True
    ...     def dump(self, value):
    ...         return [str(value).encode()]
    ...     def load(self, content, version):
    ...         return Fraction(bytes(content).decode())
    >>> bytes(Fractions().dump(Fraction(1, 3))[0])
    b'1/3'
    """

    name: str
    types: Sequence[type | str]
    version: int = 1
    suffix: str = ".bin"
    safe: bool = False
    package: str = ""

    @abstractmethod
    def dump(self, value: Any) -> Sequence[Any] | None:
        """Return a value as buffers, or None where `load` would not bring back the very same: then others are asked.

        Buffers are written from where they are, before the value is given to anybody.
        """

    @abstractmethod
    def load(self, content: memoryview, version: int) -> Any:
        """Return the value. The memory of `content` is its own, and may be kept and written to.

        What keeps that memory, as `numpy.frombuffer` does, costs nothing until it is looked at: in tasks, that of a
        large value is mapped from the store's file.

        Parameters
        ----------
        content : memoryview
            What `dump` returned, as one; it begins at a page or at a multiple of 16.
        version : int
            Of the codec that wrote it; not above `version`.
        """

    def plain(self, content: memoryview) -> Any:
        """Return the value as Python's own plain data, for a list on a terminal; without loading a library."""
        raise NotImplementedError

    @property
    def format(self) -> str:
        """What the index says of a value: the name, and what it takes to read it where that is not all."""
        if self.version == 1 and not self.package:
            return self.name
        return f"{self.name}/{self.version}/{self.package}".rstrip("/")


class Format(NamedTuple):
    """What the index says of a value's codec."""

    name: str
    version: int = 1
    package: str = ""


@lru_cache(256)
def parsed(text: str) -> Format | None:
    """Take a `Codec.format` apart; None where it is none."""
    name, _, rest = text.partition("/")
    version, _, package = rest.partition("/")
    names = [name, package] if package else [name]
    if not all(map(_NAME.fullmatch, names)) or (rest and not version.isdecimal()):
        return None
    return Format(name, int(version or 1), package)


class Registry:
    """Codecs by type and by name."""

    def __init__(self, codecs: Sequence[Codec] = ()) -> None:
        self._by_type: dict[type | str, list[Codec]] = {}
        self._by_name: dict[str, Codec] = {}
        self._lock = threading.RLock()
        self._complete = False  # the codecs of other packages are here
        self._loading: set[int] = set()  # threads that are loading them
        for codec in reversed(codecs):
            self.register(codec)

    def register(self, codec: Codec) -> None:
        """Have a codec take its types from now on, before those that took them until now; see `register_codec`."""
        if not isinstance(codec, Codec):
            raise TypeError(f"register_codec: give an instance of memento.Codec, not {codec!r}")
        if not _NAME.fullmatch(codec.name) or (codec.package and not _NAME.fullmatch(codec.package)):
            raise ValueError(f"codec {codec.name!r}: name and package take letters, digits, '.', '_' and '-'")
        if not _SUFFIX.fullmatch(codec.suffix) or codec.version < 1:
            raise ValueError(f"codec {codec.name!r}: give a suffix like '.bin', and a version from 1 on")
        with self._lock:
            other = self._by_name.get(codec.name)
            if other is not None and _class_name(other) != _class_name(codec):
                raise ValueError(
                    f"codec {codec.name!r}: that is the name of {_class_name(other)}; choose another"
                )
            self._by_name[codec.name] = codec
            # Of a module that was loaded again, of a cell that ran again, another stands there. Lists are replaced, so
            # that no other thread finds a type without its codecs.
            for kind in dict.fromkeys([*self._by_type, *codec.types]):
                others = [known for known in self._by_type.get(kind, ()) if known is not other]
                self._by_type[kind] = [codec, *others] if kind in codec.types else others

    def of(self, kind: type) -> Sequence[Codec]:
        """Return the codecs to ask about values of a type, in order."""
        found = self._find(kind)
        if not found and not self._complete and _may_be_known_elsewhere(kind):
            self.complete()
            found = self._find(kind)
        return found

    def named(self, name: str) -> Codec | None:
        """Return the codec of that name, of those that are here."""
        return self._by_name.get(name)

    def complete(self) -> None:
        """Load the codecs that other packages bring; one that cannot be loaded is told, and left out.

        Several threads may do so at once, each whole: who waited here for another could wait for ever, for that one
        may wait for an import that is going on in this thread.
        """
        here = threading.get_ident()
        if self._complete or here in self._loading:  # a package that is being loaded keeps values itself
            return
        import logging
        from importlib.metadata import entry_points

        self._loading.add(here)
        try:
            for entry in entry_points(group=GROUP):
                try:
                    brought = entry.load()
                    self.register(brought() if isinstance(brought, type) else brought)
                except Exception as exc:  # another package's code
                    log = logging.getLogger("memento.store")
                    log.warning(
                        "the codec %s cannot be loaded (%s: %s)", entry.value, type(exc).__name__, exc
                    )
            self._complete = True
        finally:
            self._loading.discard(here)

    def _find(self, kind: type) -> list[Codec]:
        by_name = f"{kind.__module__}:{kind.__qualname__}"
        return [*self._by_type.get(kind, ()), *self._by_type.get(by_name, ())]


def _may_be_known_elsewhere(kind: type) -> bool:
    """Tell whether a package may have a codec for a type: not for Python's own, nor for a script's."""
    home = kind.__module__.partition(".")[0]
    return home not in sys.stdlib_module_names and home not in ("__main__", "__mp_main__", "numpy", "pandas")


def _class_name(codec: Codec) -> str:
    return f"{type(codec).__module__}.{type(codec).__qualname__}"
