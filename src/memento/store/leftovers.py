"""Remove what was cut short: half-written files of processes that are gone, folders of runs that are over.

Knows: where a store has such files, whose they are by their names. May not know: what is in them, what rows say.

Every run looks when it begins: into folders that are mostly empty, for 50 microseconds.

Why nothing goes that anybody is about to use
    A half-written file is renamed by its writer alone. So it may go when its writer is proven gone; where it cannot be
    looked up (another machine, an earlier boot), when no run lives: files are listed before that is asked, so one that
    was listed is of a writer whose run is over, and a rename that fails harms no row.
    What a run hands to its workers goes when the run is dead and has left no outcomes that another may take in;
    not where its workers may go on without it: those still read there, and tell there what they have finished.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress
from typing import TYPE_CHECKING

from memento import system
from memento.layout import (
    INDEX_SALVAGED,
    OUTCOMES,
    OUTLIVES,
    PAYLOADS,
    PILOTS,
    QUARANTINE,
    STEPS,
    WORK,
    WRITING,
)

if TYPE_CHECKING:
    from memento.index.contract import Index
    from memento.index.types import Owner

_HEX = frozenset("0123456789abcdef")


def sweep(root: str, index: Index) -> int:
    """Remove what was cut short in the store at `root`; return how much it was."""
    found = [(path, is_gone_by_name(path)) for path in half_written(root)]
    folders = _folders_of_runs(root)
    if not found and not folders:
        return 0
    living = index.living().runs
    over = [path for path, is_gone in found if is_gone or (is_gone is None and not living)]
    over += [path for path in folders if not is_of(os.path.basename(path), living) and not _is_wanted(path)]
    if over:
        import shutil  # 2 ms, which a small run need not spend

        for path in over:
            shutil.rmtree(path, ignore_errors=True)
            with suppress(OSError):
                os.unlink(path)
    return len(over)


def is_gone_by_name(path: str) -> bool | None:
    """Tell whether who was writing a file is gone; None where that cannot be seen from here."""
    name = os.path.basename(path)
    if name.startswith(INDEX_SALVAGED):
        return system.is_marked_gone(name.removeprefix(INDEX_SALVAGED).partition(".sqlite")[0])
    return system.is_marked_gone(name.rpartition("-")[0])


def is_run(name: str) -> bool:
    """Tell whether a folder is named as a run is: date, time, pid, number.

    >>> is_run("20261128-212703-4711-00a3"), is_run("00112233445566778899aabbccddeeff")
    (True, False)
    """
    parts = name.split("-")
    return len(parts) == 4 and all(part.isdigit() for part in parts[:3]) and not set(parts[3]) - _HEX


def is_of(run: str, living: Collection[Owner]) -> bool:
    """Tell whether a run, by its name, is one of those that live."""
    return any(run.endswith(f"-{owner.pid}-{owner.run:04x}") for owner in living)


def has_outcomes(folder: str) -> bool:
    """Tell whether workers of a run have left outcomes in its folder, or may: jobs that go on without it."""
    if any(entry.is_file() for entry in scan(os.path.join(folder, OUTCOMES))):
        return True
    return os.path.exists(os.path.join(folder, OUTLIVES)) and bool(scan(os.path.join(folder, PILOTS)))


def runs_that_may_go_on(root: str, index: Index, own: str) -> list[str]:
    """Name the dead runs, not the one of the name `own`, that may have left workers which go on."""
    folders = [path for path in _folders_of_runs(root) if os.path.exists(os.path.join(path, OUTLIVES))]
    names = [name for name in map(os.path.basename, folders) if name != own]
    living = index.living().runs if names else ()
    return [name for name in names if not is_of(name, living)]


def _is_wanted(folder: str) -> bool:
    kept = (OUTLIVES, os.path.join(OUTCOMES, QUARANTINE))
    return has_outcomes(folder) or any(os.path.exists(os.path.join(folder, name)) for name in kept)


def half_written(root: str) -> list[str]:
    """List half-written files: of runs that are at it, or died."""
    places = [os.path.join(root, place, WRITING) for place in (PAYLOADS, STEPS)]
    found = [entry.path for place in places for entry in scan(place)]
    return found + [entry.path for entry in scan(root) if entry.name.startswith(INDEX_SALVAGED)]


def _folders_of_runs(root: str) -> list[str]:
    found = (entry for entry in scan(os.path.join(root, WORK)) if is_run(entry.name))
    return [entry.path for entry in found if entry.is_dir(follow_symlinks=False)]


def scan(folder: str) -> list[os.DirEntry[str]]:
    """List a folder; what is no folder of ours (a link leads elsewhere), or cannot be read, has nothing."""
    if os.path.islink(folder):
        return []
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []
