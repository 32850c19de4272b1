"""Write tasks as event files of TensorBoard: a folder for a task, with its scalars and its hyperparameters.

Knows: TensorBoard's event files, by the package tensorboardX. May not know: which tasks are meant, commands.

    OUT/<experiment>/<parameters>-<key>/events.out.tfevents.<how the task stood>

The name of the file says which attempt it is of, so what is there is left alone, and what was computed again is written
anew. A file is there whole or not at all. Of the hyperparameters no list is written: TensorBoard collects them from the
tasks, so that more of them may come at any time.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from memento.exchange.exported_tasks import Exported, ExportedTasks, Series, with_series
from memento.exchange.table_columns import as_text
from memento.exchange.written import CannotExport, Written, declared, is_float, moments_of, results, run_name
from memento.optional_packages import imported
from memento.records import DONE
from memento.store.store import Store

_KEY = 12  # digits of the key that tell folders apart
_NAME = 120  # bytes of a folder's name; most disks take 255
_STRANGE = re.compile(r"[^\w.=,+ -]+")


def write_tensorboard(
    store: Store, experiments: Iterable[ExportedTasks], folder: Path, *, anew: bool = False
) -> Written:
    """Write the tasks of these experiments below a folder; `anew`: also those that are there already.

    Raises
    ------
    CannotExport
        The folder cannot be written to.
    MissingExtra
        tensorboardX is not installed.
    """
    events = _Events()
    done = Written(0, 0, 0)
    try:
        for tasks in experiments:
            place = folder / safe_name(tasks.experiment)
            place.mkdir(parents=True, exist_ok=True)
            known = {one.name[-_KEY:]: one for one in place.iterdir() if one.name[-_KEY - 1 : -_KEY] == "-"}
            recorded = {name for task in tasks for name in task.metrics}
            for task, series in with_series(store, tasks):
                there = known.get(task.key[:_KEY])
                done = done.and_more(_write(events, task, series, recorded, place, there, anew=anew))
    except OSError as error:
        raise CannotExport(f"{error.filename or folder} cannot be written: {error.strerror}.") from error
    return done


def safe_name(text: str) -> str:
    """Return a text as a folder can be called.

    >>> safe_name("scripts/train.py:train"), safe_name("..")
    ('scripts-train.py-train', '-')
    """
    plain = _STRANGE.sub("-", text).encode("utf-8", "ignore")[:_NAME].decode("utf-8", "ignore")
    return plain.strip(". ") or "-"


def _write(
    events: _Events,
    task: Exported,
    series: Series,
    recorded: set[str],
    place: Path,
    there: Path | None,
    *,
    anew: bool,
) -> Written:
    record = task.record
    folder = there or place / f"{safe_name(run_name(task, _NAME))}-{task.key[:_KEY]}"
    file = folder / f"events.out.tfevents.{round(record.started * 1000)}.{record.status}-{record.attempt}"
    others = [one for one in folder.glob("events.out.tfevents.*") if one != file] if there else []
    if file.exists() and not others and not anew:
        return Written(0, 1, 0)
    folder.mkdir(exist_ok=True)
    half = folder / f".{os.getpid()}.half"
    try:
        events.write(half, task, series, recorded)
        os.replace(half, file)
    finally:
        half.unlink(missing_ok=True)
    for one in others:
        one.unlink()
    return Written(0, 0, 1) if there is not None else Written(1, 0, 0)


class _Events:
    """Makes events; holds tensorboardX's modules."""

    def __init__(self) -> None:
        need = "export --to tensorboard"
        self._file = imported("tensorboardX.record_writer", need, "tensorboard").RecordWriter
        self._event = imported("tensorboardX.proto.event_pb2", need, "tensorboard").Event
        self._summary = imported("tensorboardX.proto.summary_pb2", need, "tensorboard")
        self._hparams = imported("tensorboardX.proto.plugin_hparams_pb2", need, "tensorboard")
        self._status = imported("tensorboardX.proto.api_pb2", need, "tensorboard").Status

    def write(self, path: Path, task: Exported, series: Series, recorded: set[str]) -> None:
        """Write all that a task says to one file."""
        record = task.record
        ended = record.started + record.runtime
        writer = self._file(str(path))
        try:
            writer.write(
                self._event(wall_time=record.started, file_version="brain.Event:2").SerializeToString()
            )
            writer.write(self._session(record.started, "session_start_info", self._start(task)))
            for name, (xs, ys) in series.items():
                steps, moments = moments_of(record, xs.tolist())
                for step, moment, y in zip(steps, moments, ys.tolist(), strict=True):
                    writer.write(self._scalar(name, y, step, moment))
            for name, number in results(task, recorded)[0].items():
                writer.write(self._scalar(name, number, 0, ended))
            status = "STATUS_SUCCESS" if record.status == DONE else "STATUS_FAILURE"
            end = self._hparams.SessionEndInfo(status=self._status.Value(status), end_time_secs=ended)
            writer.write(self._session(ended, "session_end_info", end))
            writer.flush()
        finally:
            writer.close()

    def _scalar(self, name: str, value: float, step: int, moment: float) -> bytes:
        summary = self._summary.Summary(value=[self._summary.Summary.Value(tag=name, simple_value=value)])
        told: bytes = self._event(wall_time=moment, step=step, summary=summary).SerializeToString()
        return told

    def _start(self, task: Exported) -> Any:
        start = self._hparams.SessionStartInfo(group_name=task.key, start_time_secs=task.record.started)
        for name, value in declared(task).items():
            if isinstance(value, bool):
                start.hparams[name].bool_value = value
            elif is_float(value):
                start.hparams[name].number_value = value
            else:
                start.hparams[name].string_value = as_text(value) or ""
        return start

    def _session(self, moment: float, kind: str, content: Any) -> bytes:
        """Say something of the task to TensorBoard's plug-in for hyperparameters."""
        data = self._hparams.HParamsPluginData(version=0, **{kind: content})
        plugin = self._summary.SummaryMetadata.PluginData(
            plugin_name="hparams", content=data.SerializeToString()
        )
        value = self._summary.Summary.Value(
            tag=f"_hparams_/{kind}", metadata=self._summary.SummaryMetadata(plugin_data=plugin)
        )
        summary = self._summary.Summary(value=[value])
        told: bytes = self._event(wall_time=moment, summary=summary).SerializeToString()
        return told
