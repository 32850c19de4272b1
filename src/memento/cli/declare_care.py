"""Declare the commands that change what a store holds: retry, forget, adopt, rename, gc, merge, verify.

Knows: names and help texts. May not know: stores, runs (imported when a command is called, so `--help` is quick).
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from memento.cli import common_options as common

app = typer.Typer()
PANEL = "Take care of results"


@app.command(rich_help_panel=PANEL)
def retry(
    tasks: common.TasksArgument = None,
    experiment: common.ExperimentOption = None,
    failed: common.FailedOption = False,
    newer_than: common.NewerOption = None,
    older_than: common.OlderOption = None,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Remove their checkpoints too.")
    ] = False,
    now: Annotated[
        bool, typer.Option("--run", help="Compute them now, and no others, as their last run did.")
    ] = False,
    memory_limit: common.MemoryOption = None,
    timeout: common.TimeoutOption = None,
    retries: common.RetriesOption = None,
    num_workers: common.WorkersOption = None,
    by: common.ByOption = None,
    yes: common.YesOption = False,
    store: common.StoreOption = None,
    as_json: common.JsonOption = False,
) -> int:
    """Compute failed tasks again: by the next run, or now.

    All of them, or those named. Without --run they count as not computed yet, so that the next run computes them;
    their failures stay known as earlier attempts: `memento retry --run` would have computed them at once, and still
    does. With --run, or an option that says how to run, the script of their last run is started again, in its folder
    and with its arguments, and computes these tasks only; it is ended after that where others have no result. With
    --from-scratch they do not go on from their checkpoints. Exits with 1 if one of them is not done then, or if an
    option says how to run and there is none.
    """
    from memento.cli.choosing import wanted

    options = {
        "memory_limit": memory_limit,
        "timeout": timeout,
        "retries": retries,
        "num_workers": num_workers,
    }
    which = wanted(tasks, experiment, failed=failed, newer_than=newer_than, older_than=older_than)
    if now or by or any(value is not None for value in options.values()):
        from memento.cli.retry_now import retry_now

        return retry_now(store, which, options, by=by, from_scratch=from_scratch, yes=yes, as_json=as_json)
    from memento.cli.care import retry

    retry(store, which, from_scratch=from_scratch, as_json=as_json)
    return 0


@app.command(rich_help_panel=PANEL)
def forget(
    tasks: common.TasksArgument = None,
    experiment: common.ExperimentOption = None,
    failed: common.FailedOption = False,
    newer_than: common.NewerOption = None,
    older_than: common.OlderOption = None,
    yes: common.YesOption = False,
    store: common.StoreOption = None,
    as_json: common.JsonOption = False,
) -> int:
    """Remove results as if their tasks had never run.

    The tasks named, or with -e alone all of an experiment. Where they are not named by their keys it says which they
    are, and asks; without a terminal they stay, and it exits with 1, unless --yes is given. `memento gc` frees what
    they occupied.
    """
    from memento.cli.care import forget
    from memento.cli.choosing import wanted

    which = wanted(tasks, experiment, failed=failed, newer_than=newer_than, older_than=older_than)
    return 0 if forget(store, which, yes=yes, as_json=as_json) else 1


@app.command(rich_help_panel=PANEL)
def adopt(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="EXPERIMENT|FILE:FUNC", help="The experiment's name, or where its function is."
        ),
    ] = None,
    matrix: Annotated[
        str | None,
        typer.Argument(metavar="MATRIX", help="With FILE:FUNC, the matrix: a YAML, TOML or JSON file."),
    ] = None,
    more: common.ChangesArgument = None,
    command: common.CommandOption = None,
    result: common.ResultOption = None,
    env: common.EnvOption = None,
    cwd: common.CwdOption = None,
    changes: common.SetOption = None,
    verify: Annotated[
        int, typer.Option(min=0, help="First compute so many results again; adopt only if all are equal.")
    ] = 0,
    num_workers: common.WorkersOption = None,
    executor: common.ExecutorOption = "processes",
    name: Annotated[str | None, typer.Option(help="The experiment's name.")] = None,
    store: common.StoreOption = None,
    as_json: common.JsonOption = False,
) -> int:
    """Accept a change of the code.

    Results that older versions computed count as of the present one from now on: nothing is said about them any
    more, and on_code_change="rerun" does not compute them again. The present version is the newest that a run has
    seen, or, given FILE:FUNC and MATRIX, what the file says now. With --verify N, N results are computed again
    first, chosen over all values of all parameters; if one differs, nothing is adopted, and the exit code is 1.
    """
    from memento.cli.care import adopt
    from memento.cli.run import Asked

    options = {"num_workers": num_workers, "executor": executor, "store": store, "name": name}
    program: dict[str, Any] = {"command": command, "result": result, "env": tuple(env or ()), "cwd": cwd}
    asked = Asked.read((target, matrix, *(more or ())), changes or (), **program)
    return 0 if adopt(asked, options, verify=verify, as_json=as_json) else 1


@app.command(rich_help_panel=PANEL)
def rename(
    old: Annotated[str, typer.Argument(help="The experiment's name in the store, or the end of it.")],
    new: Annotated[str, typer.Argument(help="The name that it has now.")],
    store: common.StoreOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Take results over to another name of their experiment.

    For a function or a file that was renamed or moved. Keys are computed anew, artifacts and checkpoints
    follow; nothing is run. Tasks that have a result under the new name already keep both.
    """
    from memento.cli.care import rename

    rename(store, old, new, as_json=as_json)


@app.command(rich_help_panel=PANEL)
def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go, and its size.")] = False,
    damaged: Annotated[bool, typer.Option("--damaged", help="Also what was set aside as damaged.")] = False,
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Also checkpoints and folders of tasks that are not done.")
    ] = False,
    steps: Annotated[
        bool,
        typer.Option("--steps", help="Also steps that results used; they are computed again when needed."),
    ] = False,
    superseded: Annotated[
        bool, typer.Option("--superseded", help="Also results of code that has changed since.")
    ] = False,
    older_than: Annotated[
        str | None,
        typer.Option(
            help="Also results older than this, like 30d; only those of --superseded, or --steps, if given."
        ),
    ] = None,
    keep: Annotated[
        str | None, typer.Option(help="Also what is cheapest to lose, until the store has so much, like 5GB.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Let results go without asking.")] = False,
    store: common.StoreOption = None,
    as_json: common.JsonOption = False,
) -> int:
    """Remove what no result needs any more.

    Values that no task has, steps that no result used, checkpoints and folders of tasks that are done, artifacts of
    tasks that are gone, output that belongs to no task. May be called while runs go on: what they may need stays.
    Where results would go too (--superseded, --older-than, --keep) it says which, and asks; without a terminal they
    stay, and it exits with 1, unless --yes is given.
    """
    from memento.cli.collect import collect

    wanted = {
        "damaged": damaged,
        "unfinished": unfinished,
        "steps": steps,
        "superseded": superseded,
        "older_than": older_than,
        "keep": keep,
    }
    return 0 if collect(store, wanted, dry_run=dry_run, yes=yes, as_json=as_json) else 1


@app.command(rich_help_panel=PANEL)
def merge(
    other: Annotated[
        str, typer.Argument(metavar="OTHER_STORE", help="The other store: its folder, or its address.")
    ],
    into: Annotated[
        str | None,
        typer.Option("--into", "--store", help="The store that takes it in; by default the project's."),
    ] = None,
    payloads: common.PayloadsOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Take in what another store has.

    Its results that are missing here, with all that belongs to them, and checkpoints of tasks that are not done. Of
    two results of a task the newer one stands, and it is said. The other store is only read.
    """
    from memento.cli.care import merge_stores

    merge_stores(other, into, payloads=payloads, as_json=as_json)


@app.command(rich_help_panel=PANEL)
def verify(
    repair: Annotated[bool, typer.Option("--repair", help="Mend what can be mended.")] = False,
    store: common.StoreOption = None,
    as_json: common.JsonOption = False,
) -> int:
    """Check what the store keeps.

    The index, every file that has a checksum, and of artifacts that they are there. Says what is damaged, and which
    task it belongs to; unpickles nothing. With --repair damaged things are set aside, and their tasks computed again
    by the next run. Exits with 1 if something is (still) wrong.
    """
    from memento.cli.care import verify_store

    return 0 if verify_store(store, repair=repair, as_json=as_json) else 1
