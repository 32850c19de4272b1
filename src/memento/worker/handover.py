"""Leave outcomes as files, for a coordinator that does not hear of them otherwise.

Knows: outcomes, the folder that a run shares with its workers. May not know: who reads them, the index.

    work/<run>/outcomes/<key>-<attempt>    one attempt's end: written under another name, then moved

A worker leaves one where its engine's jobs may outlive the coordinator, or die without a word of what they had done.
The file is no more than its digest says: a torn or foreign one is told apart. Reading one runs nothing: of all classes
only those of `memento.records` are known to it.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
from typing import TYPE_CHECKING, Any, NamedTuple

from memento import records
from memento.layout import OUTCOMES, PILOTS, WORK, Layout
from memento.records import Outcome
from memento.worker.work import Task, Work

if TYPE_CHECKING:
    from pathlib import Path

_MAGIC = b"memento-outcome-1\n"
_DIGEST = 16  # bytes
_RECORDS = frozenset({"Encoded", "Failure", "LogSlice", "Outcome", "Piece", "Series"})


class Left(NamedTuple):
    """What an attempt's end consists of for somebody who did not start it."""

    run: str
    experiment: str
    key: bytes
    code: bytes  # digest of the version of the code that the task was of; b"" where nobody said
    outcome: Outcome


def leave(work: Work, task: Task, outcome: Outcome) -> None:
    """Make an outcome durable; raises StoreUnwritable."""
    from memento.values.places import LocalFolder  # which the coordinator of a small run does without

    codes = work.codes[task.version]
    left = (work.run, work.experiment, task.key, codes[0] if codes else b"", outcome)
    data = pickle.dumps(left, protocol=5)
    digest = hashlib.blake2b(data, digest_size=_DIGEST).digest()
    path = _path(work, task)
    LocalFolder(path.parent).write(path.name, [_MAGIC + digest + data])


def left_of(work: Work, task: Task) -> Outcome | None:
    """Return how an attempt ended of which its engine has said nothing; None where it did not end."""
    left = read(_path(work, task))
    return None if left is None else left.outcome._replace(number=task.number)


def runs_with_outcomes(store: str) -> list[str]:
    """Return the runs of which outcomes were left."""
    root = os.path.join(store, WORK)
    try:
        runs = sorted(os.listdir(root))
    except OSError:  # there are none, or the disk does not say: then the tasks are computed again
        return []
    folders = (OUTCOMES, PILOTS)
    return [run for run in runs if any(os.path.isdir(os.path.join(root, run, name)) for name in folders)]


def outcomes_of(store: str, run: str) -> list[Path]:
    """Return the files that a run's workers have left, but for unfinished ones."""
    from pathlib import Path

    folder = Path(Layout(store).work(run), OUTCOMES)
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_file())


def read(path: Path) -> Left | None:
    """Read what was left; None where there is nothing, or not what was written."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    start = len(_MAGIC) + _DIGEST
    digest = hashlib.blake2b(data[start:], digest_size=_DIGEST).digest()
    if data[:start] != _MAGIC + digest:
        return None
    try:
        run, experiment, key, code, outcome = _Records(io.BytesIO(data[start:])).load()
        return Left(run, experiment, key, code, outcome) if isinstance(outcome, Outcome) else None
    except Exception:  # whatever unpickling raises: somebody else has written it
        return None


def _path(work: Work, task: Task) -> Path:
    from pathlib import Path

    return Path(Layout(work.store).work(work.run), OUTCOMES, f"{task.key.hex()}-{task.attempt}")


class _Records(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module == records.__name__ and name in _RECORDS:
            return getattr(records, name)
        raise pickle.UnpicklingError(f"an outcome has no {module}.{name}")
