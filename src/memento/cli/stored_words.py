"""What a store has for a word that is missing on a command line: keys, NAME=VALUE, experiments, runs.

Knows: the store's read side, which word means what. May not know: shells.

It answers at once or not at all: it looks at the newest rows, and whatever goes wrong, nothing is offered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from memento.cli.missing_word import Asked, Candidate
from memento.cli.task_text import plain_text, shown_parameters
from memento.records import DONE, FAILED
from memento.store.store import Store

_NEWEST = 200  # tasks and runs that are looked at
_SHOWN = 100  # candidates
_DIGITS = 12  # of a key
_ENOUGH = 3  # digits by which a key may be looked for in the whole store


def stored_words(asked: Asked) -> Iterable[Candidate]:
    """Return what a word could be; nothing where that is not known."""
    if asked.name == "status":
        return [Candidate(DONE), Candidate(FAILED)]
    if asked.name == "executor":
        from memento.executors.choose import ENGINES

        return [Candidate(name) for name in ENGINES]
    find = _FINDERS.get(asked.name)
    if find is None:
        return []
    try:
        from memento.cli.open_store import open_store

        with open_store(_store(asked.words)) as store:
            return list(find(store, asked))[:_SHOWN]
    except Exception:  # in the middle of a line nobody wants to read of a store that is damaged
        return []


def _store(words: Sequence[str]) -> str | None:
    """Return the store that a line names."""
    for place, word in enumerate(words):
        if word.startswith("--store="):
            return word.partition("=")[2]
        if word == "--store" and place + 1 < len(words):
            return words[place + 1]
    return None


def _experiment(words: Sequence[str]) -> str:
    for place, word in enumerate(words[:-1]):
        if word in ("-e", "--experiment"):
            return words[place + 1]
    return ""


def _names(store: Store) -> list[str]:
    """Return the experiments of the newest runs: to count all tasks takes too long."""
    return list(dict.fromkeys(run.info.experiment for run in store.index.runs(limit=_NEWEST)))


def _experiments(store: Store, _: Asked) -> Iterator[Candidate]:
    for name in _names(store):
        yield Candidate(name)
        yield Candidate(name.rpartition(":")[2], name)  # the end of a name will do


def _keys(store: Store, asked: Asked) -> Iterator[Candidate]:
    begun = asked.begun.lower()
    if any(digit not in "0123456789abcdef" for digit in begun):
        return
    only = FAILED if asked.command == "retry" or "--failed" in asked.words else None
    if len(begun) < _ENOUGH:
        records = store.index.recent(status=only, limit=_NEWEST)
    else:
        records = [record for record in store.index.find(begun) if only in (None, record.status)]
    fit = [record for record in records if record.key.hex().startswith(begun)][:_SHOWN]
    for record, parameters in zip(fit, shown_parameters(store, fit), strict=True):
        word = record.key.hex()[: max(_DIGITS, len(begun))]
        yield Candidate(asked.begun + word[len(begun) :], f"{record.status} {parameters}")


def _axes(store: Store, asked: Asked) -> Iterator[tuple[str, list[str]]]:
    wanted = _experiment(asked.words)
    for experiment in _names(store):
        if experiment.endswith(wanted):
            for name, values in store.index.axes(experiment):
                texts = [item.label if item and item.label else plain_text(value) for value, item in values]
                yield name, texts


def _parameters(store: Store, asked: Asked) -> Iterator[Candidate]:
    """Yield NAME=, and with a name NAME=VALUE."""
    name, equals, _ = asked.begun.partition("=")
    for known, values in _axes(store, asked):
        if not equals:
            yield Candidate(f"{known}=", ", ".join(values[:5]))
        elif known == name:
            yield from (Candidate(f"{name}={value}") for value in dict.fromkeys(values))


def _tasks(store: Store, asked: Asked) -> Iterator[Candidate]:
    if "=" not in asked.begun and asked.begun:
        yield from _keys(store, asked)
    yield from _parameters(store, asked)


def _task(store: Store, asked: Asked) -> Iterator[Candidate]:
    """Yield what names one task: a key is what is meant mostly, so keys come first."""
    yield from _keys(store, asked)
    yield from _parameters(store, asked)


def _columns(store: Store, asked: Asked) -> Iterator[Candidate]:
    before, comma, _ = asked.begun.rpartition(",")
    yield from (Candidate(f"{before}{comma}{name}") for name, _ in _axes(store, asked))
    newest = store.index.recent(status=DONE, limit=1)
    for record in newest:
        yield from (Candidate(f"{before}{comma}{name}", "a metric") for name in store.index.metrics(record))


def _runs(store: Store, _: Asked) -> Iterator[Candidate]:
    """Yield the newest runs; who steers one means one that goes on."""
    for run in store.index.runs(limit=20):
        if run.status == "running":
            yield Candidate(str(run.id), f"{run.info.experiment}, on {run.info.host}")


def _two(store: Store, asked: Asked) -> Iterator[Candidate]:
    """Yield runs and tasks, which can be compared."""
    for run in store.index.runs(limit=20):
        yield Candidate(str(run.id), f"run of {run.info.experiment}, {run.status}")
    yield from _keys(store, asked)


_FINDERS: dict[str, Callable[[Store, Asked], Iterator[Candidate]]] = {
    "task": _task,
    "tasks": _tasks,
    "only": _parameters,
    "experiment": _experiments,
    "old": _experiments,
    "columns": _columns,
    "sort": _columns,
    "run": _runs,
    "a": _two,
    "b": _two,
}
