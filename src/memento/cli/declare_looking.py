"""Declare the commands that show what a store holds and what runs: status, ls, show, logs, why, diff, query.

Knows: names and help texts. May not know: stores, runs (imported when a command is called, so `--help` is quick).
"""

from __future__ import annotations

from typing import Annotated

import typer

from memento.cli import common_options as common

app = typer.Typer()
PANEL = "Look"


@app.command(rich_help_panel=PANEL)
def status(
    experiment: common.ExperimentOption = None,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Look again every two seconds, until Ctrl-C.")
    ] = False,
    full: Annotated[
        bool, typer.Option("--full", help="Look at all results and files, also where that takes long.")
    ] = False,
    store: common.StoreOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Say what runs, what failed and why, and what the store holds.

    Of a run that goes on: done, failed, running, time that is left, and what each worker is at. Of those that ended:
    how, when, what is left and how to go on. Of experiments: failures by cause with what they share, the highest
    and the lowest number so far. In a store with more than 10,000 results the latter two take --full.
    """
    from memento.cli.status import print_status

    print_status(store, experiment, as_json=as_json, watch=watch, full=full)


@app.command(rich_help_panel=PANEL)
def ls(
    tasks: common.TasksArgument = None,
    experiment: common.ExperimentOption = None,
    failed: common.FailedOption = False,
    status: common.StatusOption = None,
    newer_than: common.NewerOption = None,
    older_than: common.OlderOption = None,
    limit: Annotated[
        int | None,
        typer.Option(min=0, help="How many rows at most, 0 for all; by default 50, with --json all."),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--columns",
            help="These columns: parameters, parts of results, metrics, time, memory, started, worker, ...",
        ),
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option(help="The highest of this column first; the lowest with --lowest or a - before it."),
    ] = None,
    lowest: Annotated[bool, typer.Option("--lowest", help="With --sort: the lowest first.")] = False,
    store: common.StoreOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """List finished tasks, the newest first.

    Each with its key, status, what tells it from the others, what it returned, and its time. What all have in
    common is said once above. Where a terminal is narrow, numbers go first.
    """
    from memento.cli.choosing import wanted
    from memento.cli.ls import print_tasks

    which = wanted(
        tasks, experiment, failed=failed, status=status, newer_than=newer_than, older_than=older_than
    )
    names = [name.strip() for one in columns or () for name in one.split(",") if name.strip()]
    print_tasks(store, which, limit=limit, as_json=as_json, columns=names, sort=sort, lowest=lowest)


@app.command(rich_help_panel=PANEL)
def show(
    task: common.TaskArgument, store: common.StoreOption = None, as_json: common.JsonOption = False
) -> None:
    """Show all that is known of one task.

    Its parameters, settings, value, metrics, artifacts, and each attempt with its traceback.
    """
    from memento.cli.show_task import print_task

    print_task(store, task, as_json=as_json)


@app.command(rich_help_panel=PANEL)
def logs(
    task: common.TaskArgument,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on as the task prints.")] = False,
    store: common.StoreOption = None,
) -> None:
    """Print what a task printed.

    The output of the attempt that runs now, else of the last one. With -f it goes on as the task prints,
    over all its attempts, and ends when the task is done or no run is left that may run it. Tasks in worker
    processes have logs; those of other executors print where the run does.
    """
    from memento.cli.logs import print_log

    print_log(store, task, follow=follow)


@app.command(rich_help_panel=PANEL)
def why(
    task: common.TaskArgument, store: common.StoreOption = None, as_json: common.JsonOption = False
) -> None:
    """Say why a task will or will not run.

    What it came to, which version of the code computed it and what has changed since, what it was computed from,
    its failures, whether there is a checkpoint to go on from, and what the version of the code cannot follow.
    """
    from memento.cli.why import print_why

    print_why(store, task, as_json=as_json)


@app.command(rich_help_panel=PANEL)
def diff(
    a: Annotated[str, typer.Argument(help="A task's key, a run's id or name, or a store's folder.")],
    b: Annotated[str, typer.Argument(help="The other one.")],
    store: common.StoreOption = None,
    as_json: common.JsonOption = False,
) -> int:
    """Compare two tasks, two runs or two stores.

    Parameters, settings, results, metrics, failures, code. What they were made with (packages, commit, machine) is told
    and does not count. Exits with 0 where they are the same, with 1 where they differ, with 2 where they cannot be
    compared. task:KEY and run:ID say what is meant where it is not certain.
    """
    from memento.cli.diff import diff

    return 0 if diff(store, a, b, as_json=as_json) else 1


@app.command(rich_help_panel=PANEL)
def query(
    statement: Annotated[
        str | None,
        typer.Argument(
            metavar="SELECT",
            help="The question, in SQL; - reads it from standard input. Without: what there is.",
        ),
    ] = None,
    timeout: Annotated[str, typer.Option(help="When a query is ended, like 30s.")] = "4s",
    limit: Annotated[
        int | None,
        typer.Option(
            min=0, help="How many rows at most, 0 for all; by default 100, with --json and --csv all."
        ),
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    store: common.StoreOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Ask a store in SQL.

    It only reads: tasks, failures, attempts, metrics, runs, experiments. Without a question it lists their columns.
    A query that takes longer than the timeout is ended, so that it holds up no run.
    """
    from memento.cli.query import query

    query(store, statement, timeout=timeout, limit=limit, as_json=as_json, as_csv=as_csv)
