"""Which live run a command is about, and the command lines that concern a run.

Knows: a store's runs. May not know: what is asked of a run, how it does that.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from typing import NamedTuple

from memento.cli.exit_codes import UsageError
from memento.cli.open_store import one_experiment
from memento.clock import Clock
from memento.errors import CommandRefused
from memento.records import RunRecord
from memento.store.location import StorePath
from memento.store.store import Store
from memento.wording import duration, one_line, short_name

_ENDED = {
    "done": "is done",
    "failed": "has ended, and some tasks failed",
    "interrupted": "was stopped before its end",
    "died": "died: its process is gone",
}
_PYTHONS = ("python", "pypy")
_VALUED = ("-W", "-X", "--check-hash-based-pycs")  # options of Python that take the next word
_PROMPTS = (  # programs in which people type code
    "ipykernel", "ipykernel_launcher", "ipykernel_launcher.py", "colab_kernel_launcher", "colab_kernel_launcher.py",
    "IPython", "ipython", "ipython3", "jupyter", "jupyter-lab", "jupyter-notebook", "jupyter_core", "idlelib",
    "ptpython", "bpython", "marimo", "code",
)  # fmt: skip


class Which(NamedTuple):
    """Which run is meant, as it was typed."""

    store: StorePath | None = None
    run: int | None = None
    experiment: str | None = None


def live_run(store: Store, which: Which, command: str, clock: Clock) -> RunRecord:
    """Return the live run that is meant; `command` is what is asked of it, for the lines that would be right."""
    name = None if which.experiment is None else one_experiment(which.experiment, store)
    named = None if which.run is None else _known(store, which.run, name)
    alive = [
        run for run in (store.index.run(owner.run) for owner in store.index.living().runs) if run is not None
    ]
    meant = [r for r in alive if which.run in (None, r.id) and name in (None, r.info.experiment)]
    if len(meant) == 1:
        return meant[0]
    if meant:
        lines = [(line_about(command, which._replace(run=run.id)), _who(run, clock)) for run in meant]
        width = max(len(line) for line, _ in lines)
        told = "".join(f"\n  {line.ljust(width)}   {who}" for line, who in lines)
        raise UsageError(f"{len(meant)} runs are alive, so say which one:{told}")
    if named is not None:
        raise CommandRefused(_how_it_ended(named, clock))
    last = next((run for run in store.index.runs() if name in (None, run.info.experiment)), None)
    of = f" of {one_line(short_name(name))}" if name is not None else ""
    told = _how_it_ended(last, clock) if last is not None else "none was ever started here."
    raise CommandRefused(f"no run{of} is alive: {told}")


def _known(store: Store, number: int, experiment: str | None) -> RunRecord:
    run = store.index.run(number)
    if run is None:
        raise UsageError(f"there is no run {number} in this store; `memento status` lists them.")
    if experiment not in (None, run.info.experiment):
        raise UsageError(
            f"run {number} is of {one_line(run.info.experiment)}, not of {one_line(experiment or '')}."
        )
    return run


def _who(run: RunRecord, clock: Clock) -> str:
    since = duration(max(0.0, clock.now() - run.started))
    where = f"process {run.info.pid} on {one_line(run.info.host)}"
    return f"{one_line(short_name(run.info.experiment))}, {where}, for {since}"


def _how_it_ended(run: RunRecord, clock: Clock) -> str:
    ago = duration(max(0.0, clock.now() - (run.ended or run.heartbeat)))
    how = _ENDED.get(run.status, run.status)
    told = f"run {run.id}, {one_line(short_name(run.info.experiment))}, {how} ({ago} ago)."
    return told if run.status == "done" else f"{told} Run it again to go on: {command_line(run)}"


def line_about(command: str, which: Which) -> str:
    """Return a command line about the same run."""
    run = f" --run {which.run}" if which.run is not None else ""
    experiment = f" -e {shlex.quote(which.experiment)}" if which.experiment and not run else ""
    store = f" --store {shlex.quote(str(which.store))}" if which.store is not None else ""
    return f"memento {command}{run}{experiment}{store}"


def command_line(run: RunRecord) -> str:
    """Return the command line with which a run was started, as far as that is known; for people."""
    words = words_of(run)
    return one_line(typed(words), 400) if words else "as it was started"


def words_of(run: RunRecord) -> tuple[str, ...]:
    """Return the command line that has started a run, after its Python; nothing where people have typed code."""
    words = after_python(list(map(str, run.info.provenance.get("command") or ("python", *run.info.argv))))
    return () if _is_prompt(words) else words


def after_python(words: Sequence[str]) -> tuple[str, ...]:
    """Return what follows the Python of a command line; nothing where that is no script or module."""
    rest = list(words)
    name = os.path.basename(rest[0]) if rest else ""
    if not name.startswith(_PYTHONS):
        return tuple(rest) if name.endswith(".py") or name == "memento" else ()
    at = 1
    while (
        at < len(rest) and rest[at].startswith("-") and rest[at] not in ("-", "-m") and rest[at][:2] != "-c"
    ):
        at += 2 if rest[at] in _VALUED else 1
    if at >= len(rest) or rest[at] == "-" or rest[at][:2] == "-c":
        return ()
    return tuple(rest[1:])


def _is_prompt(words: Sequence[str]) -> bool:
    """Tell whether it is a program in which people type code."""
    name = next((word for word in words if not word.startswith("-")), "")  # a script, or what -m names
    return (name.partition(".")[0] if "-m" in words else os.path.basename(name)) in _PROMPTS


def typed(words: Sequence[str]) -> str:
    """Return a command line as somebody would type it."""
    if os.path.basename(words[0]) == "memento" or tuple(words[:2]) == ("-m", "memento"):
        return shlex.join(["memento", *words[1 if words[0] != "-m" else 2 :]])
    return shlex.join(["python", *words])
