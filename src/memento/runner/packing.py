"""Make of a session what is sent away: the work that workers get, and what the store notes of the run.

Knows: sessions, what workers need. May not know: how any of it gets there.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping, Sequence
from itertools import repeat
from operator import mod
from typing import TYPE_CHECKING, Any

from memento import system
from memento.keys.project_files import script
from memento.keys.readable import json_fragment
from memento.plan.keyed_tasks import KeyedTasks
from memento.records import RunInfo
from memento.store import provenance
from memento.values import pickling
from memento.worker.portable import Portable, unsendable
from memento.worker.source_texts import modules, sources
from memento.worker.work import GRACE, LIVE_EVERY, Task, Work

if TYPE_CHECKING:
    from memento.plan.plan import Plan
    from memento.runner.code_changes import SessionCode
    from memento.runner.options import Options
    from memento.values.shared_files import SharedFiles
    from memento.worker.by_name import ByName

_UPDATES = 2_000  # a second, of all tasks together: they cost the coordinator a hundredth of its core


def run_info(tasks: KeyedTasks) -> RunInfo:
    """Say who runs what, where, with what."""
    matrix = tasks.matrix
    return RunInfo(
        experiment=tasks.experiment,
        tasks=len(tasks),
        settings=json_fragment({**tasks.held, **matrix.settings}),
        matrix_id="" if matrix.id is None else str(matrix.id),
        host=system.hostname(),
        pid=os.getpid(),
        process_started=system.process_start(os.getpid()) or "",
        boot_id=system.boot_identity(),
        argv=tuple(provenance.redact(sys.argv)),
        provenance=provenance.gather(os.getcwd()),
    )


def make_work(
    run_name: str,
    plan: Plan,
    code: SessionCode,
    options: Options,
    store: str,
    origins: Mapping[str, bytes],
    files: SharedFiles,
    by_name: ByName | None,
    payloads: str,
    *,
    elsewhere: bool,
) -> Work:
    """Say what workers are to do with each task.

    `origins` are states of the generators that tasks share; what is large goes into `files`. Where tasks run
    `elsewhere` than in this process, the project's modules go along: to read them takes longer than all else.
    """
    tasks, begin = plan.tasks, options.initializer
    names = {name for version in code.present.versions for name in version.names}
    return Work(
        run=run_name,
        experiment=tasks.experiment,
        function=Portable(code.function, f"the experiment {tasks.experiment}", files=files),
        settings=Portable(dict(tasks.matrix.settings), "settings", files=files),
        layouts=tasks.layouts,
        values=_PickledValues(tasks, files),
        store=store,
        script=script(),
        sys_path=[path or os.getcwd() for path in sys.path],
        cwd=os.getcwd(),
        num_workers=min(options.num_workers, len(plan.todo)),
        asked_workers=options.asked_workers,
        cpus_per_task=options.cpus_per_task,
        gpus_per_task=options.gpus_per_task,
        gpu_memory=options.gpu_memory,
        timeout=options.timeout,
        memory_limit=options.memory_limit,
        max_tasks_per_worker=options.max_tasks_per_worker,
        log_output=options.log_output,
        grace=GRACE if options.deadline is None else options.deadline.grace,
        live_every=max(LIVE_EVERY, options.num_workers / _UPDATES),
        initializer=begin and Portable(begin, "the initializer", files=files),
        sources={**sources(), **(modules(names) if elsewhere else {})},
        codes=code.accepted(plan),
        on_code_change=options.on_code_change,
        labels=tasks.labels,
        generators=origins,
        by_name=by_name,
        payloads=payloads,
    )


def make_tasks(
    plan: Plan, numbers: Sequence[int], attempts: Mapping[int, int], raised: Mapping[int, int] | None
) -> list[Task]:
    """Say what the next attempts at these tasks are; `attempts` has their numbers, `raised` memory limits of some.

    What is not there is the first, with the limit of all.
    """
    tasks, costs, longest, of = plan.tasks, plan.costs, plan.longest, plan.versions
    layouts, values = tasks.places(numbers)
    repeats = map(mod, numbers, repeat(tasks.repeats))
    tries = [attempts.get(number, 1) for number in numbers] if attempts else repeat(1)
    expected = map(costs.__getitem__, numbers) if costs is not None else repeat(0.0)
    versions = map(of.__getitem__, numbers) if of is not None else repeat(0)
    limits = map(raised.get, numbers) if raised else repeat(None)
    most = map(longest.__getitem__, numbers) if longest is not None else repeat(0.0)
    keys = tasks.keys_of(numbers)
    return list(map(Task, numbers, keys, layouts, values, repeats, tries, expected, versions, limits, most))


class _PickledValues(Sequence[bytes]):
    """The matrix's values as workers get them, each pickled when it is first asked for; what is large is in `files`."""

    def __init__(self, tasks: KeyedTasks, files: SharedFiles) -> None:
        self._tasks, self._files = tasks, files
        self._kept: dict[int, bytes] = {}
        self._lock = threading.Lock()  # threads of this process may ask at once

    def __len__(self) -> int:
        return self._tasks.value_count

    def here(self, number: int) -> Any:
        """Return a value as the program has it."""
        return self._tasks.value(number)

    def packed(self, number: int) -> bytes:
        """Return a value's bytes; raises whatever its parts raise."""
        with self._lock:
            data = self._kept.get(number)
            if data is None:
                data = self._kept[number] = pickling.dumps(self._tasks.value(number), self._files)
            return data

    def __getitem__(self, number: Any) -> Any:
        try:
            return self.packed(number)
        except Exception as exc:
            what = f"a value of parameter {self._tasks.name_of_value(number)!r}"
            raise unsendable(self._tasks.value(number), what, exc) from exc
