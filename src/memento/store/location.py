"""Find a project's store, as git finds its repository.

Knows: folders, addresses, three environment variables. May not know: what is in a store.

A store is a folder with everything in it; or an index in a database, and a folder with values, checkpoints and logs
that all hosts see.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from typing import NamedTuple

from memento import system
from memento.keys.project_files import PROJECT_MARKS, STORE_FOLDER, with_parents
from memento.layout import INDEX
from memento.suggest import nearest

FOLDER = STORE_FOLDER
LEGACY_SUFFIX = ".memento-store"
# 1.2.0 kept everything in one SQLite file, and took its path; these endings say that a file is meant.
_FILE_SUFFIXES = frozenset({".sqlite", ".sqlite3", ".db", ".db3", ".cache"})


class Location(NamedTuple):
    """Where a store is; as a text, what people may see of it."""

    root: str  # the folder of values, checkpoints and logs, and of the index where that is in no database
    # Of the database with the index, with the password that somebody may have written there.
    address: str = ""
    is_chosen: bool = True  # somebody has named the folder; else what the database knows of it is better
    # Address of an object store, where somebody has named one for values, checkpoints and logs.
    payloads: str = ""

    def __str__(self) -> str:
        if not self.address:
            return self.root
        from memento.store.database_address import shown

        return shown(self.address)


StorePath = str | os.PathLike[str] | Location


def find_store(
    explicit: StorePath | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    home: str | os.PathLike[str] | None = None,
    payloads: str | os.PathLike[str] | None = None,
) -> Location:
    """Return where the store to use is; makes nothing. ValueError where a text is no address that can be meant.

    `explicit` wins over `env`: ``MEMENTO_STORE``, else 1.2.0's ``MEMENTO_CACHE_PATH``. ``MEMENTO_PAYLOADS``, or
    `payloads`, names the folder of a store whose index is in a database, or an object store. Relative paths begin at
    `cwd`. Where nothing names a store: ``memento-store`` in `home` (by default `cwd`; a run's is its script's folder)
    or in the nearest folder above; else beside the nearest ``pyproject.toml`` or ``.git``; else in
    `home`.

    A path of 1.2.0, which names a *file* (it exists and is no folder, or ends in .sqlite, .db or .cache), means the
    folder of that name with ``.memento-store`` added: scripts for 1.2.0 run unchanged, and their file is left alone.
    """
    if isinstance(explicit, Location):
        return explicit
    environment = os.environ if env is None else env
    here = os.path.abspath(os.getcwd() if cwd is None else cwd)
    if explicit is not None and not isinstance(explicit, (str, os.PathLike)):
        raise TypeError(
            f"store must be a folder, like 'results', or the address of a database, got {explicit!r}"
            f" ({type(explicit).__qualname__})"
        )
    named = explicit or environment.get("MEMENTO_STORE") or environment.get("MEMENTO_CACHE_PATH")
    files, far = payloads or environment.get("MEMENTO_PAYLOADS"), ""
    if files and "://" in os.fspath(files):
        from memento.values.choose_place import checked_address

        far = checked_address(files)
        payloads = files = None
    if named and _may_be_address(named):
        from memento.store.database_address import checked, is_address

        if is_address(named):
            root = os.path.join(here, os.path.expanduser(files)) if files else _nearest(home or here)
            return Location(os.path.abspath(root), checked(named), bool(files), far)
    if payloads:
        raise ValueError(
            f"payloads={os.fspath(payloads)!r} goes with an index in a database, like"
            " store='postgresql://USER@HOST/DATABASE': a store that is a folder has its values in it, or in an object"
            " store, like payloads='s3://BUCKET/PREFIX'"
        )
    if named:
        root = _named(os.path.abspath(os.path.join(here, os.path.expanduser(named))))
        return Location(root, payloads=far)
    return Location(_nearest(home or here), payloads=far)


def _may_be_address(text: str | os.PathLike[str]) -> bool:
    """Say whether to look closer; nothing is imported for the others."""
    return ":/" in os.fspath(text) or os.fspath(text).startswith("postgres")


def located(path: StorePath) -> Location:
    """Return where a store is that somebody names: a folder as it is, an address as `find_store` takes it."""
    if isinstance(path, Location):
        return path
    if _may_be_address(path):
        from memento.store.database_address import is_address

        if is_address(path):
            return find_store(path)
    return Location(os.path.abspath(path))


def nearby(root: StorePath) -> str:
    """Ask whether another folder was meant, which has a store in it or beside it; "" where none has."""
    folder = str(root).rstrip(os.sep)
    inside = os.path.join(folder, FOLDER)
    if os.path.isfile(os.path.join(inside, INDEX)):
        return f" Did you mean {inside}?"
    above, name = os.path.split(folder)
    try:
        there = [one for one in sorted(os.listdir(above or ".")) if one != name]
    except OSError:  # there is no such folder either
        return ""
    for near in nearest(name, there, 5):
        if os.path.isfile(os.path.join(above, near, INDEX)):
            return f" Did you mean {os.path.join(above, near)}?"
    return ""


def advice(location: Location) -> str:
    """Say what is advisable where an index in SQLite is on a network's disk; "" elsewhere."""
    if location.address or not system.is_network_path(location.root):
        return ""
    return (
        f"{location} is on a network's disk, whose locks keep the index whole: safe where they work, and slow. Several"
        " hosts want store='postgresql://USER@HOST/DATABASE', with a folder that all of them see as payloads=."
    )


def is_named(explicit: StorePath | None = None, env: Mapping[str, str] | None = None) -> bool:
    """Say whether the user or the environment names the store, so that it is not looked for."""
    environment = os.environ if env is None else env
    return bool(explicit or environment.get("MEMENTO_STORE") or environment.get("MEMENTO_CACHE_PATH"))


def _nearest(home: str | os.PathLike[str]) -> str:
    """Return the folder of a store that nobody names."""
    here = os.path.abspath(home)
    above = with_parents(here)
    for folder in above:
        if os.path.isdir(os.path.join(folder, FOLDER)):
            return os.path.join(folder, FOLDER)
    for folder in above:
        if any(os.path.exists(os.path.join(folder, mark)) for mark in PROJECT_MARKS):
            return os.path.join(folder, FOLDER)
    return os.path.join(here, FOLDER)


def _named(path: str) -> str:
    try:
        # One look: another program may make the folder at this moment, which is there and no folder for none.
        is_file = not stat.S_ISDIR(os.stat(path).st_mode)
    except (OSError, ValueError):
        is_file = os.path.splitext(path)[1].lower() in _FILE_SUFFIXES
    return path + LEGACY_SUFFIX if is_file else path
