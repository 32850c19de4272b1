"""Start the script of a run again, as it was started then, for some of its tasks alone.

Knows: how a run was started, processes. May not know: which tasks, what is done with the outcome.

What was a notebook, a prompt or `-c` cannot be started again; a command line that had a secret neither, since that is
not kept. A run that another machine has recorded is not started without a question: its store may be a stranger's.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from memento import system
from memento.cli.exit_codes import UsageError
from memento.cli.live_run import after_python, typed, words_of
from memento.cli.printing import agrees, print_safe
from memento.records import RunRecord
from memento.runner.asked_for import Answer, Request, request
from memento.store.imported import source_of_run
from memento.store.provenance import HIDDEN
from memento.wording import one_line


class Start(NamedTuple):
    """How a script is started."""

    words: tuple[str, ...]  # after the Python
    cwd: str
    here: bool = True  # this machine has recorded it

    def __str__(self) -> str:
        """Say it as one types it."""
        return typed(self.words)


class Ended(NamedTuple):
    """How it has ended."""

    code: int  # as a shell has it: 130 for Ctrl-C
    answer: Answer


def start_of(run: RunRecord, by: str | None = None) -> Start:
    """Return how a run was started; `by` is a command line in its place."""
    if by is not None:
        words = after_python(shlex.split(by))
        if not words:
            raise UsageError(f"--by {by!r} starts no script: write it like 'python train.py --epochs 5'.")
        return Start(words, os.getcwd())
    words = words_of(run)
    instead = "say how with --by 'python SCRIPT ...'"
    source = source_of_run(run)
    if source is not None:
        raise UsageError(
            f"run {run.id} of {one_line(run.info.experiment)} has imported results from {one_line(source, 200)}, and"
            f" computed none; {instead}."
        )
    if not words:
        raise UsageError(
            f"run {run.id} of {one_line(run.info.experiment)} was started from a notebook, a prompt or"
            f" with -c, which cannot be started again from here: run that once more, and it computes what is missing;"
            f" or, if a script has the same matrix, {instead}."
        )
    if any(HIDDEN in word for word in words):
        raise UsageError(
            f"run {run.id} was started by {one_line(typed(words), 200)}: {HIDDEN} was a secret, which is not kept;"
            f" {instead}."
        )
    cwd = str(run.info.provenance.get("cwd") or os.getcwd())
    if not os.path.isdir(cwd):
        raise UsageError(
            f"run {run.id} was started in {one_line(cwd, 200)} on {one_line(run.info.host)}, and that is not here;"
            f" {instead}, from the folder in which it starts."
        )
    return Start(words, cwd, here=run.info.host == system.hostname())


def ask(others: Sequence[Start], *, yes: bool, as_json: bool) -> None:
    """Ask before what another machine has recorded is started: its store may be a stranger's."""
    strange = [how for how in others if not how.here]
    if yes or not strange:
        return
    lines = "".join(f"\n  {one_line(str(how), 200)}\n    in {one_line(how.cwd, 200)}" for how in strange)
    told = f"the last run was recorded on another machine; this would start here:{lines}"
    if as_json or not sys.stdin.isatty():
        raise UsageError(f"{told}\nAdd --yes to start it.")
    print_safe(told)
    if not agrees("Start it?", as_json=as_json):
        raise UsageError("nothing was started.")


def start(how: Start, asked: Request, *, quiet_stdout: bool = False) -> Ended:
    """Start a script in a process of its own, in this terminal, and wait for its end.

    With `quiet_stdout` what it prints goes where errors go.
    """
    words = list(how.words)
    if os.path.basename(words[0]) == "memento":
        words[:1] = ["-m", "memento"]  # of this very installation
    with request(asked) as (environment, answer):

        def begin() -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                [sys.executable, *words],
                cwd=how.cwd,
                env=environment,
                stdout=sys.stderr.fileno() if quiet_stdout else None,
            )

        code = _begin_and_wait(begin)
        return Ended(128 - code if code < 0 else code, answer())


def _begin_and_wait(begin: Callable[[], subprocess.Popen[bytes]]) -> int:
    """Begin a process and wait for it; a Ctrl-C is the terminal's to both, another signal is passed on to it."""
    process: subprocess.Popen[bytes] | None = None
    early: list[int] = []  # signals that came before there was a process to pass them on to

    def pass_on(number: int, _: object) -> None:
        if process is None:
            early.append(number)
        else:
            process.send_signal(number)

    passed = [one for one in (signal.SIGTERM, getattr(signal, "SIGHUP", None)) if one is not None]
    # Before it begins: else a signal of that moment would end this process alone, and leave the script.
    before = {one: signal.signal(one, pass_on) for one in passed}
    try:
        process = begin()
        for number in early:
            process.send_signal(number)
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
