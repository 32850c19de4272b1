"""Tell a store which values a run's parameters have, in which order, and how they are told apart.

Knows: keyed tasks, a run's pen. May not know: how tables of results are made.
"""

from __future__ import annotations

import contextlib

from memento import jsontext
from memento.config import plain
from memento.hints import TYPE_CHECKING, Any
from memento.store.axes import Item
from memento.store.upstream import UpstreamValue

if TYPE_CHECKING:
    from memento.plan.tasks import KeyedTasks
    from memento.store.run import Run


def declare(tasks: KeyedTasks, run: Run) -> None:
    """Note a run's parameters in the store; the tasks' readable JSON is then the store's."""
    axes = []
    follows = tasks.table.follows_slots
    for column, name in enumerate(tasks.names):
        values, fragments = tasks.table.values[column], tasks.fragments(column)
        items = [
            _item(value, fragment, tasks.digests[column].get(slot, b""))
            for slot, (value, fragment) in enumerate(zip(values, fragments, strict=True))
        ]
        axes.append((name, items))
        follows = follows and len({item.identity for item in items}) == len(items)
    for column, fragments in enumerate(run.declare(axes, tasks.keys, follows)):
        tasks.call(column, fragments)


def _item(value: object, fragment: str, digest: bytes) -> Item:
    if isinstance(value, UpstreamValue):
        return Item(fragment, f"task {value.key.hex()[:8]}", "", digest)
    if _says_all(plain(value), fragment):
        return Item(fragment)
    from memento.errors import UnkeyableValue
    from memento.keys import described
    from memento.keys import digest as digest_of

    if not digest:
        with contextlib.suppress(UnkeyableValue, RecursionError):  # a volatile value need not have one
            digest = digest_of(value)
    return Item(fragment, *described(value), digest)


def _says_all(value: Any, fragment: str) -> bool:
    """Tell whether JSON says what a value is."""
    kind = type(value)
    if kind is str:
        return fragment == jsontext.dumps(value, ensure_ascii=False)
    return value is None or kind is bool or (kind in (int, float) and fragment[0] != '"')
