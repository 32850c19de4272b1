"""Write tasks as runs of MLflow: an experiment for an experiment, a run for a task; what is there already stays.

Knows: MLflow's client and its limits, what an exported task says. May not know: which tasks are meant, commands.

A run knows its task by the tag `memento.key`, and by `memento.exported` how the task stood. It says FINISHED or FAILED
last of all: one that does not has been left halfway, and is made anew. So is that of a task computed again since; the
old one is deleted, which MLflow can undo.
"""

from __future__ import annotations

import hashlib
import io
import logging
import posixpath
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

from memento.errors import MementoError
from memento.exchange.exported_tasks import Exported, ExportedTasks, Series, with_series
from memento.exchange.read_mlflow import check_answers
from memento.exchange.table_columns import as_text
from memento.exchange.written import CannotExport, Written, declared, moments_of, results, run_name
from memento.optional_packages import imported
from memento.records import DONE
from memento.results.grouping import title
from memento.store.provenance import redact_urls
from memento.store.store import Store

# MLflow's own limits (mlflow.utils.validation), where they were lower before, these.
_PARAMS, _METRICS, _NAME, _PARAM_TEXT, _TAG_TEXT = 100, 900, 240, 6_000, 5_000
_PAGE = 1_000  # runs of one answer
_UNNAMED = re.compile(r"[^/\w.\- :]")  # what names of parameters and metrics may not have
_KEY, _STAMP = "memento.key", "memento.exported"


class _Known(NamedTuple):
    """A run of a task that is there already."""

    run: str
    stamp: str  # "" where it was left halfway


def write_mlflow(
    store: Store, experiments: Iterable[ExportedTasks], place: str, *, artifacts: bool = False
) -> Written:
    """Write the tasks of these experiments to a tracking server, a database or a folder.

    Raises
    ------
    CannotExport
        MLflow does not take them.
    MissingExtra
        MLflow is not installed.
    """
    if place.startswith(("http://", "https://")):
        check_answers(place)
    mlflow = imported("mlflow", "export --to mlflow", "mlflow")
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    done = Written(0, 0, 0)
    with _told_plainly(place):
        client = mlflow.MlflowClient(tracking_uri=_address(place))
        for tasks in experiments:
            writer = _Writer(store, client, mlflow.entities, _experiment(client, tasks.experiment), artifacts)
            written = writer.write(tasks)
            done = done.and_more(written)
    return done


@contextmanager
def _told_plainly(place: str) -> Iterator[None]:
    try:
        yield
    except MementoError:
        raise
    except Exception as error:  # whatever a database, a server or a file makes of it
        told = redact_urls(" ".join(str(error).split()))[:600]
        raise CannotExport(
            f"MLflow does not take it at {redact_urls(place)}: {type(error).__name__}: {told}"
        ) from error


def _address(place: str) -> str:
    known = "://" in place or place.startswith(("databricks", "sqlite:", "file:"))
    return place if known else Path(place).resolve().as_uri()


def _experiment(client: Any, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        return str(client.create_experiment(name))
    if found.lifecycle_stage != "active":
        raise CannotExport(
            f"the experiment {name!r} was deleted in MLflow. Restore it first:"
            f" mlflow experiments restore --experiment-id {found.experiment_id}"
        )
    return str(found.experiment_id)


class _Writer:
    """Writes the tasks of one experiment."""

    def __init__(self, store: Store, client: Any, entities: Any, experiment: str, artifacts: bool) -> None:
        self._store, self._client, self._entities = store, client, entities
        self._experiment, self._artifacts = experiment, artifacts
        self._commits: dict[int, str] = {}  # of runs
        self._codes: dict[int, str] = {}  # digests of versions

    def write(self, tasks: ExportedTasks) -> Written:
        known = self._known()
        recorded = {name for task in tasks for name in task.metrics}  # none of a value's items is called so
        added = kept = replaced = 0
        for task, series in with_series(self._store, tasks):
            there, stamp = known.get(task.key, []), self._stamp(task)
            same = [one for one in there if one.stamp in (stamp, f"{stamp} with artifacts")][:1]
            if not same:
                self._add(task, series, stamp, recorded)
            for outdated in there:
                if outdated not in same:
                    self._client.delete_run(outdated.run)
            kept += bool(same)
            replaced += bool(there) and not same
            added += not there
        return Written(added, kept, replaced)

    def _stamp(self, task: Exported) -> str:
        record = task.record
        files = " with artifacts" if self._artifacts and record.artifacts else ""
        return f"{record.status} {record.started!r} attempt {record.attempt}{files}"

    def _known(self) -> dict[str, list[_Known]]:
        known: dict[str, list[_Known]] = {}
        token = None
        while True:
            page = self._client.search_runs(
                [self._experiment], f"tags.`{_KEY}` != ''", max_results=_PAGE, page_token=token
            )
            for run in page:
                ended = run.info.status in ("FINISHED", "FAILED")
                tags = run.data.tags
                one = _Known(run.info.run_id, tags.get(_STAMP, "") if ended else "")
                known.setdefault(tags[_KEY], []).append(one)
            token = page.token
            if not token:
                return known

    def _add(self, task: Exported, series: Series, stamp: str, recorded: set[str]) -> None:
        record, client = task.record, self._client
        began, ended = _milliseconds(record.started), _milliseconds(record.started + record.runtime)
        numbers, others = results(task, recorded)
        tags = self._tags(task) | {_STAMP: stamp}
        for name, value in others.items():
            tags[entity_name(name if name == "value" else f"value.{name}")] = _cut(
                as_text(value) or "", _TAG_TEXT
            )
        run = client.create_run(self._experiment, began, tags, run_name(task, 200)).info.run_id
        metric, param = self._entities.Metric, self._entities.Param
        points = [metric(entity_name(name), value, ended, 0) for name, value in numbers.items()]
        for name, (xs, ys) in series.items():
            steps, moments = moments_of(record, xs.tolist())
            for step, moment, y in zip(steps, moments, ys.tolist(), strict=True):
                points.append(metric(entity_name(name), y, _milliseconds(moment), step))
        params = [
            param(entity_name(name), _cut(as_text(value) or "", _PARAM_TEXT))
            for name, value in declared(task).items()
        ]
        for first in range(0, max(len(params), 1), _PARAMS):
            client.log_batch(run, params=params[first : first + _PARAMS])
        for first in range(0, len(points), _METRICS):
            client.log_batch(run, metrics=points[first : first + _METRICS])
        if self._artifacts:
            for name, path in self._store.artifacts(record).items():
                below = Path(name).parent.as_posix()
                if Path(path).is_file():
                    client.log_artifact(run, path, below.strip("."))
        with redirect_stdout(io.StringIO()):  # it prints two addresses for each run
            client.set_terminated(run, "FINISHED" if record.status == DONE else "FAILED", ended)

    def _tags(self, task: Exported) -> dict[str, str]:
        record = task.record
        tags = {
            _KEY: task.key,
            "memento.experiment": record.experiment,
            "memento.status": record.status,
            "memento.attempts": str(record.attempt),
            "memento.code": self._code(record.code),
        }
        commit = self._commit(record.run)
        if commit:
            tags["mlflow.source.git.commit"] = commit
        if record.failure is not None:
            tags["memento.error"] = _cut(title(record.failure), _TAG_TEXT)
        return {name: text for name, text in tags.items() if text}

    def _code(self, number: int) -> str:
        if number not in self._codes:
            found = self._store.index.codes([number]).get(number)
            self._codes[number] = found.digest.hex() if found is not None else ""
        return self._codes[number]

    def _commit(self, number: int) -> str:
        if number not in self._commits:
            run = self._store.index.run(number)
            git = run.info.provenance.get("git") if run is not None else None
            self._commits[number] = str(git.get("commit", "")) if isinstance(git, dict) else ""
        return self._commits[number]


def entity_name(name: str) -> str:
    """Return a name as MLflow takes it; one that it does not take gets a mark, so that no two become one.

    >>> entity_name("loss/train"), entity_name("acc@1"), entity_name("../x")
    ('loss/train', 'acc_1-e2c125', '_x-998b33')
    """
    whole = bool(name) and len(name) <= _NAME and not _UNNAMED.search(name)
    if whole and name != "." and posixpath.normpath(name) == name and not name.startswith(("/", "..")):
        return name
    plain = _UNNAMED.sub("_", name).replace("/", "_").strip(".") or "_"
    mark = hashlib.blake2b(name.encode("utf-8", "backslashreplace"), digest_size=3).hexdigest()
    return f"{plain[: _NAME - 10]}-{mark}"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
