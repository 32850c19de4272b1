"""Open the store that a command is about, and find the task or the experiment that it names.

Knows: the store's read side. May not know: what a command does with them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from memento.cli.exit_codes import UsageError, wrong_usage
from memento.records import TaskRecord
from memento.store.location import Location, StorePath, find_store, nearby
from memento.store.store import Store
from memento.wording import named

_FEW = 3  # keys that are looked up one by one


def place(
    path: StorePath | None, payloads: str | None = None, hint: str = ". Name one with --store."
) -> Location:
    """Return where the store is; it is there."""
    found = named_store(path, payloads)
    if not found.address and not os.path.exists(found.root):
        raise UsageError(f"there is no store at {found}{hint}{nearby(found.root)}")
    return found


def open_store(path: StorePath | None) -> Store:
    """Open the store for reading only."""
    found = place(path, hint=" yet. Run an experiment first, or name one with --store.")
    return Store.open(found, create=False, trusted=False, readonly=True)


def named_store(path: StorePath | None, payloads: str | None = None) -> Location:
    """Return where the store is, or will be."""
    with wrong_usage():
        return find_store(path, payloads=payloads)


def find_key(store: Store, key: str) -> bytes:
    """Return the one key that begins with `key`, of a task that is finished or running now."""
    return next(iter(find_keys(store, [key])))


def find_keys(store: Store, keys: Sequence[str]) -> dict[bytes, int | None]:
    """Return for each beginning the one key that has it, and the id of its row; None where it only runs now."""
    for key in keys:
        if not 3 <= len(key) <= 32 or not all(c in "0123456789abcdef" for c in key.lower()):
            raise UsageError(
                f"{key!r} is no key: give 3 to 32 of its hexadecimal digits, as `memento ls` prints them."
            )
    beginnings = {key.lower(): dict[bytes, int | None]() for key in keys}
    for now in store.working():
        for beginning in beginnings:
            if now.key.hex().startswith(beginning):
                beginnings[beginning][now.key] = None
    for beginning, number, found in _stored(store, list(beginnings)):
        beginnings[beginning][found] = number
    named: dict[bytes, int | None] = {}
    for key in keys:
        of_key = beginnings[key.lower()]
        if not of_key:
            raise UsageError(f"no task's key begins with {key!r}; `memento ls` lists them.")
        if len(of_key) > 1:
            some = ", ".join(k.hex() for k in sorted(of_key)[:5]) + (", ..." if len(of_key) > 5 else "")
            raise UsageError(f"{len(of_key)} tasks' keys begin with {key!r} ({some}): give more digits.")
        named |= of_key
    return named


def _stored(store: Store, beginnings: Sequence[str]) -> Iterator[tuple[str, int, bytes]]:
    """Yield rows whose keys begin so: by a look at the keys for each, or by one at all where there are many."""
    if len(beginnings) <= _FEW:
        for beginning in beginnings:
            yield from ((beginning, record.id, record.key) for record in store.index.find(beginning))
        return
    wanted, lengths = set(beginnings), sorted(set(map(len, beginnings)))
    for name in store.index.names_of_experiments():
        for keys, ids, *_ in store.index.known_columns(name):
            for key, number in zip(keys, ids, strict=True):
                text = key.hex()
                for length in lengths:
                    if text[:length] in wanted:
                        yield text[:length], number, key


def find_task(store: Store, key: str) -> TaskRecord:
    """Return the one finished task whose key begins with `key`."""
    found = store.index.find(find_key(store, key).hex())
    if not found:
        raise UsageError(f"task {key} is running; `memento logs -f {key}` shows what it prints.")
    return found[0]


def one_experiment(wanted: str, store: Store) -> str:
    """Return the one experiment with this name, or whose name or file ends so."""
    names = store.index.names_of_experiments()
    matches = named(wanted, names)
    if len(matches) == 1:
        return matches[0]
    raise UsageError(
        f"no single experiment is named {wanted!r}; the store has: {', '.join(names) or 'none'}."
    )
