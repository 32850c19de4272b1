"""Make a fresh process see what the program sees, or say what it does not see.

Knows: the work. May not know: pipes, tasks, who runs them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from memento.errors import WorkersDiffer
from memento.values import pickling
from memento.worker.sources import edited_since, install
from memento.worker.work import Work


def arrive(work: Work) -> Callable[..., Any]:
    """Import what the function needs, set what the program has set, and return the function."""
    install(work.sources)  # before anything of the user's is imported
    pickling.install_main(work.script)
    if work.carried is None:
        function: Callable[..., Any] = work.function.load()
        return function
    from memento.worker import carrying

    carrying.set_first(work.carried)
    function = work.function.load()
    carrying.set_rest(work.carried)
    return function


def compare(work: Work, function: Callable[..., Any]) -> None:
    """Raise WorkersDiffer where the experiment reads something of the project that is not as the program has it."""
    if work.seen:
        from memento.keys.code_versions import differences

        found = differences(work.seen, function)
        edited = edited_since(work.sources) if found else set()
        if edited:  # it has the code of the start, but what that reads cannot be told from the files any more
            found = [one for one in found if one[2] != "nothing" and one[0].partition(":")[0] not in edited]
        if found:
            raise WorkersDiffer(found)
