"""`memento gc`: say what would go, ask where results would, and say what went.

Knows: the store's own way to collect, how to say what it did. May not know: how it does it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from memento.cli.care import place
from memento.cli.exit_codes import UsageError
from memento.cli.inspect import print_json
from memento.cli.parameters_of_tasks import shown_parameters
from memento.store.garbage import Collected
from memento.store.removable import RESULTS
from memento.store.store import Store
from memento.wording import bytes_of, number_of, one_line, seconds_of, size_text

_SHOWN = 20  # results that would go; the others are counted


def collect(path: Path | None, wanted: dict[str, Any], *, dry_run: bool, yes: bool, as_json: bool) -> bool:
    """Remove garbage and what is `wanted` beside; tell whether all of that went.

    Raises
    ------
    UsageError
        There is no store, or a size or an age is none.
    """
    wanted = _read(wanted)
    refused = 0
    with Store.open(place(path), create=False, readonly=dry_run) as store:
        asked = wanted["superseded"] or wanted["older_than"] is not None or wanted["keep"] is not None
        would = store.gc(dry_run=True, results=True, **wanted) if asked or dry_run else Collected()
        if dry_run:
            found = would
        elif not would.results or yes or _agrees(store, would, as_json=as_json):
            found = store.gc(results=True, **wanted)
        else:
            refused = would.results
            found = store.gc(results=False, **_without_results(wanted))
        where = store.path
        would_go = _named(store, would) if refused or dry_run else []
    if as_json:
        print_json(_told(found, where) | {"over": found.over, "results": found.results, "refused": refused})
    else:
        _print(found, where, () if refused else would_go)
        if refused:
            print("\n".join(would_go))
            print(
                f"{number_of(refused, 'result')} stay: add --yes to let them go; their tasks will be computed again"
            )
        elif found.over:
            print(
                f"{size_text(found.over)} more than it was to keep are left: they belong to what is not to go"
            )
    return not refused and not found.over


def _read(wanted: dict[str, Any]) -> dict[str, Any]:
    try:
        age = None if wanted["older_than"] is None else seconds_of(wanted["older_than"], "--older-than")
        size = None if wanted["keep"] is None else bytes_of(wanted["keep"], "--keep")
    except ValueError as error:
        raise UsageError(f"{error}.") from error
    return wanted | {"older_than": age, "keep": size}


def _without_results(wanted: dict[str, Any]) -> dict[str, Any]:
    """Return what is wanted as far as no result goes for it."""
    return wanted | {"superseded": False, "older_than": wanted["older_than"] if wanted["steps"] else None}


def _agrees(store: Store, would: Collected, *, as_json: bool) -> bool:
    """Ask a person, where there is one."""
    if as_json or not sys.stdin.isatty():
        return False
    _print(would, store.path, _named(store, would))
    answer = input(f"Remove {number_of(would.results, 'result')}, to be computed again when needed? [y/N] ")
    return answer.strip().lower() in ("y", "yes")


def _named(store: Store, would: Collected) -> list[str]:
    """Name the results that would go, a line each, the oldest first."""
    records = list(store.index.records(sorted(would.rows)[:_SHOWN]))
    lines = [
        f"    {record.key.hex()[:12]} {one_line(record.experiment)} {one_line(parameters, 150)}"
        for record, parameters in zip(records, shown_parameters(store, records), strict=True)
    ]
    left = len(would.rows) - len(lines)
    return [*lines, f"    ... and {left:,} more"] if left > 0 else lines


def _print(found: Collected, where: Path, results: Sequence[str] = ()) -> None:
    print(f"store {one_line(str(where))}")
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


def _told(found: Collected, where: Path) -> dict[str, Any]:
    return {
        "store": str(where),
        "dry_run": found.dry_run,
        "bytes": found.size,
        "removed": _counts(found.removed),
        "kept": _counts(found.kept),
        "runs": [{"id": run.run, "host": run.host, "pid": run.pid} for run in found.runs],
    }


def _counts(counts: dict[str, tuple[int, int]]) -> list[dict[str, Any]]:
    return [{"what": kind, "count": count, "bytes": size} for kind, (count, size) in sorted(counts.items())]
