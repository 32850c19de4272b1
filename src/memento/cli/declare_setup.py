"""Declare the commands about this machine: doctor, notify, schema, skill, completion.

Knows: names and help texts. May not know: stores, runs (imported when a command is called, so `--help` is quick).
"""

from __future__ import annotations

from typing import Annotated

import typer

from memento.cli import common_options as common

app = typer.Typer()
PANEL = "Set up"
notify = typer.Typer()
app.add_typer(notify, name="notify", rich_help_panel=PANEL, no_args_is_help=True)


@notify.callback()
def messages() -> None:
    """Try the messages that runs send: memento notify test.

    `memento run --notify URL` sends them, or MEMENTO_NOTIFY in the environment: one or several addresses, with spaces
    between them. An address is smtp://USER:PASSWORD@HOST:PORT?to=ADDRESS, or whatever Apprise understands.
    """


@notify.command("test")
def notify_test(
    addresses: Annotated[
        list[str] | None,
        typer.Argument(metavar="URL", help="Where to; by default what MEMENTO_NOTIFY says."),
    ] = None,
    as_json: common.JsonOption = False,
) -> int:
    """Send a message to each address, and say what became of it.

    An address is smtp://USER:PASSWORD@HOST:PORT?to=ADDRESS (and &from=ADDRESS, &tls=no), or whatever Apprise
    understands. It holds secrets, which other users see in the list of processes: better put it into MEMENTO_NOTIFY.
    Exits with 1 if one did not take the message, with 2 if one is not written right.
    """
    from memento.cli.notify import send_test

    return 0 if send_test(addresses or (), as_json=as_json) else 1


@app.command(rich_help_panel=PANEL)
def doctor(store: common.StoreOption = None, as_json: common.JsonOption = False) -> int:
    """Say what is wrong or slow on this machine.

    Python and packages, cores, memory, limits, GPUs, variables; the store's place, its disk, and whether it is whole.
    Each with why it matters and what mends it. It writes a trial store beside the real one, and removes it again.
    Exits with 1 if there is a problem; warnings are none.
    """
    from memento.cli.doctor import doctor

    return 0 if doctor(store, as_json=as_json) else 1


@app.command(rich_help_panel=PANEL)
def completion(
    context: typer.Context,
    shell: Annotated[str, typer.Argument(metavar="bash|zsh|fish", help="The shell.")],
    words: Annotated[
        list[str] | None,
        typer.Argument(help="After --, what the script asks for: the words so far, of bash the line."),
    ] = None,
) -> None:
    """Print a script that lets a shell complete commands.

    Commands, options, experiments, keys, and NAME=VALUE as the project's store has them. For bash add
    eval "$(memento completion bash)" to ~/.bashrc, for zsh the same with zsh to ~/.zshrc after compinit, and for fish
    call memento completion fish > ~/.config/fish/completions/memento.fish once.
    """
    from memento.cli.completion import print_completion

    print_completion(shell, words or (), context.find_root().command)


@app.command(rich_help_panel=PANEL)
def schema(
    command: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="COMMAND", help="Like ls, or ls/1 for a version; without, all that there are."
        ),
    ] = None,
) -> None:
    """Print what a command's --json holds.

    As JSON Schema. Each object that a command prints says its schema, like "memento.ls/1". Fields may be added to a
    version; where one goes, or means something else, there is a new version. With --json an error is an object too
    (error/1), on the last line of standard error.
    """
    from memento.cli.schema import print_schema

    print_schema("-".join(command or ()))


@app.command(rich_help_panel=PANEL)
def skill() -> None:
    """Print how a coding agent drives Memento.

    A SKILL.md for agents that read such files: memento skill > FOLDER/memento/SKILL.md
    """
    from importlib.resources import files

    typer.echo(files("memento").joinpath("SKILL.md").read_text("utf-8"), nl=False)
