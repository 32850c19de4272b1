"""Find out whether an experiment without results had another name before: it was renamed, moved, or put into a package.

Knows: the store's other experiments, their keys and code. May not know: how tasks run.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from memento.keys.task_key import renamed_keys
from memento.wording import number_of, short_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from memento.keys.code_versions import CodeVersion
    from memento.plan.keyed_tasks import KeyedTasks
    from memento.store.store import Store

_LOOKED_AT = 20_000  # the newest results of others
_OURS = 200_000  # tasks; whoever renames a larger grid has these first ones too


def former_name(store: Store, tasks: KeyedTasks, codes: Iterable[CodeVersion]) -> str:
    """Say under which name the store has results of these tasks, and how to take them over; "" where it has none.

    `codes` are the versions that the tasks are of: results of other code are none of theirs.
    """
    if ":" not in tasks.experiment:
        return ""  # named by hand: whoever gives two names means two experiments
    others = [
        row
        for row in store.index.latest_of_others(tasks.experiment, _LOOKED_AT)
        if _may_be(row[1], tasks.experiment)
    ]
    if not others:
        return ""
    from memento.keys.code_diff import is_same_elsewhere

    ours = set(tasks.keys_of(range(min(len(tasks), _OURS))))
    found: Counter[tuple[str, int]] = Counter()
    for key, name, number in others:
        if renamed_keys(key, name, tasks.experiment) in ours:
            found[name, number] += 1
    versions = store.index.codes({number for _, number in found})
    mine = [code.functions for code in codes]
    for (name, number), count in found.most_common():
        if number in versions and any(is_same_elsewhere(versions[number].functions, own) for own in mine):
            return _hint(name, count, tasks.experiment, str(store.location))
    return ""


def _may_be(other: str, experiment: str) -> bool:
    """Say whether a name may have been this experiment's: not if it was made with something else, as closures are.

    What an object of a renamed class holds, the versions of the code tell: the class is part of its digits.
    """
    (place, _, made), (own_place, _, own_made) = other.partition("#"), experiment.partition("#")
    return ":" in place and (made == own_made or bool(made and own_made and place != own_place))


def _hint(name: str, count: int, experiment: str, store: str) -> str:
    import shlex

    command = shlex.join(["memento", "rename", name, experiment, "--store", store])
    return (
        f"{short_name(experiment)} has no results yet, but {number_of(count, 'result')} of {short_name(name)}"
        f" {'has' if count == 1 else 'have'} the same parameters and the same code. If it was renamed or moved, this"
        f" takes them over, and computes nothing:\n  {command}"
    )
