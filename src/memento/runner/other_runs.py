"""Share the work with other runs over the same store: claim tasks, wait for those of others, take their results.

Knows: the plan, the store's run. May not know: executors, outcomes of our own.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from memento.events import Event, TasksFinished
from memento.records import DONE, Known
from memento.runner.progress import Progress, note_row

if TYPE_CHECKING:
    from memento.index.run_contract import Run
    from memento.plan.changed_defaults import Written
    from memento.plan.plan import Plan


class OtherRuns:
    """What other runs compute, or have computed meanwhile, of the tasks of this one.

    `other_codes` counts their results that are of other code, by its id and the number of ours.
    """

    def __init__(
        self, plan: Plan, run: Run, progress: Progress, codes: Sequence[int], emit: Callable[[Event], None]
    ) -> None:
        self._plan, self._run, self._progress = plan, run, progress
        self._codes, self._emit = codes, emit
        self.written: Written | None = None  # to tell which of their results are of another default
        self.awaited: dict[bytes, int] = {}  # key -> number of a task that another run computes
        self.other_codes: Counter[tuple[int, int]] = Counter()

    def claim(self, numbers: Sequence[int]) -> list[int]:
        """Take the right to compute tasks; return those that nobody else has or has done."""
        of_key = dict(zip(self._plan.tasks.keys_of(numbers), numbers, strict=True))
        claim = self._run.claim(list(of_key))
        for key in claim.elsewhere:
            self.awaited[key] = of_key[key]
        left = self._adopt(claim.finished, of_key)
        return [*(of_key[key] for key in claim.granted), *(self.claim(left) if left else ())]

    def look(self) -> list[int]:
        """Take what others have finished; return tasks that they finished or lost since: claiming them tells which."""
        self._adopt(self._run.news(), self.awaited)
        free = set(self.awaited) - set(self._run.waiting(list(self.awaited)))
        return [self.awaited.pop(key) for key in free]

    def forget(self, numbers: Iterable[int]) -> list[int]:
        """Wait no longer for these tasks; return those that were waited for."""
        wanted = set(numbers)
        found = [(key, number) for key, number in self.awaited.items() if number in wanted]
        for key, _ in found:
            del self.awaited[key]
        return [number for _, number in found]

    def superseded(self, number: int, known: Known) -> None:
        """Note that another run's result of a task was there before ours."""
        version = self._plan.version(number)
        if known.code != self._codes[version] and known.code not in self._plan.current[version]:
            self.other_codes[known.code, version] += 1

    def _adopt(self, finished: Sequence[Known], of_key: dict[bytes, int]) -> list[int]:
        """Take these results; return the tasks of those that are of another default: they are ours to replace."""
        done = failed = 0
        otherwise = self._of_another_default(finished, of_key)
        keys: dict[bool, list[str]] = {True: [], False: []}
        for known in finished:
            number = of_key.get(known.key)
            if number is None:
                continue
            if number in otherwise:
                self._run.previous[known.key] = known.id
                continue
            self.awaited.pop(known.key, None)
            share = note_row(self._plan, number, known.id)
            self.superseded(number, known)
            keys[known.status == DONE].append(known.key.hex())
            if known.status == DONE:
                done += share
            else:
                failed += share
        self._progress.shared += done
        self._progress.failed += failed
        if done or failed:
            told = TasksFinished(
                done, failed, 0.0, shared=done, keys=tuple(keys[True]), failed_keys=tuple(keys[False])
            )
            self._emit(told)
        return list(otherwise)

    def _of_another_default(self, finished: Sequence[Known], of_key: dict[bytes, int]) -> Collection[int]:
        """Return the tasks whose results have another value where this run's are at a default."""
        tasks = self._plan.tasks
        if self.written is None or not finished or not (tasks.matrix.defaults or tasks.held):
            return ()
        from memento.plan.changed_defaults import computed_otherwise

        rows, there = array("q", bytes(8 * len(tasks))), bytearray(len(tasks))
        for known in finished:
            if known.status == DONE and known.key in of_key:
                rows[of_key[known.key]], there[of_key[known.key]] = known.id, 1
        return computed_otherwise(tasks, rows, there, there, self.written)
