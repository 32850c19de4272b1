"""`memento export`: results in the formats of other programs.

Knows: which tasks are meant, which format is asked for, what to say. May not know: how a format is written.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from memento.cli.choosing import Wanted, choose
from memento.cli.exit_codes import UsageError
from memento.cli.open_store import one_experiment, open_store
from memento.cli.printing import print_json, print_safe
from memento.errors import MementoError
from memento.exchange.exported_tasks import Exported, ExportedTasks, with_series
from memento.exchange.table_columns import Table, table_of_points, table_of_tasks
from memento.exchange.table_files import TEXT_FORMATS, write_parquet, write_text
from memento.exchange.whole_file import check_free, whole_file
from memento.store.location import StorePath
from memento.store.provenance import redact_urls
from memento.store.store import Store
from memento.suggest import did_you_mean
from memento.values.describe import ITEMS
from memento.wording import number_of, one_line

FORMATS = (*TEXT_FORMATS, "parquet", "mlflow", "tensorboard")
_ENDINGS = {".csv": "csv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
_SERVERS = ("http://", "https://", "sqlite:", "postgresql", "mysql", "mssql", "file:", "databricks")


class Target(NamedTuple):
    """What to write, and how."""

    format: str  # one of FORMATS
    out: str  # "-" for standard output
    curves: bool  # metrics over time in place of tasks
    artifacts: bool
    force: bool


class NothingToExport(MementoError):
    """No task is meant."""

    def __str__(self) -> str:
        return f"there are no {self.args[0]}, so nothing was written. `memento ls` lists what there is."


def export(path: StorePath | None, which: Wanted, target: Target, *, as_json: bool) -> None:
    """Write the tasks that are meant."""
    with open_store(path) as store:
        tasks = Chosen(store, which)
        if target.format in ("mlflow", "tensorboard"):
            _write_runs(store, tasks, target, as_json=as_json)
            return
        if target.out != "-":
            check_free(Path(target.out), replace=target.force)
        if target.curves:
            table = table_of_points(partial(with_series, store, tasks))
        else:
            table = table_of_tasks(tasks, to_read_back=target.format == "csv")
        if not table.columns:
            raise NothingToExport("recorded metrics of such tasks" if target.curves else "such tasks")
        count = _write(table, target)
    if table.too_many_items:
        dicts = f"values that are dicts of more than {ITEMS} items stand in the column 'value', as JSON"
        print(f"note: {dicts}", file=sys.stderr)
    if as_json:
        rows = "points" if target.curves else "tasks"
        print_json("export", {"out": target.out, "format": target.format, rows: count})
    elif target.out != "-":
        print(f"{number_of(count, 'row')} -> {one_line(target.out)}")


class Chosen:
    """The tasks that are meant, of one experiment after the other; may be read again."""

    def __init__(self, store: Store, which: Wanted) -> None:
        names = [name for name, _, _ in store.index.experiments()]
        if which.experiment is not None:
            names = [one_experiment(which.experiment, store)]
        ids: dict[str, list[int]] | None = None
        if which._replace(experiment=None, status=None).says_which:
            ids = {}
            for record in choose(store, which):
                ids.setdefault(record.experiment, []).append(record.id)
            names = [name for name in names if name in ids]
        self.experiments = [
            ExportedTasks(store, name, None if ids is None else ids[name], which.status) for name in names
        ]

    def __iter__(self) -> Iterator[Exported]:
        return chain.from_iterable(self.experiments)


def target_of(to: str | None, out: str | None, *, curves: bool, artifacts: bool, force: bool) -> Target:
    """Read what was typed; the format may follow from the name of the file."""
    if to is None and out is None:
        raise UsageError("say what to write: memento export -o results.csv, or --to csv for standard output.")
    if to is not None and to not in FORMATS:
        raise UsageError(f"--to {to}: there is no such format. {did_you_mean(to, FORMATS, 'Formats')}")
    kind = to or _guessed(out or "")
    if kind is None:
        listed = ", ".join(FORMATS)
        raise UsageError(f"{out}: its name does not say which format is meant. Give --to: {listed}.")
    if out is None and kind not in TEXT_FORMATS:
        raise UsageError(f"--to {kind} writes no text: name where to with -o.")
    if out == "-" and kind not in TEXT_FORMATS:
        raise UsageError(f"--to {kind} writes no text, so it cannot go to standard output.")
    if curves and kind in ("mlflow", "tensorboard"):
        raise UsageError(f"--curves: {kind} gets the metrics over time of each task anyway.")
    if artifacts and kind != "mlflow":
        raise UsageError("--artifacts goes with --to mlflow alone.")
    return Target(kind, out or "-", curves, artifacts, force)


def _guessed(out: str) -> str | None:
    if out.startswith(_SERVERS):
        return "mlflow"
    return _ENDINGS.get(Path(out).suffix.lower())


def _write(table: Table, target: Target) -> int:
    if target.out == "-":
        return write_text(table, target.format, _Terminal() if sys.stdout.isatty() else sys.stdout)
    with whole_file(Path(target.out), replace=target.force) as path:
        if target.format == "parquet":
            return write_parquet(table, path)
        # What is no Unicode (a file's name may be none) is written as JSON and Python escape it.
        with open(path, "w", encoding="utf-8", errors="backslashreplace", newline="") as stream:
            return write_text(table, target.format, stream)


class _Terminal:
    """Standard output where it is a terminal, which foreign text may not steer."""

    def write(self, text: str) -> None:
        """Print a line."""
        print_safe(text, end="")


def _write_runs(store: Store, tasks: Chosen, target: Target, *, as_json: bool) -> None:
    """Write the tasks to where runs stand, and say how many were there already."""
    if target.format == "mlflow":
        from memento.exchange.write_mlflow import write_mlflow

        written = write_mlflow(store, tasks.experiments, target.out, artifacts=target.artifacts)
    else:
        from memento.exchange.write_tensorboard import write_tensorboard

        written = write_tensorboard(store, tasks.experiments, Path(target.out), anew=target.force)
    if not any(written):
        raise NothingToExport("such tasks")
    if as_json:
        where = redact_urls(target.out)
        print_json("export", {"out": where, "format": target.format, **written._asdict()})
        return
    said = [f"{number_of(written.added, 'task')} -> {one_line(redact_urls(target.out))}"]
    said += [f"{written.kept:,} were there already"] if written.kept else []
    said += [f"{written.replaced:,} replaced, computed again since"] if written.replaced else []
    print("; ".join(said))
