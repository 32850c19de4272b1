"""Declare every command, its options and its help; each command's work stands in a file of its own.

Long because it is the one page that declares what can be typed.

Knows: names and help texts. May not know: stores, runs (imported when a command is called, so `--help` is quick).

To add a command: a function here with its options, and its work in the file that fits (or a new one).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from memento.executors.choose import ENGINES

_ENGINES = ", ".join(ENGINES) + ", or another engine that is installed."
app = typer.Typer(
    name="memento",
    help="Run large sets of experiments: nothing lost, nothing computed twice, every failure explained.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

StoreOption = Annotated[
    Path | None, typer.Option("--store", help="The store's folder; by default the project's.")
]
ExperimentOption = Annotated[
    str | None, typer.Option("--experiment", "-e", help="Only this experiment (or the end of its name).")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
WorkersOption = Annotated[
    int | None,
    typer.Option("-j", "--num-workers", min=1, help="How many tasks run at once; by default the cores."),
]
KeyArgument = Annotated[str, typer.Argument(help="A task's key, or its first characters.")]


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    """Run large sets of experiments: nothing lost, nothing computed twice, every failure explained."""
    if show:
        from memento import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.command()
def demo(
    broken: Annotated[
        bool, typer.Option("--broken", help="Break one data set, to see failures explained.")
    ] = False,
    num_workers: WorkersOption = None,
    store: StoreOption = None,
) -> None:
    """Run the paper's grid and print its table.

    27 pipelines on three of scikit-learn's data sets. Run it again: nothing is computed. Press Ctrl-C in
    the middle and run it again: only what is missing is computed.
    """
    from memento.cli.exit_codes import explained

    with explained():
        from memento.cli.demo import run_demo

        run_demo(broken=broken, num_workers=num_workers, store=store)


@app.command()
def run(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE:FUNC", help="experiment.py:func, or package.module:func; not with --command."
        ),
    ] = None,
    matrix: Annotated[
        Path | None, typer.Argument(metavar="MATRIX", help="The matrix: a YAML, TOML or JSON file.")
    ] = None,
    command: Annotated[
        str | None,
        typer.Option(help="Run this program for each task, like 'python train.py --lr {lr}'."),
    ] = None,
    result: Annotated[
        str | None,
        typer.Option(help="With --command: the file in {context.directory} with the result."),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Another value than the matrix has, or several: 'lr=[0.1, 1]'.",
        ),
    ] = None,
    num_workers: WorkersOption = None,
    executor: Annotated[str, typer.Option(help=_ENGINES)] = "processes",
    store: StoreOption = None,
    name: Annotated[str | None, typer.Option(help="The experiment's name.")] = None,
    retries: Annotated[int, typer.Option(min=0, help="How often a failed attempt is repeated.")] = 0,
    timeout: Annotated[str | None, typer.Option(help="Time after which a task is ended, like 10min.")] = None,
    memory_limit: Annotated[
        str | None, typer.Option(help="Memory above which a task is ended, like 4GB.")
    ] = None,
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
    sample: Annotated[
        str | None, typer.Option(metavar="N", help="Run so many tasks, or a share like 10%, over all values.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would run.")] = False,
    force_run: Annotated[bool, typer.Option("--force-run", help="Compute everything again.")] = False,
    progress: Annotated[bool | None, typer.Option(help="Show progress; by default on a terminal.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Run an experiment over a matrix.

    The experiment is a function, FILE:FUNC MATRIX, or a program, --command 'python train.py --lr {lr}' MATRIX.
    What is in the store is not computed again. Exits with 1 if tasks failed, with 130 if interrupted.
    """
    from memento.cli.exit_codes import explained

    options = {
        "num_workers": num_workers,
        "executor": executor,
        "store": store,
        "name": name,
        "retries": retries,
        "timeout": timeout,
        "memory_limit": memory_limit,
        "store_limit": store_limit,
        "fail_fast": fail_fast,
        "max_failures": max_failures,
        "on_code_change": on_code_change,
        "progress": progress,
    }
    with explained():
        from memento.cli.run import run_experiment, what_to_run

        experiment = what_to_run(target, matrix, command, result)
        flags = {"dry_run": dry_run, "force_run": force_run, "sample": sample}
        run_experiment(*experiment, options, changes or (), flags, as_json=as_json)


@app.command()
def status(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Say what the store holds, how large it is, and what runs now."""
    from memento.cli.exit_codes import explained

    with explained():
        from memento.cli.status import print_status

        print_status(store, as_json=as_json)


@app.command()
def ls(
    experiment: ExperimentOption = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only failed tasks.")] = False,
    limit: Annotated[
        int | None,
        typer.Option(min=0, help="How many rows at most, 0 for all; by default 50, with --json all."),
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """List finished tasks, the newest first.

    Each with its key, status, time, parameters and value.
    """
    from memento.cli.exit_codes import explained

    with explained():
        from memento.cli.inspect import print_tasks

        print_tasks(store, experiment, failed=failed, limit=limit, as_json=as_json)


@app.command()
def show(key: KeyArgument, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Show all that is known of one task.

    Its parameters, settings, value, metrics, artifacts, and each attempt with its traceback.
    """
    from memento.cli.exit_codes import explained

    with explained():
        from memento.cli.inspect import print_task

        print_task(store, key, as_json=as_json)


@app.command()
def logs(
    key: KeyArgument,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on as the task prints.")] = False,
    store: StoreOption = None,
) -> None:
    """Print what a task printed.

    The output of the attempt that runs now, else of the last one. With -f it goes on as the task prints,
    over all its attempts, and ends when the task is done or no run is left that may run it. Tasks in worker
    processes have logs; those of other executors print where the run does.
    """
    from memento.cli.exit_codes import explained

    with explained():
        from memento.cli.logs import print_log

        print_log(store, key, follow=follow)


KeysArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY]...", help="Tasks' keys, or their first characters.")
]


@app.command()
def retry(
    keys: KeysArgument = None,
    experiment: ExperimentOption = None,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Remove their checkpoints too.")
    ] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let failed tasks count as not computed yet.

    All of them, or those named. The next run computes them as new ones; their failures stay known as earlier
    attempts. With --from-scratch they do not go on from their checkpoints.
    """
    from memento.cli.exit_codes import explained

    with explained():
        from memento.cli.care import retry

        retry(store, keys or [], experiment, from_scratch=from_scratch, as_json=as_json)


@app.command()
def forget(
    keys: KeysArgument = None,
    experiment: ExperimentOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove results as if their tasks had never run.

    The tasks named, or with -e all of an experiment. `memento gc` frees what they occupied.
    """
    from memento.cli.exit_codes import explained

    with explained():
        from memento.cli.care import forget

        forget(store, keys or [], experiment, as_json=as_json)


@app.command()
def adopt(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="EXPERIMENT|FILE:FUNC", help="The experiment's name, or where its function is."
        ),
    ] = None,
    matrix: Annotated[
        Path | None,
        typer.Argument(metavar="MATRIX", help="With FILE:FUNC, the matrix: a YAML, TOML or JSON file."),
    ] = None,
    verify: Annotated[
        int, typer.Option(min=0, help="First compute so many results again; adopt only if all are equal.")
    ] = 0,
    num_workers: WorkersOption = None,
    executor: Annotated[str, typer.Option(help=_ENGINES)] = "processes",
    name: Annotated[str | None, typer.Option(help="The experiment's name.")] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Accept a change of the code.

    Results that older versions computed count as of the present one from now on: nothing is said about them any
    more, and on_code_change="rerun" does not compute them again. The present version is the newest that a run has
    seen, or, given FILE:FUNC and MATRIX, what the file says now. With --verify N, N results are computed again
    first, chosen over all values of all parameters; if one differs, nothing is adopted, and the exit code is 1.
    """
    from memento.cli.exit_codes import explained

    options = {"num_workers": num_workers, "executor": executor, "store": store, "name": name}
    with explained():
        from memento.cli.adopt import adopt

        if not adopt(target, matrix, options, verify=verify, as_json=as_json):
            raise typer.Exit(1)


@app.command()
def why(key: KeyArgument, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Say why a task will or will not run.

    What it came to, which version of the code computed it and what has changed since, what it was computed from,
    its failures, whether there is a checkpoint to go on from, and what the version of the code cannot follow.
    """
    from memento.cli.exit_codes import explained

    with explained():
        from memento.cli.why import print_why

        print_why(store, key, as_json=as_json)


@app.command()
def rename(
    old: Annotated[str, typer.Argument(help="The experiment's name in the store, or the end of it.")],
    new: Annotated[str, typer.Argument(help="The name that it has now.")],
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take results over to another name of their experiment.

    For a function or a file that was renamed or moved. Keys are computed anew, artifacts and checkpoints
    follow; nothing is run. Tasks that have a result under the new name already keep both.
    """
    from memento.cli.exit_codes import explained

    with explained():
        from memento.cli.care import rename

        rename(store, old, new, as_json=as_json)


@app.command()
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
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove what no result needs any more.

    Values that no task has, steps that no result used, checkpoints and folders of tasks that are done, artifacts of
    tasks that are gone, output that belongs to no task. May be called while runs go on: what they may need stays.
    Where results would go too (--superseded, --older-than, --keep) it says which, and asks; without a terminal they
    stay, and it exits with 1, unless --yes is given.
    """
    from memento.cli.exit_codes import explained

    wanted = {
        "damaged": damaged,
        "unfinished": unfinished,
        "steps": steps,
        "superseded": superseded,
        "older_than": older_than,
        "keep": keep,
    }
    with explained():
        from memento.cli.collect import collect

        if not collect(store, wanted, dry_run=dry_run, yes=yes, as_json=as_json):
            raise typer.Exit(1)


@app.command()
def merge(
    other: Annotated[Path, typer.Argument(metavar="OTHER_STORE", help="The folder of the other store.")],
    into: Annotated[
        Path | None,
        typer.Option("--into", "--store", help="The store that takes it in; by default the project's."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Take in what another store has.

    Its results that are missing here, with all that belongs to them, and checkpoints of tasks that are not done. Of
    two results of a task the newer one stands, and it is said. The other store is only read.
    """
    from memento.cli.exit_codes import explained

    with explained():
        from memento.cli.merge_stores import merge_stores

        merge_stores(other, into, as_json=as_json)


@app.command()
def verify(
    repair: Annotated[bool, typer.Option("--repair", help="Mend what can be mended.")] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check what the store keeps.

    The index, every file that has a checksum, and of artifacts that they are there. Says what is damaged, and which
    task it belongs to; unpickles nothing. With --repair damaged things are set aside, and their tasks computed again
    by the next run. Exits with 1 if something is (still) wrong.
    """
    from memento.cli.exit_codes import explained

    with explained():
        from memento.cli.care import verify_store

        if not verify_store(store, repair=repair, as_json=as_json):
            raise typer.Exit(1)
