"""What failed and why, and what is best so far, of the experiments of a store: facts for `memento status`.

Knows: stored results, how failures are grouped. May not know: runs, how facts are printed.

What takes longer with more results is bounded, so that a look at a store takes no longer than people wait.
"""

from __future__ import annotations

import collections
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from memento.records import FAILED

if TYPE_CHECKING:
    from memento.events import FailureGroup
    from memento.store.store import Store

ROWS = 10_000  # results in all that are looked at for what failures share and what is best: a quarter of a second
FAILURES = 1_000  # of an experiment with more results: the newest, which are grouped by cause


def facts_of_experiments(
    store: Store, counted: Sequence[tuple[str, int, int]], first: Sequence[str], *, full: bool
) -> list[dict[str, Any]]:
    """Return what is known of each experiment: how many are done and failed, causes, the best and the worst.

    `counted` has their names, how many are done, and how many failed. What is looked at is bounded unless `full`; the
    bounds are spent on the experiments that come `first`.
    """
    left = ROWS
    found = {}
    rank = {name: place for place, name in enumerate(dict.fromkeys(first))}
    for name, done, failed in sorted(counted, key=lambda one: rank.get(one[0], len(rank))):
        whole = full or done + failed <= left
        told: dict[str, Any] = {"causes": [], "numbers": [], "looked_at_all": whole}
        if whole and done + failed:
            left -= done + failed
            told |= _whole(store, name, failed)
        elif failed and left > 0:
            left -= FAILURES
            told["causes"] = _causes(store, name)
        found[name] = {"name": name, "done": done, "failed": failed, **told}
    return [found[name] for name, _, _ in counted]


def _whole(store: Store, experiment: str, failed: int) -> dict[str, Any]:
    from memento.errors import StoreError
    from memento.results.extremes import plain_extremes
    from memento.results.loading import source_of
    from memento.results.results import Results
    from memento.results.selection import Selection

    try:
        source = source_of(store, experiment)
        # First: where a row is damaged results would set it aside, and who only looks changes nothing.
        ids = sorted(source.rows)
        collections.deque(store.index.outlines(ids, values=True), 0)
        collections.deque(store.index.last_metrics(ids), 0)
        groups = Results(source).failures.groups if failed else ()
        numbers = plain_extremes(Selection(source))
    except StoreError:  # `memento verify` says which row; what runs is told all the same
        return {"looked_at_all": False}
    return {
        "causes": [_cause(g, rule=g.rule, config=g.config) for g in groups],
        "numbers": [one._asdict() for one in numbers],
    }


def _causes(store: Store, experiment: str) -> list[dict[str, Any]]:
    """Group the newest failures, without what they share: that takes a look at all results."""
    from memento.results.grouping import FailureGrouper

    grouper = FailureGrouper()
    for record in store.index.recent(experiment, status=FAILED, limit=FAILURES):
        if record.failure is not None:
            grouper.collect(record.key.hex(), record.failure, record.attempt)
    return [_cause(g) for g in grouper.groups()]


def _cause(group: FailureGroup, *, rule: str = "", config: str = "") -> dict[str, Any]:
    told = {"title": group.title, "count": group.count, "rule": rule, "key": group.key, "config": config}
    return {**told, "kind": group.kind}
