"""Call a function that names the parameters it takes as if it took a context and a config.

Knows: names of arguments, configs. May not know: matrices, how it was found out what a function takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from memento.config import Config, arguments

if TYPE_CHECKING:
    from memento.context.context import Context


class ByName(NamedTuple):
    """What a function takes of a task."""

    names: tuple[str, ...] | None  # of parameters and settings; None: all that there are
    context: str = ""  # the argument that gets the context
    config: str = ""
    repeat: bool = False  # whether `repeat` gets the task's
    positional: tuple[str, ...] = ()  # arguments that are not given by name
    absent: tuple[str, ...] = ()  # those of them that a task may lack: the function has defaults for these


class Arguments(NamedTuple):
    """What an experiment takes of each task of a matrix."""

    by_name: ByName | None = None  # None: the context and the config
    defaults: Mapping[str, Any] = MappingProxyType({})  # of arguments that some task has no value for
    notes: tuple[str, ...] = ()  # what is allowed and may yet not be meant


def calling(function: Callable[..., Any], by_name: ByName | None) -> Callable[[Context, Config], Any]:
    """Return what calls a function with a task's context and config; the function itself where it takes these two."""
    if by_name is None:
        return function
    names, to_context, to_config, to_repeat, positional, absent = by_name
    defaults: dict[str, Any] = {}
    if absent:
        import inspect

        known = inspect.signature(function).parameters
        defaults = {name: known[name].default for name in absent}

    def call(context: Context, config: Config) -> Any:
        given = arguments(config, names)
        if to_context:
            given[to_context] = context
        if to_config:
            given[to_config] = config
        if to_repeat:
            given["repeat"] = config.repeat
        if not positional:
            return function(**given)
        first = [given.pop(name) if name in given else defaults[name] for name in positional]
        return function(*first, **given)

    return call
