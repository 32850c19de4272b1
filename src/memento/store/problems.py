"""What `verify` finds.

Knows: problems, reports, files of values. May not know: what is looked at in which order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from memento.errors import PayloadDamaged, StoreError
from memento.values.payloads import PayloadDir


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes
    ----------
    kind : str
        "index", "row", "value", "checkpoint", "step", "artifact", "metric", "log", "definitions", "half-written",
        "foreign", "unreadable".
    where : str
        The file, relative to the store.
    what : str
        What is wrong with it.
    remedy : str
        What repairing does about it.
    key, experiment, params : str
        The task, where it is one's; parameters as JSON.
    repaired : bool
        Whether that was done.
    """

    kind: str
    where: str
    what: str
    remedy: str
    key: str = ""
    experiment: str = ""
    params: str = ""
    repaired: bool = False


@dataclass
class Report:
    """What `verify` found.

    Attributes
    ----------
    path : Path
        The store.
    problems : list of Problem
        What is, or was, wrong.
    notes : list of str
        What a person should know; nothing is wrong with it.
    tasks, files, size : int
        How much was looked at; `size` in bytes.
    """

    path: Path
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    tasks: int = 0
    files: int = 0
    size: int = 0

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong (any more)."""
        return all(problem.repaired for problem in self.problems)


@dataclass(frozen=True)
class Finding:
    """What looks wrong: told if it `still` is, and mended by `mend`, which returns False where it could not now."""

    problem: Problem
    still: Callable[[], bool]
    mend: Callable[[], object]


def payload_fault(payloads: PayloadDir, ref: str, report: Report | None = None) -> str:
    """Return what is wrong with a file of a value; "" where it is what was written."""
    try:
        size = payloads.verify(ref)
    except PayloadDamaged as error:
        return error.problem.rstrip(".")
    except StoreError:
        return ""  # not now; told by `unreadable`
    if report is not None:
        report.files += 1
        report.size += size
    return ""


def unreadable(root: Path, path: Path) -> Finding | None:
    """Return a finding where a file cannot be read now: that is no proof of damage."""
    why = _unreadable(path)
    remedy = "nothing: check permissions and the limit of open files, then verify again"
    problem = Problem("unreadable", path.relative_to(root).as_posix(), why, remedy)
    return Finding(problem, lambda: bool(_unreadable(path)), lambda: False) if why else None


def _unreadable(path: Path) -> str:
    """Return why a file cannot be read now; "" where it can, or is gone."""
    try:
        with open(path, "rb"):
            return ""
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return ""
    except OSError as error:
        return f"it cannot be read now ({error.strerror})"
