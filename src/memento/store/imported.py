"""Say where a result comes from that no run of ours has computed.

Knows: what an import or a merge notes of itself in its run. May not know: sources, commands.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from memento.index.versions import IMPORTED

if TYPE_CHECKING:
    from memento.records import RunRecord, TaskRecord
    from memento.store.store import Store

_NOTE = "imported"  # in the provenance of the run
MERGES = ("memento", "merge")  # the command line of a run that takes over another store begins so


class Origin(NamedTuple):
    """Where a result was imported from."""

    place: str  # in the source: "line 3 of results.csv"
    kind: str  # "csv", "hydra", "mlflow", "optuna"
    by: str  # user@host

    def __str__(self) -> str:
        return f"{self.place}, by {self.by}" if self.by else self.place


def note_of(source: Mapping[str, str]) -> dict[str, Any]:
    """Return the provenance of a run that imports from a source: which code and packages computed it is not known."""
    return {_NOTE: dict(source)}


def source_of_run(run: RunRecord) -> str | None:
    """Return what a run has imported from; None of one that computes."""
    noted = run.info.provenance.get(_NOTE)
    return str(noted.get("from", "")) if isinstance(noted, Mapping) else None


def merged_from(run: RunRecord) -> str | None:
    """Return the store that a run has taken over; None of one that computes."""
    argv = tuple(run.info.argv)
    return argv[len(MERGES)] if argv[: len(MERGES)] == MERGES and len(argv) > len(MERGES) else None


def origin_of(store: Store, record: TaskRecord) -> Origin | None:
    """Return where a task's result was imported from; None where a run computed it."""
    code = store.index.codes([record.code]).get(record.code)
    if code is None or code.digest != IMPORTED.digest:
        return None
    run = store.index.run(record.run)
    noted = run.info.provenance.get(_NOTE) if run is not None else None
    noted = noted if isinstance(noted, Mapping) else {}
    return Origin(record.worker, str(noted.get("kind", "")), str(noted.get("by", "")))
