"""Which tasks a command is about: keys, what parameters must be (NAME=VALUE), status, time.

Knows: the store's read side, how values are named. May not know: what a command does with the tasks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from memento.cli.exit_codes import UsageError, wrong_usage
from memento.cli.open_store import find_keys, one_experiment
from memento.cli.task_text import loaded, shown_parameters
from memento.clock import SYSTEM_CLOCK, Clock
from memento.index.types import Narrow, Sought
from memento.records import DONE, FAILED, TaskRecord
from memento.store.store import Store
from memento.wording import number_of, one_line, seconds_of

if TYPE_CHECKING:
    from memento.cli.naming import Condition

_NAMED = 5  # tasks that an error names
_PARAMETER = re.compile(r"([^=\s][^=]*)=(.*)", re.DOTALL)


class Wanted(NamedTuple):
    """Which tasks are meant; all conditions must hold."""

    keys: tuple[str, ...] = ()  # or beginnings; a task with one of these
    parameters: tuple[tuple[str, str], ...] = ()  # name and text of a value; of one name, any of its values
    experiment: str | None = None  # its name, or the end of it
    status: str | None = None  # DONE or FAILED
    newer_than: float | None = None  # UTC seconds at which it began
    older_than: float | None = None

    @property
    def says_which(self) -> bool:
        """Whether anything is said beside the experiment: what removes tasks asks for that."""
        return bool(
            self.keys
            or self.parameters
            or self.status
            or self.newer_than is not None
            or self.older_than is not None
        )


def wanted(
    arguments: Iterable[str] | None,
    experiment: str | None = None,
    *,
    failed: bool = False,
    status: str | None = None,
    newer_than: str | None = None,
    older_than: str | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Wanted:
    """Read what was typed: keys and NAME=VALUE in any order, and the options that go with them."""
    keys, parameters = [], []
    for argument in arguments or ():
        found = _PARAMETER.fullmatch(argument)
        if found:
            parameters.append((found[1], found[2]))
        else:
            keys.append(argument)
    if failed and status not in (None, FAILED):
        raise UsageError(f"--failed and --status {status} contradict each other.")
    if status not in (None, DONE, FAILED):
        raise UsageError(f"--status {status}: finished tasks are {DONE} or {FAILED}.")
    return Wanted(
        tuple(keys),
        tuple(parameters),
        experiment,
        FAILED if failed else status,
        _moment(newer_than, "--newer-than", clock),
        _moment(older_than, "--older-than", clock),
    )


def _moment(text: str | None, option: str, clock: Clock) -> float | None:
    if text is None:
        return None
    with wrong_usage():
        return clock.now() - seconds_of(text, option)


def choose(store: Store, which: Wanted) -> list[TaskRecord]:
    """Return the finished tasks that are meant, the newest first."""
    return list(store.index.records(choose_ids(store, which)))


def one_key(store: Store, arguments: Sequence[str]) -> str:
    """Return the key of the one task that is meant, as it was typed where it is a key alone."""
    which = wanted(arguments)
    if len(which.keys) == 1 and not which.parameters:
        return which.keys[0]
    running = _running(store, which)
    try:
        found = list(choose_ids(store, which))
    except UsageError:  # no finished task has such a parameter
        if len(running) != 1:
            raise
        found = []
    told = " ".join(one_line(argument, 100) for argument in arguments)
    if not found and len(running) == 1:
        return running.pop().hex()
    if not found:
        raise UsageError(
            f"no finished task is meant by {told}; `memento ls` lists them. The keys of tasks that have not finished:"
            " `memento plan FILE:FUNC MATRIX --json`."
        )
    records = list(store.index.records(found[:_NAMED]))
    if len(found) == 1:
        return records[0].key.hex()
    some = [
        f"{record.key.hex()[:12]} ({one_line(own, 200)})"
        for record, own in zip(records, shown_parameters(store, records), strict=True)
    ]
    rest = ", ..." if len(found) > _NAMED else ""
    how = "have" if which.parameters and not which.keys else "are meant by"
    raise UsageError(f"{number_of(len(found), 'task')} {how} {told}; give a key: {', '.join(some)}{rest}")


def _running(store: Store, which: Wanted) -> set[bytes]:
    """Return the tasks in live runs that workers are at, and that have these parameters, as `status` shows them."""
    if which.keys:
        return set()
    told = [f", {name}={text}, " for name, text in which.parameters]
    works = [work for owner in store.index.living().runs for work in store.index.activity(owner.run)[1]]
    return {work.key for work in works if all(part in f", {work.config}, " for part in told)}


def choose_ids(store: Store, which: Wanted) -> Iterator[int]:
    """Yield the ids of the finished tasks that are meant, the newest first; see `choose`.

    The caller may stop: what was not asked for is not looked for.
    """
    for row in choose_rows(store, which):
        yield row.id


def all_ids(store: Store, which: Wanted) -> list[int]:
    """Return all these ids in ascending order; without a look at each row where none is needed."""
    if which.keys or which.parameters or which.newer_than is not None or which.older_than is not None:
        return list(choose_ids(store, which))[::-1]
    name = None if which.experiment is None else one_experiment(which.experiment, store)
    return store.index.ids(name, status=which.status)[::-1]


def choose_rows(store: Store, which: Wanted) -> Iterator[Narrow]:
    """Yield what tells these tasks apart, without what they came to."""
    name = None if which.experiment is None else one_experiment(which.experiment, store)
    asked: dict[str, list[str]] = {}
    for parameter, text in which.parameters:
        asked.setdefault(parameter, []).append(text)
    meant: dict[str, list[Condition]] | None = None
    if asked:
        from memento.cli.naming import conditions

        every = store.index.names_of_experiments() if name is None else [name]
        meant = conditions(store, every, asked)
    rows = _of_keys(store, which, name) if which.keys else store.index.seek(_sought(which, name, meant))
    return rows if meant is None else _that_hold(rows, meant)


def _that_hold(rows: Iterable[Narrow], meant: Mapping[str, Sequence[Condition]]) -> Iterator[Narrow]:
    for row in rows:
        own = meant.get(row.experiment)
        if own is not None:
            parameters = loaded(row.params)
            if all(condition.holds(row, parameters) for condition in own):
                yield row


def _sought(which: Wanted, experiment: str | None, meant: Mapping[str, Sequence[Condition]] | None) -> Sought:
    """Return what an index is asked for: rows in which the conditions of some experiment may hold."""
    texts: list[list[str]] = []
    lacks: list[str] = []
    runs: frozenset[int] | None = None
    for same in zip(*(meant or {}).values(), strict=True):  # those of one name, in each experiment
        names = {one.parameter for one in same}
        if None not in names and not any(one.lacking for one in same):
            texts.append(list(dict.fromkeys(text for one in same for text in one.texts())))
        elif len(names) == 1 and all(one.lacking and not one.fragments for one in same):
            lacks += [name for name in names if name is not None]
        elif all(one.runs is not None for one in same):
            some = frozenset(run for one in same for run in one.runs or ())
            runs = some if runs is None else runs & some
    return Sought(experiment, which.status, which.newer_than, which.older_than, runs, texts, lacks)


def _of_keys(store: Store, which: Wanted, experiment: str | None) -> Iterator[Narrow]:
    ids = [number for number in find_keys(store, which.keys).values() if number is not None]
    sought = Sought(experiment, which.status, which.newer_than, which.older_than)
    found = store.index.records(sorted(ids, reverse=True))
    return (Narrow.of(record) for record in found if sought.may_be(record))
