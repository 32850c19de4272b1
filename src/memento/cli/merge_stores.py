"""`memento merge`: say what was taken from another store, and where the two differ.

Knows: the library's own way to merge. May not know: how it does it.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from memento.cli.care import place
from memento.cli.exit_codes import UsageError
from memento.cli.inspect import print_json
from memento.store.maintenance import merge
from memento.store.merge import CannotMerge, Difference
from memento.wording import number_of, one_line, short_name

_SHOWN = 30  # differences; the others are counted


def merge_stores(other: Path, into: Path | None, *, as_json: bool) -> None:
    """Join a store to another one, and print what came of it.

    Raises
    ------
    UsageError
        One of them is none, they are one, or a run is at work.
    """
    if not other.exists():
        raise UsageError(f"there is no store at {other}, to be taken in.")
    source, target = place(other), place(into)
    try:
        told = merge(source, target)
    except CannotMerge as error:
        raise UsageError(str(error)) from error
    if as_json:
        differences = [difference._asdict() for difference in told.differences]
        where = {"store": str(target), "other": str(source)}
        print_json(where | asdict(told) | {"differences": differences})
        return
    print(f"store {one_line(str(target))}, from {one_line(str(source))}")
    for name, count in told.results.items():
        print(f"  {one_line(short_name(name))}: {number_of(count, 'result')} taken")
    for count, what in (
        (told.equal, "that both have"),
        (told.kept, "stay as they are here"),
        (told.outdated, "not taken: computed from upstream results that are others here"),
    ):
        if count:
            print(f"  {number_of(count, 'task')} {what}")
    for count, thing in ((told.steps, "step"), (told.checkpoints, "checkpoint")):
        if count:
            print(f"  {number_of(count, thing)} taken")
    for difference in told.differences[:_SHOWN]:
        _print(difference)
    if len(told.differences) > _SHOWN:
        print(
            f"  ... and {number_of(len(told.differences) - _SHOWN, 'difference')} more; --json lists them all"
        )
    for damaged in told.damaged:
        print(f"  not taken: {one_line(damaged, 300)}")
    if not told.results and not told.checkpoints:
        print("there was nothing to take")


def _print(difference: Difference) -> None:
    kind = "conflict" if difference.is_conflict else "differs"
    why = (
        "one version of the code gave two values" if difference.is_conflict else "versions of the code differ"
    )
    stands = "this store's" if difference.newer == "here" else "the other's"
    task = f"{short_name(difference.experiment)} {difference.params}"
    print(f"  {kind}: {difference.key[:12]} {one_line(task, 200)}: {why}; {stands} is newer and stands")
