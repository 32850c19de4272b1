"""Declare the commands that compute: demo, run, plan, run-one.

Knows: names and help texts. May not know: stores, runs (imported when a command is called, so `--help` is quick).
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from memento.cli import common_options as common

app = typer.Typer()
PANEL = "Run"


@app.command(rich_help_panel=PANEL)
def demo(
    broken: Annotated[
        bool, typer.Option("--broken", help="Break one data set, to see failures explained.")
    ] = False,
    num_workers: common.WorkersOption = None,
    store: common.StoreOption = None,
) -> None:
    """Run the paper's grid and print its table.

    27 pipelines on three of scikit-learn's data sets. Run it again: nothing is computed. Press Ctrl-C in
    the middle and run it again: only what is missing is computed.
    """
    from memento.cli.demo import run_demo

    run_demo(broken=broken, num_workers=num_workers, store=store)


@app.command(rich_help_panel=PANEL)
def run(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE:FUNC", help="experiment.py:func, or package.module:func; not with --command."
        ),
    ] = None,
    matrix: Annotated[
        str | None, typer.Argument(metavar="MATRIX", help="The matrix: a YAML, TOML or JSON file.")
    ] = None,
    more: common.ChangesArgument = None,
    command: common.CommandOption = None,
    result: common.ResultOption = None,
    env: common.EnvOption = None,
    cwd: common.CwdOption = None,
    changes: common.SetOption = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY|NAME=VALUE", help="Run only these tasks; the others stay as they are."),
    ] = None,
    num_workers: common.WorkersOption = None,
    executor: common.ExecutorOption = "processes",
    store: common.StoreOption = None,
    payloads: common.PayloadsOption = None,
    name: Annotated[str | None, typer.Option(help="The experiment's name.")] = None,
    retries: common.RetriesOption = 0,
    timeout: common.TimeoutOption = None,
    memory_limit: common.MemoryOption = None,
    on_oom: common.OnOomOption = "retry",
    store_limit: Annotated[
        str | None, typer.Option(help="Size of the store at which no more tasks are started, like 50GB.")
    ] = None,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Start no more tasks after the first that has failed.")
    ] = False,
    max_failures: Annotated[
        int | None, typer.Option(min=1, help="Start no more tasks once so many have failed.")
    ] = None,
    on_code_change: Annotated[str, typer.Option(help="warn, rerun or ignore.")] = "warn",
    order: Annotated[str, typer.Option(help="longest-first or matrix.")] = "longest-first",
    cpus_per_task: Annotated[int, typer.Option(min=1, help="Cores that a task may use.")] = 1,
    gpus_per_task: Annotated[
        float, typer.Option(min=0, help="GPUs that a task gets; 0.5 lets two share one.")
    ] = 0,
    gpu_memory: Annotated[
        str | None, typer.Option(help="Memory of a GPU that a task needs, like 10GB; as many share it.")
    ] = None,
    max_tasks_per_worker: Annotated[
        int | None, typer.Option(min=1, help="After how many tasks a worker is replaced.")
    ] = None,
    log_output: Annotated[bool, typer.Option(help="Keep what tasks print.")] = True,
    sample: Annotated[
        str | None, typer.Option(metavar="N", help="Run so many tasks, or a share like 10%, over all values.")
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Have ended by then, with what fits: 07:00, or a date and time."),
    ] = None,
    budget: Annotated[
        str | None, typer.Option(metavar="TIME", help="Have ended after so long, with what fits: 8h.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would run; see plan.")] = False,
    every: Annotated[bool, typer.Option("--all", help="With --dry-run: list every task.")] = False,
    force_run: Annotated[bool, typer.Option("--force-run", help="Compute everything again.")] = False,
    force_cache: Annotated[
        bool, typer.Option("--force-cache", help="Compute nothing; fail where a result is missing.")
    ] = False,
    detach: Annotated[
        bool, typer.Option("--detach", help="Go on in the background, when this terminal is closed too.")
    ] = False,
    progress: Annotated[bool | None, typer.Option(help="Show progress; by default on a terminal.")] = None,
    notify: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="Send messages there; by default where MEMENTO_NOTIFY says."),
    ] = None,
    as_json: common.JsonOption = False,
) -> int:
    """Run an experiment over a matrix.

    The experiment is a function, FILE:FUNC MATRIX, or a program, --command 'python train.py --lr {lr}' MATRIX.
    What is in the store is not computed again. Exits with 1 if tasks failed, with 130 if interrupted, with 124 if it
    was stopped at its deadline (--until, --budget) and tasks are left.
    """
    from memento.cli.exit_codes import TIME_IS_UP
    from memento.cli.notify import provider
    from memento.cli.run import Asked, plan_experiment, run_experiment

    options: dict[str, Any] = {
        "num_workers": num_workers,
        "executor": executor,
        "store": store,
        "payloads": payloads,
        "name": name,
        "retries": retries,
        "timeout": timeout,
        "memory_limit": memory_limit,
        "on_oom": on_oom,
        "store_limit": store_limit,
        "fail_fast": fail_fast,
        "max_failures": max_failures,
        "on_code_change": on_code_change,
        "order": order,
        "cpus_per_task": cpus_per_task,
        "gpus_per_task": gpus_per_task,
        "gpu_memory": gpu_memory,
        "max_tasks_per_worker": max_tasks_per_worker,
        "log_output": log_output,
        "progress": progress,
        "notification_provider": provider(notify or ()),
    }
    program = {"command": command, "result": result, "env": tuple(env or ()), "cwd": cwd}
    asked = Asked.read((target, matrix, *(more or ())), changes or (), only or (), **program)
    how: dict[str, Any] = {"force_run": force_run, "sample": sample, "until": until, "budget": budget}
    if detach and not dry_run:
        import sys

        from memento.cli.detach import detach as start

        return start(store, sys.argv[1:], as_json=as_json)
    if dry_run:
        plan_experiment(asked, options, how, only or (), every=every, as_json=as_json)
        return 0
    how["force_cache"] = force_cache
    return TIME_IS_UP if run_experiment(asked, options, how, only or (), as_json=as_json) else 0


def plan(**options: Any) -> int:
    """Say what a run would do, and do nothing.

    Takes what `memento run` takes. What varies; how many tasks are there already, have failed before, are new, or
    would be computed again, and why; what these have in common, and a few of each (--all: every one); how long it may
    take.
    """
    return run(**options, dry_run=True)


def _like_run() -> dict[str, Any]:
    """Return the parameters of `run` that `plan` has: all but --dry-run, which it is, and --detach."""
    from inspect import signature

    whole = signature(run, eval_str=True)
    return {
        "__signature__": whole.replace(
            parameters=[p for p in whole.parameters.values() if p.name not in ("dry_run", "detach")]
        )
    }


vars(plan).update(_like_run())
plan.__annotations__ = run.__annotations__
app.command(rich_help_panel=PANEL)(plan)


@app.command("run-one", rich_help_panel=PANEL)
def run_one(
    task: common.TaskArgument,
    pdb: Annotated[bool, typer.Option("--pdb", help="Open the debugger where it raises.")] = False,
    by: common.ByOption = None,
    yes: common.YesOption = False,
    store: common.StoreOption = None,
    as_json: common.JsonOption = False,
) -> int:
    """Run one task here, to look at what it does.

    By the script of its last run, in one process, with its inputs, seed and checkpoint; what it prints, and
    breakpoint(), have this terminal; no timeout ends it. A result that is there stays, and is compared with what comes
    out now; a task that had none is run as by any run: its result, or failure, is kept. With --pdb the debugger opens
    at the innermost frame of your own code. Exits with 1 if it fails, or comes out otherwise.
    """
    from memento.cli.run_one import run_one

    return run_one(store, task, pdb=pdb, by=by, yes=yes, as_json=as_json)
