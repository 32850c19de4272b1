"""The program: all its commands, in groups.

Knows: where commands are declared. May not know: stores, runs (imported when called, so `--help` is quick).

To add a command: declare it in the `declare_*.py` of its group, and do its work in a file of its name. Where it may end
with another exit code than 0, its function returns that; errors of ours are told, and have their own.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command_from_info, get_command_name

from memento.cli import (
    declare_care,
    declare_exchange,
    declare_looking,
    declare_running,
    declare_setup,
    declare_steering,
)

_GROUPS = (
    declare_running,
    declare_looking,
    declare_steering,
    declare_care,
    declare_exchange,
    declare_setup,
)


@cache
def _declared() -> Mapping[str, Any]:
    declared = [info for group in _GROUPS for info in group.app.registered_commands]
    return {info.name or get_command_name(info.callback.__name__): info for info in declared}


@cache
def _command(name: str) -> Any:
    return get_command_from_info(_declared()[name], pretty_exceptions_short=False, rich_markup_mode=None)


class _Built(Mapping[str, Any]):
    """Commands by their names, built when asked for: all of them take as long as the work of many a command."""

    def __init__(self, groups: Mapping[str, Any]) -> None:
        self._groups = dict(groups)

    def __getitem__(self, name: str) -> Any:
        return self._groups[name] if name in self._groups else _command(name)

    def __iter__(self) -> Iterator[str]:
        return iter({**_declared(), **self._groups})

    def __len__(self) -> int:
        return len(list(iter(self)))


class Commands(TyperGroup):
    """Lists commands by what they are for; tells wrong usage as JSON where that was asked for."""

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self.commands: Any = _Built(self.commands)

    def main(self, args: Sequence[str] | None = None, *rest: Any, **options: Any) -> Any:
        """Run a command, and end the process."""
        given = sys.argv[1:] if args is None else list(args)
        if "--json" not in given:
            return super().main(args, *rest, **options)
        from memento.cli.exit_codes import AS_JSON, say

        token = AS_JSON.set(True)
        try:
            code = super().main(args, *rest, **{**options, "standalone_mode": False})
        except typer.Abort:
            code = 1
            say("it was not agreed to", code, "Aborted")
        except Exception as error:
            message = getattr(error, "format_message", None)  # what is wrong with options and arguments
            if message is None:
                raise
            code = getattr(error, "exit_code", 2)
            say(message(), code, "UsageError")
        finally:
            AS_JSON.reset(token)
        sys.exit(code)

    def invoke(self, ctx: Any) -> None:
        """Run a command: errors of ours become messages, and what it returns is the exit code."""
        from memento.cli.exit_codes import explained

        with explained():
            code = super().invoke(ctx)
        if code:
            raise typer.Exit(code)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write a section for each group."""
        width = max(map(len, self.list_commands(ctx)))
        groups: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command: Any = self.get_command(ctx, name)
            said = command.get_short_help_str(formatter.width - width - 6)
            groups.setdefault(str(command.rich_help_panel), []).append((name.ljust(width), said))
        for panel, rows in groups.items():
            with formatter.section(panel):
                formatter.write_dl(rows)


app = typer.Typer(
    name="memento",
    cls=Commands,
    help="Run large sets of experiments: nothing lost, nothing computed twice, every failure explained.",
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    suggest_commands=True,
)
app.registered_groups.extend(group for one in _GROUPS for group in one.app.registered_groups)


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    """Run large sets of experiments: nothing lost, nothing computed twice, every failure explained."""
    if show:
        from memento import __version__

        typer.echo(__version__)
        raise typer.Exit
