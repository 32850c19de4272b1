"""`memento diff A B`: in what two tasks, two runs or two stores differ; nothing is unpickled.

Knows: what A and B may name, how to say what was found. May not know: how many tasks are compared, how values differ.

Two things are the same where their results are, and what these were computed from: parameters, settings, code. What
they were made with (machine, packages, commit, times) is told, and does not count.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from memento.cli.differences import MADE_WITH, Compared, lines, tasks_differ
from memento.cli.exit_codes import UsageError
from memento.cli.open_store import find_key, find_task, open_store
from memento.cli.printing import print_json, print_safe
from memento.errors import MementoError
from memento.layout import INDEX
from memento.records import RunRecord
from memento.store.location import StorePath, nearby
from memento.store.store import Store
from memento.wording import one_line

_TASK = re.compile(r"[0-9a-fA-F]{3,32}")
_RUN = re.compile(r"\d+|\d{8}-\d{6}-\d+-[0-9a-f]+")
_WHAT = (
    "a task's key (3 digits or more), a run's id or name (`memento status` shows them), or a store's folder"
)


def diff(path: StorePath | None, a: str, b: str, *, as_json: bool) -> bool:
    """Print in what two things differ; return whether they are the same."""
    try:
        compared = _compare(path, a, b)
    except UsageError:
        raise
    except MementoError as error:  # 1 says that they differ
        raise UsageError(str(error)) from error
    if as_json:
        told = {
            "kind": compared.kind,
            "a": a,
            "b": b,
            "same": compared.same,
            "differences": [one.as_dict() for one in compared.found],
            "code": compared.code,
        }
        print_json("diff", told | compared.more)
        return compared.same
    print(one_line(compared.title, 400))
    said = [*compared.text, *lines(one for one in compared.found if one.part != MADE_WITH)]
    if compared.code:
        said += ["code", *(f"  {line}" for line in compared.code)]
    said += lines(one for one in compared.found if one.part == MADE_WITH)
    print_safe("\n".join(said or ["no difference"]))
    return compared.same


def _compare(path: StorePath | None, a: str, b: str) -> Compared:
    stores = [_store(text) for text in (a, b)]
    if stores[0] and stores[1]:
        from memento.cli.diff_many import stores_differ

        return stores_differ(stores[0], stores[1])
    with open_store(path) as store:
        known = [_Names.of(store, text, place) for text, place in zip((a, b), stores, strict=True)]
        as_runs, as_tasks = all(one.run for one in known), all(one.key for one in known)
        if as_runs and as_tasks:
            raise UsageError(
                f"{a} and {b} name runs, and tasks: write run:{a} run:{b}, or task:{a} task:{b}."
            )
        if as_tasks:
            return tasks_differ(store, *(find_task(store, one.key) for one in known))
        if as_runs:
            from memento.cli.diff_many import runs_differ

            return runs_differ(store, *(one.run for one in known if one.run is not None))
        raise UsageError(f"{known[0].said}, and {known[1].said}: only two of a kind can be compared.")


def _store(text: str) -> StorePath | None:
    """Return the store that a text names; None where it names none."""
    if "://" in text:
        return text
    place = Path(text).expanduser()
    there = (place / INDEX).is_file()
    if there and (_TASK.fullmatch(text) or _RUN.fullmatch(text)):
        raise UsageError(
            f"{text} is a store's folder here, and may be a task or a run: write ./{text}, task:{text} or run:{text}."
        )
    if not there and (os.sep in text or place.is_dir()):
        raise UsageError(f"there is no store at {text}: {INDEX} is missing.{nearby(text)}")
    return place if there else None


class _Names(NamedTuple):
    """What a text may name."""

    text: str
    store: StorePath | None = None
    run: RunRecord | None = None
    key: str = ""

    @classmethod
    def of(cls, store: Store, text: str, place: StorePath | None) -> _Names:
        """Look up what is there; refuse what names nothing."""
        if place:
            return cls(text, place)
        kind, _, name = text.rpartition(":")
        run = _run(store, name) if kind in ("", "run") and _RUN.fullmatch(name) else None
        key = problem = ""
        if kind in ("", "task") and _TASK.fullmatch(name):
            try:
                key = find_key(store, name).hex()
            except UsageError as error:
                problem = str(error)
        if not (run or key):
            raise UsageError(problem or f"there is nothing by the name {text!r}: give {_WHAT}.")
        return cls(text, None, run, key)

    @property
    def said(self) -> str:
        """What it is."""
        kinds = [("a store", self.store), ("a run", self.run), ("a task", self.key)]
        return f"{self.text} is {' and '.join(kind for kind, there in kinds if there)}"


def _run(store: Store, name: str) -> RunRecord | None:
    number = next((number for number, known in store.index.names_of_runs().items() if known == name), None)
    if number is None and name.isdecimal() and len(name) < 18:
        number = int(name)
    run = None if number is None else store.index.run(number)
    return None if run is None else store.index.counted([run])[0]
