"""Look at what stands beside rows and values: checkpoints, steps, logs, files that nobody should find.

Knows: the store's folders, which runs live. May not know: rows of tasks but for the logs that they name.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from memento.errors import PayloadDamaged
from memento.layout import CHECKPOINTS, LOGS, PAYLOADS, QUARANTINE, SET_ASIDE, STEP_KEYS, STEPS
from memento.store import checks, sql
from memento.store.garbage import half_written
from memento.store.liveness import claimed, running
from memento.store.problems import Finding, Look, Problem, Report, payload_fault
from memento.values.checkpoints import is_whole
from memento.values.payloads import PayloadDir
from memento.values.places import entries

_NO_VALUES = frozenset({QUARANTINE})
_NO_STEPS = frozenset({QUARANTINE, STEP_KEYS})


class Files(Look):
    """Looks at files."""

    def look(self) -> Iterator[Finding]:
        """Yield all that looks wrong."""
        yield from self._checkpoints()
        yield from self._steps()
        yield from self._half_written()
        yield from self._foreign()
        yield from self._logs()

    # --- checkpoints and steps -------------------------------------------------------------------------

    def _checkpoints(self) -> Iterator[Finding]:
        for key, path in checks.checkpoint_files(self.root / CHECKPOINTS):
            unreadable = self.unreadable(path)
            if unreadable is not None:
                yield unreadable
            elif self._is_torn(key, path):
                what = "a generation of the checkpoint is torn or altered (a crash in the middle of saving leaves one)"
                problem = Problem("checkpoint", self.short(path), what, "it is set aside", key.hex())
                yield Finding(
                    problem,
                    lambda key=key, path=path: self._is_torn(key, path),  # type: ignore[misc]  # bound now
                    lambda key=key, path=path: self._set_checkpoint_aside(key, path),  # type: ignore[misc]
                )

    def _is_torn(self, key: bytes, path: Path) -> bool:
        """Tell whether a checkpoint is damaged, and no living run is just saving it."""
        try:
            whole = is_whole(path)
            self.report.files += 1
        except FileNotFoundError:
            return False
        except OSError:
            whole = False
        if whole:
            return False
        connection = self.database.connection()
        return key not in claimed(connection, running(connection, self.store._live))

    def _set_checkpoint_aside(self, key: bytes, path: Path) -> bool:
        with self.database.writing(durable=False):  # nobody claims the task meanwhile
            if self._is_torn(key, path):
                os.replace(path, path.with_name(f"{path.name}{SET_ASIDE}"))
        return True

    def _steps(self) -> Iterator[Finding]:
        payloads = PayloadDir(self.root / STEPS)
        named: set[str] = set()
        for path in entries(self.root / STEPS / STEP_KEYS):
            if path.suffix != ".json":
                continue
            ref, fault = _step_fault(path, payloads, self.report)
            if ref is not None:
                named.add(ref)
            if fault:
                problem = Problem(
                    "step", self.short(path), fault, "it is set aside, and computed when needed"
                )
                yield Finding(
                    problem,
                    lambda path=path: bool(_step_fault(path, payloads)[1]),  # type: ignore[misc]  # bound now
                    lambda path=path, ref=ref: self._drop_step(path, ref),  # type: ignore[misc]
                )
        for ref in payloads.refs():
            fault = "" if ref in named else payload_fault(payloads, ref, self.report)
            if fault:
                problem = Problem("step", f"{STEPS}/{ref}", fault, "it is set aside")
                yield Finding(
                    problem,
                    lambda ref=ref: (payloads.root / ref).exists() and bool(payload_fault(payloads, ref)),  # type: ignore[misc]
                    lambda ref=ref: payloads.quarantine(ref) is not None,  # type: ignore[misc]
                )

    def _drop_step(self, path: Path, ref: str | None) -> bool:
        payloads = PayloadDir(self.root / STEPS)
        with self.database.writing(durable=False) as connection:
            if running(connection, self.store._live):
                return False  # whoever needs the step finds out, and computes it
            if ref is not None:
                with suppress(PayloadDamaged):
                    payloads.quarantine(ref)
            path.unlink(missing_ok=True)
        return True

    # --- files that nobody should find -----------------------------------------------------------------

    def _half_written(self) -> Iterator[Finding]:
        for path in half_written(self.root):
            problem = Problem("half-written", self.short(path), "a run that died left it", "it is removed")
            yield Finding(
                problem,
                lambda path=path: not self._busy() and path.exists(),  # type: ignore[misc]  # bound now
                lambda path=path: self._remove(path),  # type: ignore[misc]
            )

    def _foreign(self) -> Iterator[Finding]:
        foreign = [
            *checks.foreign_payloads(self.root / PAYLOADS, _NO_VALUES),
            *checks.foreign_payloads(self.root / STEPS, _NO_STEPS),
            *checks.foreign_checkpoints(self.root / CHECKPOINTS),
        ]
        for path in foreign:
            problem = Problem("foreign", self.short(path), "it is none of Memento's files", "it is set aside")
            yield Finding(
                problem,
                lambda path=path: os.path.lexists(path),  # type: ignore[misc]  # bound now
                lambda path=path: self._move_aside(path),  # type: ignore[misc]
            )

    def _busy(self) -> bool:
        return bool(running(self.database.connection(), self.store._live))

    def _remove(self, path: Path) -> bool:
        with self.database.writing(durable=False) as connection:  # no run begins meanwhile
            if running(connection, self.store._live):
                return False
            path.unlink(missing_ok=True)
        return True

    def _move_aside(self, path: Path) -> bool:
        folder = self.root / PAYLOADS / QUARANTINE
        folder.mkdir(exist_ok=True)
        name = "foreign-" + self.short(path).replace("/", "-")
        number = 1
        while os.path.lexists(folder / f"{name}.{number}"):
            number += 1
        os.replace(path, folder / f"{name}.{number}")
        return True

    def _logs(self) -> Iterator[Finding]:
        for file, end in self.all(sql.LOG_ENDS):
            size = _log_size(self.root / LOGS, file)
            if isinstance(end, int) and size < end:
                what = "the output of tasks is gone" if size <= 0 else "the end of tasks' output is gone"
                problem = Problem("log", f"{LOGS}/{file}", what, "tasks are kept, without that output")
                yield Finding(
                    problem,
                    lambda file=file, end=end: _log_size(self.root / LOGS, file) < end,  # type: ignore[misc]
                    lambda file=file: self._forget_log(file),  # type: ignore[misc]
                )

    def _forget_log(self, file: str) -> bool:
        with self.database.writing() as connection:
            for statement in sql.DROP_LOGS:
                connection.execute(statement, (file, _log_size(self.root / LOGS, file)))
        return True


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
