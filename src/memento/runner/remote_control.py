"""Steer a live run from another process: pause, resume, stop, cancel, first, resize.

Knows: the commands that a store's index carries. May not know: how a run carries them out (`commands`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from memento.clock import SYSTEM_CLOCK, Clock
from memento.config import plain
from memento.errors import CommandRefused
from memento.index.types import Command
from memento.store.location import StorePath, find_store
from memento.store.store import Store
from memento.system import person

if TYPE_CHECKING:
    from memento.index.contract import Index
    from memento.index.types import Answer
    from memento.records import RunRecord

_LOOK_EVERY = 0.05  # seconds between looks for an answer


def control(store: StorePath | None = None, run: str | int | None = None) -> Control:
    """Return what steers a live run.

    Parameters
    ----------
    store : path or address, optional
        Where the run's results go; by default the project's ``memento-store``.
    run : str or int, optional
        The run's id, or its experiment's name; needed only where several are alive.

    Returns
    -------
    Control
        With the methods `pause`, `resume`, `stop`, `cancel`, `first` and `resize`.

    Raises
    ------
    CommandRefused
        No such run is alive, or several are.

    Examples
    --------
    >>> from memento import Memento
    >>> def experiment(context, config):
    ...     return config.x ** 2
    >>> runs = Memento(experiment, executor="serial", store="memento-store", progress=False)
    >>> len(runs.run({"parameters": {"x": [1, 2, 3]}}))
    3
    >>> control("memento-store", run=1)
    Traceback (most recent call last):
    memento.errors.CommandRefused: run 1 over ...memento-store is not alive: it has ended (done)
    """
    opened = Store.open(find_store(store), create=False)
    return Control(opened.index, choose(opened.index, str(opened.location), run))


def choose(index: Index, store: str, which: str | int | None) -> RunRecord:
    """Return the live run that is meant."""
    living = (index.run(owner.run) for owner in index.living().runs)
    alive = [run for run in living if run is not None]
    meant = [run for run in alive if which in (None, run.id, str(run.id), run.info.experiment)]
    if len(meant) == 1:
        return meant[0]
    told = "; ".join(
        f"{run.id}: {run.info.experiment}, process {run.info.pid} on {run.info.host}" for run in alive
    )
    if meant:
        raise CommandRefused(f"several runs over {store} are alive, so say which one ({told})")
    known = index.run(int(which)) if which is not None and str(which).isdecimal() else None
    if known is not None:
        gone = known.status in ("running", "died")
        how = "its process is gone" if gone else f"it has ended ({known.status})"
        raise CommandRefused(f"run {known.id} over {store} is not alive: {how}")
    no_run = "no run" if which is None else f"no run {which!r}"
    raise CommandRefused(f"{no_run} over {store} is alive" + (f"; there are: {told}" if alive else ""))


class Control:
    """Steers one live run; made by `memento.control`.

    Each method asks the run, waits up to `timeout` seconds for its answer and returns it: `text` says what was done,
    `undo` how to undo it. A run looks for commands about twice a second; where tasks run in its own thread
    (``executor="serial"``), between two tasks. Where it has not answered in time None is returned, and the command is
    taken later. What a run refuses, or did not live to take, raises `CommandRefused`.

    Attributes
    ----------
    run : RunRecord
        The run.
    timeout : float
        Seconds; may be changed.
    """

    def __init__(self, index: Index, run: RunRecord, clock: Clock = SYSTEM_CLOCK) -> None:
        self.run, self.timeout = run, 10.0
        self._index, self._clock = index, clock

    def pause(self) -> Answer | None:
        """Have the run start nothing more; what runs goes on to its end.

        Other runs over the same store may take what waits.
        """
        return self._ask("pause")

    def resume(self) -> Answer | None:
        """Undo `pause`."""
        return self._ask("resume")

    def stop(self, *, now: bool = False) -> Answer | None:
        """Have the run end when what runs has ended; the same script run again goes on from there.

        Parameters
        ----------
        now : bool
            Do not wait for what runs: it is told to stop, and may save a checkpoint first, as at a Ctrl-C.
        """
        return self._ask("stop", {"now": True} if now else None)

    def cancel(self, *keys: str, **parameters: Any) -> Answer | None:
        """Have tasks not computed in this run: what runs of them is stopped, the rest of the run goes on.

        They count as not done, not as failed; the next run computes them.

        Parameters
        ----------
        *keys : str
            Keys of tasks, or beginnings of these.
        **parameters
            Only tasks with these values, each given as the value, its text, or a list of several. With keys as well,
            only such of these.
        """
        return self._ask("cancel", _named(keys, parameters))

    def first(self, *keys: str, **parameters: Any) -> Answer | None:
        """Have tasks computed before all others that have not started.

        Parameters
        ----------
        *keys : str
            As for `cancel`.
        **parameters
            As for `cancel`.
        """
        return self._ask("first", _named(keys, parameters))

    def resize(self, workers: int) -> Answer | None:
        """Change how many tasks run at once; nothing that runs is ended.

        Parameters
        ----------
        workers : int
            At least 1. Engines that cannot change it refuse.
        """
        return self._ask("resize", {"workers": workers})

    def _ask(self, kind: str, arguments: Mapping[str, Any] | None = None) -> Answer | None:
        index, run = self._index, self.run.id
        number = index.send(Command(kind, run, arguments=arguments or {}, sender=person()))
        end = self._clock.monotonic() + self.timeout
        while True:
            record = index.run(run)  # before the answers: it may end right after one
            for answer in index.answers(number):
                if not answer.done:
                    raise CommandRefused(f"run {run} refused to {kind}: {answer.text}")
                return answer
            if record is None or record.status != "running":
                raise CommandRefused(f"run {run} has ended, and did not take the command {kind}")
            if self._clock.monotonic() >= end:
                return None
            time.sleep(_LOOK_EVERY)


class Typed(str):
    """A value as somebody has typed it: 4 is the number where there is one, and the text "4" where there is none."""

    __slots__ = ()


def _named(keys: tuple[str, ...], parameters: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    texts: dict[str, list[str]] = {}
    for name, value in parameters.items():
        several = isinstance(value, list | tuple | set | frozenset | range)
        each = list(value) if several else [value]
        if each and all(isinstance(one, Typed) for one in each):
            texts[name] = [str(one) for one in each]
            continue
        values[name] = [plain(one) for one in value] if several else plain(value)
        try:
            json.dumps(values[name])
        except (TypeError, ValueError):
            raise TypeError(
                f"{name}={value!r} cannot be sent to a run: give its text, as `memento ls` shows it"
            ) from None
    return {"keys": list(keys), "parameters": values, **({"texts": texts} if texts else {})}
