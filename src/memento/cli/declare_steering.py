"""Declare the commands that steer a live run: pause, resume, stop, cancel, first, resize.

Knows: names and help texts. May not know: stores, runs (imported when a command is called, so `--help` is quick).
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from memento.cli import common_options as common

app = typer.Typer()
PANEL = "Steer a run"

RunOption = Annotated[
    int | None, typer.Option("--run", metavar="ID", help="Which run; needed where several are alive.")
]
WaitOption = Annotated[
    str, typer.Option("--wait", metavar="TIME", help="How long to wait for the run's answer.")
]


def _steer(kind: str, store: Any, run: Any, experiment: Any, wait: str, as_json: bool, **what: Any) -> None:
    from memento.cli.live_run import Which
    from memento.cli.steer import steer

    steer(kind, Which(store, run, experiment), wait, as_json=as_json, **what)


@app.command(rich_help_panel=PANEL)
def pause(
    run: RunOption = None,
    experiment: common.ExperimentOption = None,
    wait: WaitOption = "10s",
    store: common.StoreOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Have a run start no more tasks, until it is resumed.

    What runs goes on to its end. Undone by `memento resume`. Other runs over the same store may take what waits.
    """
    _steer("pause", store, run, experiment, wait, as_json)


@app.command(rich_help_panel=PANEL)
def resume(
    run: RunOption = None,
    experiment: common.ExperimentOption = None,
    wait: WaitOption = "10s",
    store: common.StoreOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Have a paused run go on.

    A run that has ended, in whatever way, goes on when it is run again.
    """
    _steer("resume", store, run, experiment, wait, as_json)


@app.command(rich_help_panel=PANEL)
def stop(
    run: RunOption = None,
    experiment: common.ExperimentOption = None,
    wait: WaitOption = "10s",
    store: common.StoreOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """End a run when what runs has finished.

    Nothing more is started. What has finished is kept; run it again, and it goes on from there.
    """
    _steer("stop", store, run, experiment, wait, as_json)


@app.command(rich_help_panel=PANEL)
def cancel(
    tasks: common.TasksArgument = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All tasks that run and wait: the run ends now.")
    ] = False,
    run: RunOption = None,
    experiment: common.ExperimentOption = None,
    wait: WaitOption = "10s",
    store: common.StoreOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """End tasks of a run now; with --all, the run.

    A task that runs may save a checkpoint first. Cancelled tasks count as not done: the next run computes them.
    """
    _steer("cancel", store, run, experiment, wait, as_json, tasks=tasks, everything=everything)


@app.command(rich_help_panel=PANEL)
def first(
    tasks: common.TasksArgument = None,
    run: RunOption = None,
    experiment: common.ExperimentOption = None,
    wait: WaitOption = "10s",
    store: common.StoreOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Compute tasks of a run before all others that wait."""
    _steer("first", store, run, experiment, wait, as_json, tasks=tasks)


@app.command(rich_help_panel=PANEL)
def resize(
    workers: Annotated[int, typer.Argument(min=1, metavar="N", help="How many tasks run at once.")],
    run: RunOption = None,
    experiment: common.ExperimentOption = None,
    wait: WaitOption = "10s",
    store: common.StoreOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Change how many tasks of a run are computed at once.

    Nothing that runs is ended.
    """
    _steer("resize", store, run, experiment, wait, as_json, workers=workers)
