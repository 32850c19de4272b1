"""Declare the commands that hand results to other programs, and take theirs: export, import.

Knows: names and help texts. May not know: stores, runs (imported when a command is called, so `--help` is quick).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from memento.cli import common_options as common

app = typer.Typer()
PANEL = "Exchange results"


@app.command(rich_help_panel=PANEL)
def export(
    tasks: common.TasksArgument = None,
    to: Annotated[
        str | None,
        typer.Option(help="csv, json, jsonl, parquet, mlflow, tensorboard; by default what OUT ends in."),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--out",
            metavar="OUT",
            help="A file, a folder for tensorboard, a server's address or a folder for mlflow; - for standard output.",
        ),
    ] = None,
    experiment: common.ExperimentOption = None,
    failed: common.FailedOption = False,
    status: common.StatusOption = None,
    newer_than: common.NewerOption = None,
    older_than: common.OlderOption = None,
    curves: Annotated[
        bool,
        typer.Option("--curves", help="A row for each point of the metrics over time, not for each task."),
    ] = False,
    artifacts: Annotated[
        bool, typer.Option("--artifacts", help="Also copy the files that tasks kept (mlflow).")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace what OUT names.")] = False,
    store: common.StoreOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Write results for other programs: tables, MLflow, TensorBoard.

    A table has a row for each finished task, in the order of the matrix: its key, experiment, parameters, settings,
    status, what it returned, the last value of each metric, times, memory, error. What stands in MLflow or in a
    folder for TensorBoard already is left alone; only what is new is added.
    """
    from memento.cli.choosing import wanted
    from memento.cli.export import export as write
    from memento.cli.export import target_of

    which = wanted(
        tasks, experiment, failed=failed, status=status, newer_than=newer_than, older_than=older_than
    )
    target = target_of(to, out, curves=curves, artifacts=artifacts, force=force)
    write(store, which, target, as_json=as_json)


@app.command("import", rich_help_panel=PANEL)
def import_(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="A CSV file, a folder of Hydra's multirun, an MLflow or an Optuna storage."
        ),
    ],
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE:FUNC", help="The experiment: experiment.py:func, or package.module:func."
        ),
    ] = None,
    matrix: Annotated[
        Path | None,
        typer.Argument(
            metavar="MATRIX", help="The matrix whose tasks the rows are: a YAML, TOML or JSON file."
        ),
    ] = None,
    experiment: Annotated[
        str | None, typer.Option("--experiment", "-e", help="The experiment's name, in place of FILE:FUNC.")
    ] = None,
    params: Annotated[
        list[str] | None, typer.Option(metavar="A,B", help="The columns that are parameters.")
    ] = None,
    value: Annotated[
        list[str] | None,
        typer.Option(metavar="A,B", help="The column that is the result; of several it is a dict."),
    ] = None,
    metrics: Annotated[
        list[str] | None, typer.Option(metavar="A,B", help="The columns that are recorded metrics.")
    ] = None,
    rename: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN=NAME", help="Another name for a column.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Without a matrix: a setting of all tasks.")
    ] = None,
    runtime: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The column with the seconds that a task took.")
    ] = None,
    status: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The column that says whether a task is done.")
    ] = None,
    result: Annotated[
        str | None,
        typer.Option(
            metavar="FILE[:FIELD]", help="Of Hydra: the file in each job's folder that has the result."
        ),
    ] = None,
    study: Annotated[
        str | None,
        typer.Option(help="The study of Optuna, or the experiment of MLflow, where there are several."),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option("--from", metavar="KIND", help="What SOURCE is: csv, hydra, mlflow or optuna."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="With FILE:FUNC, the experiment's own name.")] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace what was imported before and has another value now.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be imported.")] = False,
    store: common.StoreOption = None,
    payloads: common.PayloadsOption = None,
    as_json: common.JsonOption = False,
) -> int:
    """Take in results that were computed elsewhere.

    Each row of the source that is done becomes a finished task, so that a run finds it and computes only the rest.
    With a matrix a row is matched to the task with its values, written as `memento ls` shows them. Importing again adds
    nothing; what this store has computed itself stays. Exits with 1 if no row is a task's, or
    each that is has another value here.
    """
    from memento.cli.import_results import Options, columns_in, import_from
    from memento.exchange.open_source import Wanted
    from memento.exchange.roles import Asked

    asked = Asked(
        columns_in(params) if params else None, columns_in(value), columns_in(metrics), runtime, status
    )
    options = Options(
        store=store,
        payloads=payloads,
        target=target,
        matrix=matrix,
        experiment=experiment,
        name=name,
        settings=settings or (),
        rename=rename or (),
        asked=asked,
        wanted=Wanted(kind, study, result),
        replace=replace,
        dry_run=dry_run,
    )
    return 0 if import_from(source, options, as_json=as_json) else 1
