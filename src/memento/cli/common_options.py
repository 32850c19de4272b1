"""Options and arguments that several commands have.

Knows: names and help texts. May not know: what any command does.
"""

from __future__ import annotations

from typing import Annotated

import typer

from memento.executors.choose import ENGINES

StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="FOLDER|ADDRESS",
        help="The store's folder, or postgresql://USER@HOST/DATABASE; by default the project's.",
    ),
]
PayloadsOption = Annotated[
    str | None,
    typer.Option(
        metavar="PLACE",
        help="Where values, checkpoints and logs go: s3://BUCKET/PREFIX (gs://, az://); or, with an address, a folder.",
    ),
]
ExperimentOption = Annotated[
    str | None, typer.Option("--experiment", "-e", help="Only this experiment (or the end of its name).")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
WorkersOption = Annotated[
    int | None,
    typer.Option("-j", "--num-workers", min=1, help="How many tasks run at once; by default the cores."),
]
ExecutorOption = Annotated[
    str, typer.Option(help=", ".join(ENGINES) + ", or another engine that is installed.")
]
ChangesArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="NAME=VALUE", help="Other values than the matrix has: lr=0.1, 'lr=[0.1, 1]'."),
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="The same, anywhere in the line.")
]
CommandOption = Annotated[
    str | None, typer.Option(help="Run this program for each task, like 'python train.py --lr {lr}'.")
]
ResultOption = Annotated[
    str | None, typer.Option(help="With --command: the file in {context.directory} with the result.")
]
EnvOption = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=VALUE", help="With --command: a variable of its environment."),
]
CwdOption = Annotated[str | None, typer.Option(help="With --command: the folder in which it runs.")]
RetriesOption = Annotated[int | None, typer.Option(min=0, help="How often a failed attempt is repeated.")]
TimeoutOption = Annotated[str | None, typer.Option(help="Time after which a task is ended, like 10min.")]
MemoryOption = Annotated[str | None, typer.Option(help="Memory above which a task is ended, like 4GB.")]
OnOomOption = Annotated[
    str,
    typer.Option("--on-oom", help="What needs more memory: retry, double (with twice the limit) or fail."),
]
ByOption = Annotated[
    str | None, typer.Option(metavar="COMMAND", help="Start this instead, like 'python train.py --epochs 5'.")
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]
TaskArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="KEY|NAME=VALUE",
        help="A task's key, or its first characters; or what parameters must be, of one task: model=SVC C=3.",
    ),
]
TasksArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY|NAME=VALUE",
        help="Keys of tasks, or their first characters; or what parameters must be: model=SVC C=3.",
    ),
]
FailedOption = Annotated[bool, typer.Option("--failed", help="Only failed tasks.")]
StatusOption = Annotated[str | None, typer.Option(help="Only tasks that are done, or failed.")]
NewerOption = Annotated[
    str | None, typer.Option("--newer-than", help="Only tasks that were computed since, like 2h or 3d.")
]
OlderOption = Annotated[
    str | None, typer.Option("--older-than", help="Only tasks that were computed before, like 2h or 3d.")
]
