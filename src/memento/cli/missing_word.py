"""How a command line could go on: commands and options as they are declared, and what somebody looks up.

Knows: how commands are declared, how shells split and quote. May not know: stores (`stored_words` does).

What words of a store may do to a shell is nothing: those with control characters are left out, all others are quoted.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from memento.wording import one_line

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_BARE = re.compile(r"[^\w@%+=:,./-]")  # what bash may take for more than a letter
_WORD = 200  # characters of a word that somebody would take
_SAID = 80  # of what is said of it


class Candidate(NamedTuple):
    """How a word could go on."""

    word: str
    said: str = ""


class Asked(NamedTuple):
    """What is known of the line where a word is missing."""

    command: str
    name: str  # of the argument or option, as the command's function has it
    words: Sequence[str]  # of the command, before the one that is missing
    begun: str  # the beginning of the missing one


Look = Callable[[Asked], Iterable[Candidate]]


def complete(shell: str, given: Sequence[str], group: Any, look: Look) -> list[str]:
    """Return the lines that a shell reads: how the last word could go on, and what is said of it.

    `given` are words, the last of which is to be completed; of bash one line. `group` has all commands; `look` finds
    what a store has.
    """
    words = split(given[0]) if shell == "bash" and given else list(given)
    if not words:
        return []
    *before, begun = words
    found = [one for one in candidates(before[1:], begun, group, look) if one.word.startswith(begun)]
    usable = [one for one in found if not _CONTROL.search(one.word) and 0 < len(one.word) <= _WORD]
    if shell != "bash":
        return [f"{one.word}\t{one_line(one.said, _SAID)}" if one.said else one.word for one in usable]
    breaks = os.environ.get("MEMENTO_WORDBREAKS", "=:")
    kept = max((begun.rfind(mark) for mark in "=:" if mark in breaks), default=-1) + 1  # bash has it already
    return [_BARE.sub(lambda match: "\\" + match[0], one.word[kept:]) for one in usable]


def split(line: str) -> list[str]:
    r"""Split a line as a shell does; the last word is the one at its end, which may be empty, or quoted and open.

    >>> split("memento ls mod"), split("memento ls "), split("memento ls 'a b"), split(r"memento ls a\ b=")
    (['memento', 'ls', 'mod'], ['memento', 'ls', ''], ['memento', 'ls', 'a b'], ['memento', 'ls', 'a b='])
    """
    import shlex

    for closing in ("", "'", '"', "\\"):
        try:
            words = shlex.split(line + closing)
        except ValueError:
            continue
        ends = not line or (line[-1].isspace() and not closing and not line.endswith("\\ "))
        return [*words, ""] if ends or not words else words
    return []


def candidates(words: Sequence[str], begun: str, group: Any, look: Look) -> Iterator[Candidate]:
    """Yield how a word could go on: a command's name, an option, what it or an argument may be."""
    name = next((word for word in words if not word.startswith("-")), None)
    if name is None:
        yield from _options(group, begun) if begun.startswith("-") else _commands(group)
        return
    command = group.commands.get(name)
    if command is None:
        return
    own = list(words[list(words).index(name) + 1 :])
    if hasattr(command, "commands"):
        yield from candidates(own, begun, command, look)
        return
    place, option = _place(command, own)
    if option is not None:
        yield from _values(Asked(name, option.name, own, begun), option, look)
    elif begun.startswith("-") and "--" not in own:
        text, equals, value = begun.partition("=")
        known = _by_name(command).get(text)
        if equals and known is not None:
            found = _values(Asked(name, known.name, own, value), known, look)
            yield from (Candidate(f"{text}={one.word}", one.said) for one in found)
        else:
            yield from _options(command, begun)
    else:
        arguments = [param for param in command.params if param.param_type_name == "argument"]
        if arguments and (place < len(arguments) or arguments[-1].nargs == -1):
            param = arguments[min(place, len(arguments) - 1)]
            yield from _values(Asked(name, param.name, own, begun), param, look)


def _commands(group: Any) -> Iterator[Candidate]:
    for name, command in group.commands.items():
        if not command.hidden:
            yield Candidate(name, command.get_short_help_str(_SAID))


def _by_name(command: Any) -> dict[str, Any]:
    return {
        opt: param
        for param in command.params
        if param.param_type_name == "option"
        for opt in (*param.opts, *param.secondary_opts)
    }


def _options(command: Any, begun: str) -> Iterator[Candidate]:
    names = {opt: param for opt, param in _by_name(command).items() if not getattr(param, "hidden", False)}
    for opt, param in names.items():
        if opt.startswith("--") or begun == "-":
            yield Candidate(opt, param.help or "")
    yield Candidate("--help", "Show this message and exit.")


def _place(command: Any, words: Sequence[str]) -> tuple[int, Any]:
    """Return how many arguments there are so far, and the option whose value comes next."""
    options, count, waiting = _by_name(command), 0, None
    rest = False
    for word in words:
        if waiting is not None:
            waiting = None
        elif rest or not word.startswith("-") or word == "-":
            count += 1
        elif word == "--":
            rest = True
        else:
            param = options.get(word)
            if param is not None and not param.is_flag and "=" not in word:
                waiting = param
    return count, waiting


def _values(asked: Asked, param: Any, look: Look) -> Iterable[Candidate]:
    choices = getattr(getattr(param, "type", None), "choices", None)  # not all releases of typer have it
    if choices:
        return [Candidate(str(getattr(choice, "value", choice))) for choice in choices]
    return look(asked)
