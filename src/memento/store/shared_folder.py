"""Tie the folder of values, checkpoints and logs to an index that stands in a database.

Knows: the folder, the line of text that the index keeps of it. May not know: rows, how an index is kept.

Hosts find one database by its address. Whether they see one folder, nobody can tell from its path: /home/ada/grid of
two hosts may be two folders, and each host would miss the values that the other has written. So the folder has a mark
in it, drawn when the first run begins, and the index notes the mark and where that folder was. Whoever does not find
the folder with that mark computes nothing. For the same reason a folder belongs to one index: `gc` for one would remove
what rows of another name.
"""

from __future__ import annotations

import json
import os
from typing import NamedTuple, NoReturn

from memento import system
from memento.errors import NotAStore, ValueUnreadable
from memento.index.contract import Index
from memento.layout import INDEX, INDEX_ELSEWHERE
from memento.store.database_address import name_of, shown
from memento.store.far import write_first
from memento.store.location import Location
from memento.values.places import LocalFolder

_MOST = 10_000  # bytes of the file with the mark


class _Noted(NamedTuple):
    """What the index keeps of the folder: "mark host:path"."""

    mark: str
    host: str
    path: str

    @classmethod
    def of(cls, text: str) -> _Noted:
        mark, _, where = text.partition(" ")
        host, _, path = where.partition(":")
        return cls(mark, host, path)


def existing_folder(index: Index, location: Location) -> tuple[str, str]:
    """Return the folder that belongs to an index; where it is not here: where it should be, and why it is not."""
    text = index.home()
    if not text:
        return location.root, ""
    noted = _Noted.of(text)
    for folder in [location.root] if location.is_chosen else [noted.path, location.root]:
        if _mark_in(folder)[0] == noted.mark:
            return folder, ""
    return (location.root if location.is_chosen else noted.path), _missing(location, noted)


def new_folder(index: Index, location: Location) -> str:
    """Return the folder that belongs to an index; where none does yet, it is the one that the caller wants.

    Raises
    ------
    NotAStore
        It is not here, or the one that the caller wants belongs to another store.
    """
    if not index.home():
        root, owner = location.root, _owner(location.root)
        if owner and owner != _bare(location):
            if location.is_chosen:
                raise NotAStore(
                    root,
                    f"this folder belongs to another store, whose index is {owner}: what the one frees the other may"
                    " need.",
                    _other_folder(root, owner, location),
                )
            root = f"{root}-{name_of(location.address)}"
        index.home(f"{_mark(root, location)} {system.hostname()}:{root}")
        location = location._replace(root=root)
    folder, missing = existing_folder(index, location)
    if missing:
        raise NotAStore(
            str(location),
            missing,
            "All hosts need one folder: give the path at which this host sees it, as payloads= or MEMENTO_PAYLOADS.",
        )
    return folder


def index_of(folder: str) -> str:
    """Return the address of the index that a folder belongs to, as people may see it; "" where it says none."""
    return _mark_in(folder)[1]


def _missing(location: Location, noted: _Noted) -> str:
    where = f"{noted.path} of {noted.host}"
    if location.is_chosen:
        return (
            f"its values, checkpoints and logs are in {where}, and {location.root} of {system.hostname()}"
            " is another folder."
        )
    return f"its values, checkpoints and logs are in {where}, which {system.hostname()} does not see."


def _owner(folder: str) -> str:
    """Return the index that a folder belongs to; "" where that is none."""
    if os.path.exists(os.path.join(folder, INDEX)):
        return INDEX
    return _bare(_mark_in(folder)[1])


def _other_folder(root: str, owner: str, location: Location) -> str:
    told = "Name an empty folder as payloads="
    if owner == INDEX:
        return (
            f"{told}; `memento merge {root} --into '{location}' --payloads FOLDER` takes over what is here."
        )
    return f"{told}; or, if that index is gone for good, remove {os.path.join(root, INDEX_ELSEWHERE)} first."


def _mark(root: str, location: Location) -> str:
    """Return the mark of a folder, which gets one where it has none."""
    os.makedirs(root, exist_ok=True)
    write_first(os.path.join(root, INDEX_ELSEWHERE), {"mark": os.urandom(8).hex(), "index": str(location)})
    return _mark_in(root)[0]


def _mark_in(folder: str) -> tuple[str, str]:
    """Return the mark of a folder, and the address that was noted with it."""
    try:
        with open(os.path.join(folder, INDEX_ELSEWHERE), encoding="utf-8") as file:
            told = json.loads(file.read(_MOST))
        return str(told["mark"]), shown(str(told["index"]))
    except (OSError, ValueError, KeyError, TypeError):
        return "", ""


def _bare(address: Location | str) -> str:
    """Return an address without who asks there."""
    return str(address).rpartition("@")[2].removeprefix("postgresql://")


class Missing(LocalFolder):
    """A folder that is not here: nothing in it is damaged, and nothing can be read."""

    def __init__(self, root: str, why: str) -> None:
        super().__init__(root)
        self._why = why

    def _fail(self) -> NoReturn:
        raise ValueUnreadable(
            self.root, self._why, "Read it where they are seen, or name them: payloads= or MEMENTO_PAYLOADS."
        )

    def open(self, name: str) -> NoReturn:
        """Say why it cannot be read."""
        self._fail()

    def exists(self, name: str) -> NoReturn:
        """Say why nobody knows."""
        self._fail()
