"""Tell a store which values a run's parameters have, in which order, and how they are told apart.

Knows: keyed tasks, a run's pen. May not know: how tables of results are made.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from memento.config import plain
from memento.errors import StoreUnwritable
from memento.index.declared_values import Declared, Item, as_items, called
from memento.store.upstream import UpstreamValue

if TYPE_CHECKING:
    from memento.index.contract import Index
    from memento.index.run_contract import Run
    from memento.plan.keyed_tasks import KeyedTasks

_NUMBERS = frozenset((int, float, bool, type(None)))  # JSON says what nearly all of these are


def declare(tasks: KeyedTasks, run: Run) -> None:
    """Note a run's parameters in the store; the tasks' readable JSON is then the store's."""
    axes = [_axis(tasks, column) for column in range(len(tasks.names))]
    follows = tasks.table.follows_slots and all(axis.is_distinct for axis in axes)
    for column, texts in enumerate(run.declare(axes, tasks.keys, follows)):
        tasks.call(column, texts)


def recall(tasks: KeyedTasks, known: Iterable[tuple[str, Iterable[tuple[Any, Item | None]]]]) -> None:
    """Let the tasks' readable JSON be that by which a store knows their values, as `Store.axes` tells it."""
    items = dict(known)
    for column, name in enumerate(tasks.names):
        if name in items:
            mine = called(as_items(items[name]), _axis(tasks, column))
            tasks.call(column, [item.fragment for item in mine])


def relabel(tasks: KeyedTasks, index: Index) -> None:
    """Note what values are called now: where nothing is computed, nothing else tells a store."""
    known = index.labels(tasks.experiment).keys() | tasks.matrix.labels.keys()
    axes = [_axis(tasks, column) for column, name in enumerate(tasks.names) if name in known]
    with contextlib.suppress(StoreUnwritable):  # of a stranger's: the results are there all the same
        index.relabel(tasks.experiment, axes)


def _axis(tasks: KeyedTasks, column: int) -> Declared:
    """Return a parameter with what there is to tell of its values."""
    values, fragments = tasks.table.values[column], tasks.fragments(column)
    told: dict[int, Item] = {}
    if not _NUMBERS.issuperset(map(type, values)) or '"' in "".join(fragments):
        told = dict(_told(values, fragments, tasks.digests[column]))
    for slot, label in enumerate(tasks.matrix.labels.get(tasks.names[column], ())):
        if label:
            told[slot] = (told.get(slot) or Item(fragments[slot]))._replace(label=label)
    return Declared(tasks.names[column], fragments, told)


def _told(
    values: Sequence[object], fragments: Sequence[str], digests: Mapping[int, bytes]
) -> Iterator[tuple[int, Item]]:
    """Yield what is to be told of the values of which JSON does not say all."""
    for slot, (value, fragment) in enumerate(zip(values, fragments, strict=True)):
        if isinstance(value, UpstreamValue) or not _says_all(plain(value), fragment):
            yield slot, _item(value, fragment, digests.get(slot, b""))


def _item(value: object, fragment: str, digest: bytes) -> Item:
    if isinstance(value, UpstreamValue):
        return Item(fragment, f"task {value.key.hex()[:8]}", "", digest)
    from memento.errors import UnkeyableValue
    from memento.keys.readable import described
    from memento.keys.value_digest import digest as digest_of

    if not digest:
        with contextlib.suppress(UnkeyableValue, RecursionError):  # a volatile value need not have one
            digest = digest_of(value)
    return Item(fragment, *described(value), digest)


def _says_all(value: Any, fragment: str) -> bool:
    """Tell whether JSON says what a value is."""
    kind = type(value)
    if kind is str:
        return fragment == json.dumps(value, ensure_ascii=False)
    return value is None or kind is bool or (kind in (int, float) and fragment[0] != '"')
