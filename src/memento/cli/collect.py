"""`memento gc`: say what would go, ask where results would, and say what went.

Knows: the store's own way to collect, how to say what it did. May not know: how it does it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from memento.cli.exit_codes import wrong_usage
from memento.cli.open_store import place
from memento.cli.printing import agrees, print_json
from memento.cli.task_text import shown_parameters
from memento.store.garbage import Collected
from memento.store.location import StorePath
from memento.store.removable import RESULTS
from memento.store.store import Store
from memento.wording import bytes_of, number_of, one_line, seconds_of, size_text, verb

_SHOWN = 20  # results that would go; the others are counted


def collect(
    path: StorePath | None, wanted: dict[str, Any], *, dry_run: bool, yes: bool, as_json: bool
) -> bool:
    """Remove garbage and what is `wanted` beside; tell whether all of that went."""
    with wrong_usage():
        age = None if wanted["older_than"] is None else seconds_of(wanted["older_than"], "--older-than")
        size = None if wanted["keep"] is None else bytes_of(wanted["keep"], "--keep")
    wanted = wanted | {"older_than": age, "keep": size}
    refused = 0
    with Store.open(place(path), create=False, readonly=dry_run) as store:
        asked = wanted["superseded"] or age is not None or size is not None
        would = store.gc(dry_run=True, results=True, **wanted) if asked or dry_run else Collected()
        if dry_run:
            found = would
        elif not would.results or yes or _agrees(store, would, as_json=as_json):
            found = store.gc(results=True, **wanted)
        else:
            refused = would.results
            # What is wanted as far as no result goes for it.
            age = age if wanted["steps"] else None
            found = store.gc(results=False, **wanted | {"superseded": False, "older_than": age})
        where = str(store.location)
        would_go = _named(store, would) if refused or dry_run else []
    if as_json:
        print_json(
            "gc", _told(found, where) | {"over": found.over, "results": found.results, "refused": refused}
        )
    else:
        _print(found, where, () if refused else would_go)
        if refused:
            print("\n".join(would_go))
            results = f"{number_of(refused, 'result')} {verb(refused, 'stay')}"
            print(f"{results}: add --yes to let them go; their tasks will be computed again")
        elif found.over:
            print(
                f"{size_text(found.over)} more than it was to keep are left: they belong to what is not to go"
            )
    return not refused and not found.over


def _agrees(store: Store, would: Collected, *, as_json: bool) -> bool:
    if not as_json and sys.stdin.isatty():
        _print(would, str(store.location), _named(store, would))
    question = f"Remove {number_of(would.results, 'result')}, to be computed again when needed?"
    return agrees(question, as_json=as_json)


def _named(store: Store, would: Collected) -> list[str]:
    """Name the results that would go, a line each, the oldest first."""
    records = list(store.index.records(sorted(would.rows)[:_SHOWN]))
    lines = [
        f"    {record.key.hex()[:12]} {one_line(record.experiment)} {one_line(parameters, 150)}"
        for record, parameters in zip(records, shown_parameters(store, records), strict=True)
    ]
    left = len(would.rows) - len(lines)
    return [*lines, f"    ... and {left:,} more"] if left > 0 else lines


def _print(found: Collected, where: str, results: Sequence[str] = ()) -> None:
    print(f"store {one_line(where)}")
    for kind, (count, size) in sorted(found.removed.items()):
        print(f"  {kind}: {count:,}, {size_text(size)}" if size else f"  {kind}: {count:,}")
        if kind == RESULTS and results:
            print("\n".join(results))
    for kind, (count, size) in sorted(found.kept.items()):
        print(f"  kept for now: {kind}: {count:,}, {size_text(size)}")
    if found.kept and found.runs:
        runs = ", ".join(f"{one_line(run.host)} pid {run.pid}" for run in found.runs[:5])
        print(
            f"  A run is at work ({runs}) and may be about to name it: call `memento gc` again when it has ended."
        )
    print(f"{size_text(found.size)} {'would be free' if found.dry_run else 'freed'}")


def _told(found: Collected, where: str) -> dict[str, Any]:
    def counts(of: dict[str, tuple[int, int]]) -> list[dict[str, Any]]:
        return [{"what": kind, "count": count, "bytes": size} for kind, (count, size) in sorted(of.items())]

    return {
        "store": where,
        "dry_run": found.dry_run,
        "bytes": found.size,
        "removed": counts(found.removed),
        "kept": counts(found.kept),
        "runs": [{"id": run.run, "host": run.host, "pid": run.pid} for run in found.runs],
    }
