"""Look at what stands beside rows and values: checkpoints, steps, logs, files that nobody should find; what is told.

Knows: the store's folders, which runs live. May not know: rows of tasks but for the logs that they name.

Nothing here unpickles, or follows a link out of the store.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from memento.errors import PayloadDamaged, StoreError
from memento.layout import (
    CHECKPOINTS,
    DEFINITIONS,
    FENCE_BEGUN,
    GENERATIONS,
    LOGS,
    PAYLOADS,
    QUARANTINE,
    SET_ASIDE,
    STEP_FAILURES,
    STEP_FILES,
    STEP_KEYS,
    STEP_WORK,
    STEPS,
    WRITING,
    key_and_fence,
)
from memento.store.leftovers import half_written
from memento.store.step_records import parsed
from memento.store.store import Store
from memento.values.checkpoints import is_whole
from memento.values.payloads import PayloadDir
from memento.values.places import below, entries

_NO_VALUES = frozenset({QUARANTINE, WRITING})
_NO_STEPS = frozenset({QUARANTINE, STEP_FAILURES, STEP_FILES, STEP_KEYS, STEP_WORK, WRITING})
_HARMLESS = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})  # file managers leave them
_HARMLESS_START = (".nfs", "._")  # files that NFS keeps while they are open; macOS on foreign disks
_SHARD = re.compile(r"[0-9a-f]{2}")
_NAME = re.compile(r"([0-9a-f]{2})[0-9a-f]{30}\.[a-z]+")


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
        The store's folder.
    store : str
        The store, as people may see where it is: the folder, or the address of the database with its index.
    problems : list of Problem
        What is, or was, wrong.
    notes : list of str
        What a person should know; nothing is wrong with it.
    tasks, files, size : int
        How much was looked at; `size` in bytes.
    """

    path: Path
    store: str = ""
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


class Files:
    """Looks at files."""

    def __init__(self, store: Store, report: Report) -> None:
        self._index, self._root, self._report = store.index, store.path, report
        self._steps_payloads = PayloadDir(self._root / STEPS)
        self._far_logs: dict[str, int] = {}
        if store.far is not None:
            from memento.store.far import bring_step_records, log_sizes
            from memento.values.choose_place import far_place

            bring_step_records(store.root, store.far)
            self._steps_payloads = PayloadDir(far_place(store.far.address, STEPS), store.root)
            self._far_logs = log_sizes(store.far)

    def look(self) -> Iterator[Finding]:
        """Yield all that looks wrong."""
        yield from self._checkpoints()
        yield from self._steps()
        for path in map(Path, half_written(str(self._root))):
            what, remedy = "a run that died left it", "it is removed"
            yield self._finding("half-written", path, what, remedy, self._is_left_over, self._remove)
        foreign = [
            *_foreign_payloads(self._root / PAYLOADS, _NO_VALUES),
            *_foreign_payloads(self._root / STEPS, _NO_STEPS),
            *_foreign_checkpoints(self._root / CHECKPOINTS),
        ]
        for path in foreign:
            what, remedy = "it is none of Memento's files", "it is set aside"
            yield self._finding("foreign", path, what, remedy, os.path.lexists, self._move_aside)
        for file, end in self._index.log_ends().items():
            if self._log_size(file) < end:
                yield self._short_log(file, end)

    def _finding(
        self,
        kind: str,
        path: Path,
        what: str,
        remedy: str,
        still: Callable[[Path], bool],
        mend: Callable[[Path], object],
        key: str = "",
    ) -> Finding:
        name = path.relative_to(self._root).as_posix()
        return Finding(Problem(kind, name, what, remedy, key), partial(still, path), partial(mend, path))

    # --- checkpoints and steps -------------------------------------------------------------------------

    def _checkpoints(self) -> Iterator[Finding]:
        what = (
            "a generation of the checkpoint is torn or altered (a crash in the middle of saving leaves one)"
        )
        for path in _checkpoint_files(self._root / CHECKPOINTS):
            closed = unreadable(self._root, path)
            if closed is not None:
                yield closed
            elif self._is_torn(path):
                aside = self._set_checkpoint_aside
                key = self._key(path).hex()
                yield self._finding("checkpoint", path, what, "it is set aside", self._is_torn, aside, key)

    def _key(self, path: Path) -> bytes:
        """Return the key of the task that a checkpoint is of."""
        found = key_and_fence(path.relative_to(self._root / CHECKPOINTS).parts[0])
        assert found is not None, path
        return bytes.fromhex(found[0])

    def _is_torn(self, path: Path) -> bool:
        """Tell whether a checkpoint is damaged, and no living run is just saving it."""
        try:
            whole = is_whole(path)
            self._report.files += 1
        except FileNotFoundError:
            return False
        except OSError:
            whole = False
        return not whole and self._key(path) not in self._index.living().claimed

    def _set_checkpoint_aside(self, path: Path) -> None:
        with self._index.exclusive():  # nobody claims the task meanwhile
            if self._is_torn(path):
                os.replace(path, path.with_name(f"{path.name}{SET_ASIDE}"))

    def _steps(self) -> Iterator[Finding]:
        payloads = self._steps_payloads
        named: set[str] = set()
        for path in entries(self._root / STEPS / STEP_KEYS):
            if path.suffix != ".json":
                continue
            ref, fault = _step_fault(path, payloads, self._report)
            if ref is not None:
                named.add(ref)
            if fault:
                remedy = "it is set aside, and computed when needed"
                yield self._finding("step", path, fault, remedy, self._is_wrong_step, self._drop_step)
        for ref in payloads.refs():
            fault = "" if ref in named else payload_fault(payloads, ref, self._report)
            if fault:
                yield self._wrong_payload(ref, fault)

    def _wrong_payload(self, ref: str, fault: str) -> Finding:
        payloads = self._steps_payloads
        return Finding(
            Problem("step", f"{STEPS}/{ref}", fault, "it is set aside"),
            lambda: payloads.exists(ref) and bool(payload_fault(payloads, ref)),
            lambda: payloads.quarantine(ref) is not None,
        )

    def _is_wrong_step(self, path: Path) -> bool:
        return bool(_step_fault(path, self._steps_payloads)[1])

    def _drop_step(self, path: Path) -> bool:
        with self._index.exclusive() as living:
            if living.runs:
                return False  # whoever needs the step finds out, and computes it
            ref, _ = _step_fault(path, self._steps_payloads)
            if ref is not None:
                with suppress(PayloadDamaged):
                    self._steps_payloads.quarantine(ref)
            path.unlink(missing_ok=True)
        return True

    # --- files that nobody should find, and logs -------------------------------------------------------

    def _is_left_over(self, path: Path) -> bool:
        return not self._index.living().runs and path.exists()

    def _remove(self, path: Path) -> bool:
        with self._index.exclusive() as living:  # no run begins meanwhile
            if living.runs:
                return False
            path.unlink(missing_ok=True)
        return True

    def _move_aside(self, path: Path) -> None:
        folder = self._root / PAYLOADS / QUARANTINE
        folder.mkdir(exist_ok=True)
        name = "foreign-" + path.relative_to(self._root).as_posix().replace("/", "-")
        number = 1
        while os.path.lexists(folder / f"{name}.{number}"):
            number += 1
        os.replace(path, folder / f"{name}.{number}")

    def _short_log(self, file: str, end: int) -> Finding:
        gone = self._log_size(file) <= 0
        what = "the output of tasks is gone" if gone else "the end of tasks' output is gone"
        return Finding(
            Problem("log", f"{LOGS}/{file}", what, "tasks are kept, without that output"),
            lambda: self._log_size(file) < end,
            lambda: self._index.forget_log(file, self._log_size(file)),
        )

    def _log_size(self, file: str) -> int:
        return max(_log_size(self._root / LOGS, file), self._far_logs.get(str(file), -1))


def _step_fault(record: Path, payloads: PayloadDir, report: Report | None = None) -> tuple[str | None, str]:
    """Return the value that a step's record names, and what is wrong with either."""
    try:
        told = parsed(b"", record.read_bytes())
    except FileNotFoundError:
        return None, ""
    except OSError:
        told = None
    if told is None:
        return None, "the record of a step is damaged"
    ref = told.value.ref
    return ref, "" if ref is None else payload_fault(payloads, ref, report)


def _log_size(logs: Path, file: object) -> int:
    """Return a log's bytes; -1 where it is gone, or the name leads out of the folder."""
    name = str(file)
    if name.startswith("/") or ".." in name.split("/"):
        return -1
    try:
        return (logs / name).stat().st_size
    except (OSError, ValueError):
        return -1


def _foreign_payloads(folder: Path, others: frozenset[str]) -> Iterator[Path]:
    """Yield what has no place in a folder of payloads."""
    for shard in entries(folder):
        if _is_harmless(shard) or shard.name in others:
            continue
        if (
            not shard.is_dir()
            or shard.is_symlink()
            or not (_SHARD.fullmatch(shard.name) or shard.name == DEFINITIONS)
        ):
            yield shard
            continue
        for path in entries(shard):
            name = _NAME.fullmatch(path.name)
            ours = name is not None and shard.name in (name[1], DEFINITIONS) and not path.is_symlink()
            if not path.is_dir() and (ours or _is_harmless(path)):
                continue
            yield path


def _checkpoint_files(folder: Path) -> Iterator[Path]:
    for task in entries(folder):
        if key_and_fence(task.name) is not None and not task.is_symlink():
            yield from (path for path in below(task) if path.name in GENERATIONS)


def _foreign_checkpoints(folder: Path) -> Iterator[Path]:
    """Yield what has no place in the folder of checkpoints."""
    for task in entries(folder):
        if _is_harmless(task):
            continue
        found = key_and_fence(task.name)
        if found is None or task.is_symlink() or not task.is_dir():
            yield task
            continue
        for path in below(task):
            known = (
                path.name in GENERATIONS
                or path.name.removesuffix(SET_ASIDE) in GENERATIONS
                or (path.name == FENCE_BEGUN and found[1] > 0)
                or _is_harmless(path)
            )
            if path.is_symlink() or (not path.is_dir() and not known):
                yield path


def _is_harmless(path: Path) -> bool:
    """Tell whether a file is what file managers and file systems leave anywhere."""
    return path.name in _HARMLESS or path.name.startswith(_HARMLESS_START)
