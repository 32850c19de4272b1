"""Look at what stands beside rows and values: checkpoints, steps, logs, files that nobody should find.

Knows: the store's folders, which runs live. May not know: rows of tasks but for the logs that they name.

Nothing here unpickles, or follows a link out of the store.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from memento.errors import PayloadDamaged
from memento.layout import (
    CHECKPOINTS,
    DEFINITIONS,
    GENERATIONS,
    LOGS,
    PAYLOADS,
    QUARANTINE,
    SET_ASIDE,
    STEP_KEYS,
    STEPS,
    TEMPORARY,
)
from memento.store.garbage import half_written
from memento.store.problems import Finding, Problem, Report, payload_fault, unreadable
from memento.store.store import Store
from memento.values.checkpoints import is_whole
from memento.values.payloads import PayloadDir
from memento.values.places import below, entries

_NO_VALUES = frozenset({QUARANTINE})
_NO_STEPS = frozenset({QUARANTINE, STEP_KEYS})
_HARMLESS = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})  # file managers leave them
_HARMLESS_START = (".nfs", "._")  # files that NFS keeps while they are open; macOS on foreign disks
_SHARD = re.compile(r"[0-9a-f]{2}")
_NAME = re.compile(r"([0-9a-f]{2})[0-9a-f]{30}\.[a-z]+")
_KEY = re.compile(r"[0-9a-f]{32}")


class Files:
    """Looks at files."""

    def __init__(self, store: Store, report: Report) -> None:
        self._index, self._root, self._report = store.index, store.path, report

    def look(self) -> Iterator[Finding]:
        """Yield all that looks wrong."""
        yield from self._checkpoints()
        yield from self._steps()
        yield from self._half_written()
        yield from self._foreign()
        yield from self._logs()

    # --- checkpoints and steps -------------------------------------------------------------------------

    def _checkpoints(self) -> Iterator[Finding]:
        for key, path in _checkpoint_files(self._root / CHECKPOINTS):
            closed = unreadable(self._root, path)
            if closed is not None:
                yield closed
            elif self._is_torn(key, path):
                what = "a generation of the checkpoint is torn or altered (a crash in the middle of saving leaves one)"
                problem = Problem("checkpoint", self._short(path), what, "it is set aside", key.hex())
                yield Finding(
                    problem,
                    partial(self._is_torn, key, path),
                    partial(self._set_checkpoint_aside, key, path),
                )

    def _is_torn(self, key: bytes, path: Path) -> bool:
        """Tell whether a checkpoint is damaged, and no living run is just saving it."""
        try:
            whole = is_whole(path)
            self._report.files += 1
        except FileNotFoundError:
            return False
        except OSError:
            whole = False
        return not whole and key not in self._index.living().claimed

    def _set_checkpoint_aside(self, key: bytes, path: Path) -> bool:
        with self._index.exclusive():  # nobody claims the task meanwhile
            if self._is_torn(key, path):
                os.replace(path, path.with_name(f"{path.name}{SET_ASIDE}"))
        return True

    def _steps(self) -> Iterator[Finding]:
        payloads = PayloadDir(self._root / STEPS)
        named: set[str] = set()
        for path in entries(self._root / STEPS / STEP_KEYS):
            if path.suffix != ".json":
                continue
            ref, fault = _step_fault(path, payloads, self._report)
            if ref is not None:
                named.add(ref)
            if fault:
                problem = Problem(
                    "step", self._short(path), fault, "it is set aside, and computed when needed"
                )
                yield Finding(
                    problem,
                    partial(_is_faulty_step, path, payloads),
                    partial(self._drop_step, path, ref),
                )
        for ref in payloads.refs():
            fault = "" if ref in named else payload_fault(payloads, ref, self._report)
            if fault:
                problem = Problem("step", f"{STEPS}/{ref}", fault, "it is set aside")
                yield Finding(
                    problem,
                    partial(_is_faulty_payload, payloads, ref),
                    partial(_quarantine, payloads, ref),
                )

    def _drop_step(self, path: Path, ref: str | None) -> bool:
        payloads = PayloadDir(self._root / STEPS)
        with self._index.exclusive() as living:
            if living.runs:
                return False  # whoever needs the step finds out, and computes it
            if ref is not None:
                with suppress(PayloadDamaged):
                    payloads.quarantine(ref)
            path.unlink(missing_ok=True)
        return True

    # --- files that nobody should find -----------------------------------------------------------------

    def _half_written(self) -> Iterator[Finding]:
        for path in half_written(self._root):
            problem = Problem("half-written", self._short(path), "a run that died left it", "it is removed")
            yield Finding(
                problem,
                partial(self._is_left_over, path),
                partial(self._remove, path),
            )

    def _foreign(self) -> Iterator[Finding]:
        foreign = [
            *_foreign_payloads(self._root / PAYLOADS, _NO_VALUES),
            *_foreign_payloads(self._root / STEPS, _NO_STEPS),
            *_foreign_checkpoints(self._root / CHECKPOINTS),
        ]
        for path in foreign:
            problem = Problem(
                "foreign", self._short(path), "it is none of Memento's files", "it is set aside"
            )
            yield Finding(problem, partial(os.path.lexists, path), partial(self._move_aside, path))

    def _is_left_over(self, path: Path) -> bool:
        return not self._index.living().runs and path.exists()

    def _remove(self, path: Path) -> bool:
        with self._index.exclusive() as living:  # no run begins meanwhile
            if living.runs:
                return False
            path.unlink(missing_ok=True)
        return True

    def _move_aside(self, path: Path) -> bool:
        folder = self._root / PAYLOADS / QUARANTINE
        folder.mkdir(exist_ok=True)
        name = "foreign-" + self._short(path).replace("/", "-")
        number = 1
        while os.path.lexists(folder / f"{name}.{number}"):
            number += 1
        os.replace(path, folder / f"{name}.{number}")
        return True

    def _logs(self) -> Iterator[Finding]:
        for file, end in self._index.log_ends().items():
            size = _log_size(self._root / LOGS, file)
            if size < end:
                what = "the output of tasks is gone" if size <= 0 else "the end of tasks' output is gone"
                problem = Problem("log", f"{LOGS}/{file}", what, "tasks are kept, without that output")
                yield Finding(problem, partial(self._is_short, file, end), partial(self._forget_log, file))

    def _is_short(self, file: str, end: int) -> bool:
        return _log_size(self._root / LOGS, file) < end

    def _forget_log(self, file: str) -> bool:
        self._index.forget_log(file, _log_size(self._root / LOGS, file))
        return True

    def _short(self, path: Path) -> str:
        """Return a path as people see it: relative to the store."""
        return path.relative_to(self._root).as_posix()


def _is_faulty_step(record: Path, payloads: PayloadDir) -> bool:
    return bool(_step_fault(record, payloads)[1])


def _is_faulty_payload(payloads: PayloadDir, ref: str) -> bool:
    return (payloads.root / ref).exists() and bool(payload_fault(payloads, ref))


def _quarantine(payloads: PayloadDir, ref: str) -> bool:
    return payloads.quarantine(ref) is not None


def _step_fault(record: Path, payloads: PayloadDir, report: Report | None = None) -> tuple[str | None, str]:
    """Return the value that a step's record names, and what is wrong with either."""
    try:
        told = json.loads(record.read_bytes())
        ref, data = told["ref"], told["data"]
        if (ref is None) == (data is None) or not isinstance(ref or data, str) or "step" not in told:
            return None, "the record of a step is damaged"
    except FileNotFoundError:
        return None, ""
    except (OSError, ValueError, KeyError, TypeError):
        return None, "the record of a step is damaged"
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
    """Yield what has no place in a folder of payloads.

    Parameters
    ----------
    folder : Path
        ``payloads`` or ``steps``.
    others : frozenset of str
        Folders in it that hold something else.
    """
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
            if not path.is_dir() and (ours or _is_harmless(path) or path.name.startswith(TEMPORARY)):
                continue
            yield path


def _checkpoint_files(folder: Path) -> Iterator[tuple[bytes, Path]]:
    """Yield the files of checkpoints, with their tasks' keys."""
    for task in entries(folder):
        if _KEY.fullmatch(task.name) and not task.is_symlink():
            for path in below(task):
                if path.name in GENERATIONS:
                    yield bytes.fromhex(task.name), path


def _foreign_checkpoints(folder: Path) -> Iterator[Path]:
    """Yield what has no place in the folder of checkpoints."""
    for task in entries(folder):
        if _is_harmless(task):
            continue
        if not _KEY.fullmatch(task.name) or task.is_symlink() or not task.is_dir():
            yield task
            continue
        for path in below(task):
            known = (
                path.name in GENERATIONS
                or path.name.removesuffix(SET_ASIDE) in GENERATIONS
                or _is_harmless(path)
            )
            if path.is_symlink() or (not path.is_dir() and not known):
                yield path


def _is_harmless(path: Path) -> bool:
    """Tell whether a file is what file managers and file systems leave anywhere."""
    return path.name in _HARMLESS or path.name.startswith(_HARMLESS_START)
