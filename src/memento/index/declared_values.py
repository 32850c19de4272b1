"""Keep which values each parameter of an experiment has had, in the matrix's order, once for all its tasks.

Knows: readable JSON of values, their digests, the two tables. May not know: matrices, tasks, how values are shown.

    axes     a row a parameter: its values in order, [1, 10] or, where JSON does not say what a value is, the readable
             JSON that stands in the rows of its tasks, its text, the module that the text is a name of, and its digest;
             where values have labels, {"labels": {"small": 0}, "values": [1, 10]} with the places of these values
    orders   a row an experiment, where the order of the tasks does not follow from that of the values

Within a parameter no two values have the same readable JSON: a digest is added to the second. No two have one label:
who declares it last has it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

SHORT_KEY = 8  # bytes of a key that stand in an order


class Item(NamedTuple):
    """One value of a parameter."""

    fragment: str  # readable JSON
    text: str = ""  # what it can be called; "" where the JSON says all
    home: str = ""
    digest: bytes = b""
    label: str = ""  # what it was called by whoever declared it last

    @property
    def identity(self) -> object:
        """What is equal for equal values."""
        return self.digest or (self.fragment, self.text)


class Declared(NamedTuple):
    """One parameter of a run."""

    name: str
    fragments: Sequence[str]  # readable JSON of each value, in the matrix's order
    told: Mapping[int, Item]  # by place, of the values that have a label, or of which JSON does not say all
    # False where labels that are known already stand: of what is brought from elsewhere.
    says_labels: bool = True

    @property
    def items(self) -> list[Item]:
        """What is known of each value."""
        return [self.told.get(place) or Item(text) for place, text in enumerate(self.fragments)]

    @property
    def is_distinct(self) -> bool:
        """Whether no value stands there twice."""
        if not self.told:
            return len(set(self.fragments)) == len(self.fragments)
        return len({item.identity for item in self.items}) == len(self.fragments)


def joined(
    rows: Sequence[tuple[str, str]], given: Sequence[Declared]
) -> tuple[list[Sequence[str]], list[tuple[str, str]]]:
    """Join the parameters of a run to those of its experiment, which are rows of names and values as they are stored.

    Returns each value's readable JSON as it is to be stored, for each of the given ones, and the rows as they are now.
    """
    known = dict(rows)
    fragments = []
    for axis in given:
        stored, known[axis.name] = _declared(known.get(axis.name), axis)
        fragments.append(stored)
    names = merged([name for name, _ in rows], [axis.name for axis in given])
    return fragments, [(name, known[name]) for name in names]


def declared_by(rows: Iterable[tuple[str, str]]) -> list[Declared]:
    """Return stored parameters as a run would declare them."""
    found = [(name, items_of(text)) for name, text in rows]
    return [
        Declared(name, [item.fragment for item in items], dict(enumerate(items)), says_labels=False)
        for name, items in found
    ]


def _declared(old: str | None, axis: Declared) -> tuple[Sequence[str], str]:
    """Return the readable JSON of each value, and all values of the parameter as they are stored."""
    if not axis.told and axis.is_distinct:
        text = f"[{', '.join(axis.fragments)}]"
        if old is None or old == text:  # a column of a million numbers makes no million items
            return axis.fragments, text
    known = items_of(old) if old is not None else []
    mine = called(known, axis)
    own: dict[object, Item] = {}
    for item in mine:
        own.setdefault(item.identity, item)  # of two labels of a value the first is shown
    before = {item.identity: item for item in known}
    labels = _labels(before, own, axis.says_labels)
    each = {one: item._replace(label=labels.get(one, "")) for one, item in {**before, **own}.items()}
    order = merged(list(before), list(own))
    return [item.fragment for item in mine], _row([each[one] for one in order])


def _labels(
    before: Mapping[object, Item], declared: Mapping[object, Item], says_labels: bool
) -> dict[object, str]:
    """Return the labels of values, by identity: no two have the same."""
    first, then = (declared, before) if says_labels else (before, declared)
    owner: dict[str, object] = {}
    for one, item in first.items():
        if item.label:
            owner.setdefault(item.label, one)
    for one, item in then.items():
        if item.label and not (one in first and (says_labels or first[one].label)):
            owner.setdefault(item.label, one)
    return {one: label for label, one in owner.items()}


def called(known: Sequence[Item], axis: Declared) -> list[Item]:
    """Return a parameter's values with readable JSON that none of the known ones has, nor another of its own."""
    fragment_of = {item.identity: item.fragment for item in known}
    owner = {item.fragment: item.identity for item in known}
    mine = []
    for item in axis.items:
        fragment = fragment_of.get(item.identity)
        if fragment is None:
            if owner.setdefault(item.fragment, item.identity) != item.identity:
                item = _marked(item)
                owner[item.fragment] = item.identity
            fragment = fragment_of[item.identity] = item.fragment
        mine.append(item._replace(fragment=fragment))
    return mine


def _marked(item: Item) -> Item:
    """Make a value's readable JSON its own."""
    from memento.keys.value_digest import digest

    value = json.loads(item.fragment)
    if not item.text:  # JSON does say what it is, but another value is called so
        item = item._replace(text=str(value), digest=digest(value))
    shown = value if isinstance(value, str) else item.fragment
    mark = (item.digest or item.text.encode()).hex()[:8]
    return item._replace(fragment=json.dumps(f"{shown} #{mark}", ensure_ascii=False))


def _row(items: Sequence[Item]) -> str:
    values = f"[{', '.join(map(_written, items))}]"
    labels = {item.label: place for place, item in enumerate(items) if item.label}
    if not labels:
        return values
    return f'{{"labels": {json.dumps(labels, ensure_ascii=False)}, "values": {values}}}'


def _written(item: Item) -> str:
    if not item.text:
        return item.fragment
    more = json.dumps([item.text, item.home, item.digest.hex()], ensure_ascii=False)
    return f"[{item.fragment}, {more[1:]}"


def items_of(text: str) -> list[Item]:
    """Read what stands in a row; nothing where that makes no sense."""
    return as_items(values_of(text))


def as_items(values: Iterable[tuple[Any, Item | None]]) -> list[Item]:
    """Return values as `Index.axes` gives them as items."""
    return [item or Item(_dumped(value)) for value, item in values]


def values_of(text: str) -> list[tuple[Any, Item | None]]:
    """Read what stands in a row as JSON's values, with what is told of those that are more than that."""
    values: list[tuple[Any, Item | None]] = []
    try:
        read = json.loads(text)
        labels = read["labels"] if isinstance(read, dict) else {}
        for value in read["values"] if isinstance(read, dict) else read:
            if isinstance(value, list):
                shown, called, home, digest = value
                values.append((shown, Item(_dumped(shown), called, home, bytes.fromhex(digest))))
            else:
                values.append((value, None))
        for label, place in labels.items():
            value, item = values[place]
            values[place] = value, (item or Item(_dumped(value)))._replace(label=label)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        return []
    return values


def labels_in(axes: Iterable[tuple[str, Iterable[tuple[Any, Item | None]]]]) -> dict[str, dict[str, str]]:
    """Return the labels of parameters as `Index.axes` gives them, by the readable JSON of the values that have them."""
    found = {
        name: {item.fragment: item.label for _, item in values if item is not None and item.label}
        for name, values in axes
    }
    return {name: labels for name, labels in found.items() if labels}


def by_label(parameters: Mapping[str, Any], labels: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """Return what a row says of parameters with labels in place of the values that have one; see `Index.labels`.

    >>> by_label({"size": 10, "C": 10}, {"size": {"10": "small"}})
    {'size': 'small', 'C': 10}
    """
    return {
        name: labels[name].get(_dumped(value), value) if name in labels else value
        for name, value in parameters.items()
    }


def _dumped(value: Any) -> str:
    return repr(value) if type(value) in (int, float) else json.dumps(value, ensure_ascii=False)


def merged(old: Sequence[Any], new: Sequence[Any]) -> list[Any]:
    """Bring new things into an order: theirs where they stand in both; others after what stands before them.

    >>> merged(["a", "b", "c"], ["c", "a", "d"]), merged([10, 100], [1, 10]), merged([1], [2])
    (['c', 'b', 'a', 'd'], [1, 10, 100], [1, 2])
    """
    both = set(old).intersection(new)
    if not both:
        return [*old, *new]
    following: dict[Any, list[Any]] = {}
    leading: list[Any] = []
    last = leading
    for one in new:
        if one in both:
            last = following.setdefault(one, [])
        else:
            last.append(one)
    common = iter([one for one in new if one in both])
    result: list[Any] = []
    for one in old:
        if one in both:
            one = next(common)
            result += [*leading, one, *following[one]]
            leading = []
        else:
            result.append(one)
    return result


def order_after(old: bytes | None, keys: bytes, follows: bool) -> bytes | None:
    """Return the order of tasks to store after a run with these keys, 16 bytes each; None for none.

    Where it `follows` from the order of the values, an older order of the same tasks is forgotten.
    """
    mine = _pieces(keys, 16)
    if not follows:
        return b"".join(mine)
    return None if old is None or set(mine).intersection(_pieces(old, SHORT_KEY)) else old


def renamed_order(order: bytes, old: str, new: str) -> bytes:
    """Return the order of tasks whose experiment has another name."""
    from memento.keys.task_key import renamed_keys

    padded = b"".join([key + bytes(16 - SHORT_KEY) for key in _pieces(order, SHORT_KEY)])
    return b"".join(_pieces(renamed_keys(padded, old, new), 16))


def _pieces(keys: bytes, size: int) -> list[bytes]:
    return [keys[at : at + SHORT_KEY] for at in range(0, len(keys), size)]
