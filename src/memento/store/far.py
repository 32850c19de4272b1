"""Tie a store to the object store with its bytes: which prefix is whose, and whether it can be used.

Knows: two small files, one here and one there. May not know: rows, values, runs.

    payloads.address      in the store's folder: the address, and a number that stands for this store
    memento-store.json    there: the same number

So whoever opens the folder later finds the bytes without being told, and a prefix belongs to one store: a second store
over the same prefix is refused before it writes, since `gc` of one would remove what the other needs. The folder may
come from a stranger, and name any prefix: its address leads only to the server that the reader's own environment names
(`memento.values.choose_place`), nothing of a value is unpickled to list or show it, and what removes or writes asks
first whether the prefix bears this store's number, which a stranger cannot know of a prefix that he cannot read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from memento.errors import StoreError, StoreUnwritable
from memento.layout import ARTIFACTS, CHECKPOINTS, FAR_MARK, LOGS, STEP_KEYS, STEPS, Layout, key_and_fence
from memento.store.database_address import name_of
from memento.store.task_folders import states_of
from memento.system import fsync_folder, hostname, own_mark
from memento.values.choose_place import checked_address, far_place, is_address

if TYPE_CHECKING:
    from memento.index.contract import Index
    from memento.store.location import Location
    from memento.values.object_store import ObjectStore

_MOST = 10_000  # bytes; a longer file is none of ours
_KEYED = (f"{CHECKPOINTS}/", f"{ARTIFACTS}/")
_WHEN = "Try again when its server answers, or see AWS_ENDPOINT_URL and its kin."


class Far(NamedTuple):
    """Where a store's bytes are, and the number that stands for the store."""

    address: str
    number: str


def recorded(root: str) -> Far | None:
    """Return what a store's folder says; None where its bytes are in it.

    Raises
    ------
    StoreError
        It says what is no address.
    """
    path = Layout(root).payloads_elsewhere
    try:
        with open(path, "rb") as file:
            told = json.loads(file.read(_MOST))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise StoreError(
            path, f"it cannot be read ({error}).", "It names where the store's values are."
        ) from error
    try:
        return Far(checked_address(str(told["address"])), str(told["number"]))
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(path, f"it names no place of values ({error}).", "It is left alone.") from None


def find(index: Index, location: Location, *, create: bool) -> Far | None:
    """Return where a store's bytes are; tie it to an address that is asked for, where it is new.

    Raises
    ------
    StoreError
        Its bytes are elsewhere already, or the address cannot be used.
    """
    if location.address:
        return _noted(index)
    known = recorded(location.root)
    if not location.payloads or (known is None and not create):
        return known
    if known is None and index.ids_of_file(None):
        raise _elsewhere(location, f"its folder, {location.root}")
    if known is not None and known.address != location.payloads:
        raise _elsewhere(location, known.address)
    try:
        return known or _record(location.root, _new(location.payloads))
    except StoreError:
        known = recorded(location.root)  # another run that begins here has been first
        if known is None or known.address != location.payloads:
            raise
        return known


def own_folder(index: Index, location: Location, *, create: bool) -> str:
    """Return this host's folder for what is on its way, where an index in a database has its bytes in an object store.

    "" where they are in a folder that all hosts see.
    """
    far = _noted(index)
    if far is None and location.payloads and create:
        if index.home():
            raise _elsewhere(location, index.home().partition(" ")[2])
        try:
            new = _new(location.payloads)
            index.home(f"{new.number} {new.address}")  # two hosts that begin at once agree on the first
        except StoreError:
            if _noted(index) is None:  # else the other host has begun there meanwhile
                raise
        far = _noted(index)
    if far is None:
        return ""
    if location.is_chosen and location.payloads == far.address:
        return location.root  # of a store that was open
    if (location.payloads and location.payloads != far.address) or location.is_chosen:
        raise _elsewhere(location, far.address)
    return f"{location.root}-{name_of(location.address)}"


def _noted(index: Index) -> Far | None:
    number, _, where = index.home().partition(" ")
    return Far(checked_address(where), number) if is_address(where) else None


def _elsewhere(location: Location, where: str) -> StoreError:
    asked = location.payloads or location.root
    merge = "" if location.address else f"; `memento merge {location.root}` brings there what is here"
    return StoreError(
        str(location),
        f"the values of this store are in {where}, and payloads={asked!r} asks for another place.",
        f"Leave payloads= and MEMENTO_PAYLOADS out, or name another store: store='...'{merge}.",
    )


def _new(address: str) -> Far:
    """Return a new store's place, where that can be used and is nobody's."""
    far = Far(address, os.urandom(16).hex())
    _try(far, lambda place: _look(place, far, is_new=True))
    return far


def _record(root: str, far: Far) -> Far:
    path = Layout(root).payloads_elsewhere
    try:
        write_first(path, far._asdict())
    except OSError as error:
        raise StoreUnwritable(path, f"cannot write the file ({error.strerror}).") from error
    return recorded(root) or far


def write_first(path: str, told: dict[str, str]) -> None:
    """Write a file of JSON, durable on return; of two processes that do so at once the first one's stays."""
    beside = f"{path}.{own_mark()}"
    try:
        with open(beside, "w", encoding="utf-8") as file:
            file.write(json.dumps(told) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(beside, path)
        except FileExistsError:
            pass
        except OSError:  # a disk without links
            if not os.path.exists(path):
                os.replace(beside, path)
    finally:
        with suppress(OSError):
            os.unlink(beside)
    fsync_folder(os.path.dirname(path))


def names_of(far: Far) -> Iterator[str]:
    """Yield the names of all that is there."""
    return far_place(far.address).names()


def log_sizes(far: Far) -> dict[str, int]:
    """Return how much of each log was sent, by the file's name in the folder of logs."""
    found: dict[str, int] = {}
    for name, size in far_place(far.address, LOGS).sizes():
        file = name.rpartition("/")[0]
        found[file] = found.get(file, 0) + size
    return found


def copy_folders(payloads: str, old: str, new: str) -> None:
    """Copy the checkpoints and artifacts of one folder's name to another's, there."""
    for room in (CHECKPOINTS, ARTIFACTS):
        place = far_place(payloads, room, for_tasks=True)
        for name in list(place.names(old)):
            with suppress(FileNotFoundError):  # the older attempt has removed it
                place.copy(name, new + name[len(old) :])


def move_folders(far: Far, moves: Iterable[tuple[bytes, bytes]]) -> None:
    """Let checkpoints and artifacts follow their renamed tasks; what is moved already is no fault."""
    new = dict(moves)
    for room in (CHECKPOINTS, ARTIFACTS):
        place = far_place(far.address, room, for_tasks=True)
        for name in list(place.names()):
            found = key_and_fence(name.partition("/")[0])
            key = bytes.fromhex(found[0]) if found else b""
            if key in new:
                with suppress(FileNotFoundError):
                    place.rename(name, new[key].hex() + name[2 * len(key) :])


def keyed_names(far: Far) -> set[bytes]:
    """Return the keys of tasks that have anything there of their own."""
    found = [key_and_fence(name.split("/")[1]) for name in names_of(far) if name.startswith(_KEYED)]
    return {bytes.fromhex(one[0]) for one in found if one}


def bring_step_records(root: str, far: Far) -> None:
    """Copy what is known of all steps, so that whoever asks which steps there are finds them in the folder."""
    from memento.values.far_files import bring

    bring(far_place(far.address, STEPS), STEP_KEYS, Layout(root).step_keys, root)


def clear_states(far: Far, root: str, keys: Collection[bytes]) -> None:
    """Remove the checkpoints of these tasks there."""
    place = far_place(far.address, CHECKPOINTS)
    folders = {os.path.basename(path) for path, _ in states_of(root, keys)}
    for name in sorted(folders | {key.hex() for key in keys}):
        place.clear(name)


def begin(root: str, far: Far) -> None:
    """See before a run that bytes can be put, read and removed there, and the prefix is this store's: 3 requests.

    Raises
    ------
    StoreError
        They cannot, or it is another store's; says the line that would be right.
    """

    def look(place: ObjectStore) -> None:
        if _owner(place) is None:
            told = {"number": far.number, "store": f"{hostname()}:{root}"}
            place.claim(FAR_MARK, json.dumps(told).encode())
        _look(place, far)

    _try(far, look)


def check_owned(far: Far) -> None:
    """Raise StoreError where the prefix is not this store's, before anything there is removed."""

    def look(place: ObjectStore) -> None:
        if _owner(place) != far.number:
            raise _not_ours(far)

    _try(far, look)


def _look(place: ObjectStore, far: Far, *, is_new: bool = False) -> None:
    owner = _owner(place)
    if owner is not None and (is_new or owner != far.number):
        raise _not_ours(far)
    probe = f"probe-{own_mark()}"
    place.write(probe, [b"put, and removed"])
    place.remove(probe)


def _try(far: Far, look: Callable[[ObjectStore], None]) -> None:
    try:
        look(far_place(far.address))
    except StoreUnwritable as error:
        raise StoreError(far.address, error.problem, error.todo or _WHEN) from None
    except OSError as error:
        raise StoreError(far.address, f"it cannot be used now ({error.strerror}).", _WHEN) from None


def log_of(far: Far, file: str, start: int, end: int) -> bytes:
    """Return what a worker has printed between two places, from the pieces that were sent; b"" where none were."""
    place = far_place(far.address, LOGS)
    pieces = [
        (int(name.rpartition("/")[2]), name, size) for name, size in place.sizes(file) if name[-15:].isdigit()
    ]
    found = b""
    for at, name, size in pieces:
        if at < end and at + size > start:
            with place.open(name) as content:
                found += content.between(max(start - at, 0), min(end - at, size))
    return found


def _owner(place: ObjectStore) -> str | None:
    try:
        content, _ = place.stamped(FAR_MARK)
    except FileNotFoundError:
        return None
    try:
        return str(json.loads(content)["number"])
    except (ValueError, KeyError, TypeError):
        return ""


def _not_ours(far: Far) -> StoreError:
    return StoreError(
        far.address,
        "another store keeps its values under this prefix, and each would remove what the other needs.",
        f'Give each store a prefix of its own: payloads="{far.address}/NAME"',
    )
