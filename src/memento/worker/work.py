"""What a worker is given: the work that all tasks of a run share, and each task.

Knows: the shape of work. May not know: executors, stores' indexes, matrices, retry rules.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from memento.keys.project_files import Script
from memento.worker.by_name import ByName
from memento.worker.portable import Portable


class Task(NamedTuple):
    """One attempt to make: which values, by number, in which layout of names."""

    number: int  # the runner's name for the task in this run
    key: bytes
    layout: int  # index into Work.layouts: the names, in order
    values: tuple[int, ...]  # indexes into Work.values, one for each name
    repeat: int
    attempt: int  # 1 for the first
    cost: float  # expected seconds; 0.0 where unknown
    version: int = 0  # index into Work.codes
    # Bytes that this attempt may use, and its place needs; None: as Work says.
    memory_limit: int | None = None
    longest: float = 0.0  # seconds that nine of ten such tasks stay below; 0.0 where unknown
    fence: int = 0  # how many places of it were lost, whose attempts may live on: it has folders of its own


LIVE_EVERY, GRACE = 0.5, 5.0  # seconds


class Work(NamedTuple):
    """What all tasks of a run share; sent to each worker once.

    Every entry of `values` is bytes for `memento.values.pickling.loads`; so are `function.data` and `settings.data`,
    which are made when they are asked for: copies of the program have the function, and who runs tasks in this process
    has everything. Pickled, this takes function and settings along, and neither `layouts` nor `values`.
    A worker gets a value's bytes at most once, with the first task that uses it, and unpickles
    it for each task, so that a task that changes a value in place changes nothing for the next. What is large in one
    is in a file of the run (`memento.values.shared_files`), and each task's own memory is a mapping of that.
    """

    run: str  # unique name of the run within the store; safe as a file name
    experiment: str
    function: Portable
    settings: Portable  # of a dict
    layouts: Sequence[tuple[str, ...]]  # may grow while the run goes on
    values: Sequence[bytes]  # may be lazy: an entry is pickled when it is first asked for; see `TaskValues`
    store: str  # absolute path of the store's folder, shared with the workers
    script: Script  # what the program was started with: workers give the same names as it does
    sys_path: list[str]
    cwd: str
    num_workers: int  # that have something to do: no more than there are tasks
    asked_workers: int | None = None  # ... as somebody asked for; None: as many as the engine has room for
    cpus_per_task: int = 1
    gpus_per_task: float = 0
    gpu_memory: int | None = None  # bytes that a task needs of each device
    timeout: float | None = None  # seconds a task
    memory_limit: int | None = None  # bytes a task
    max_tasks_per_worker: int | None = None
    log_output: bool = True
    grace: float = GRACE  # seconds between asking a task to stop and ending it
    inline_limit: int = 16_384  # bytes; larger values are written as payload files by the worker
    live_every: float = LIVE_EVERY  # seconds between live updates of a task
    environment: Mapping[str, str] = {}
    sources: Mapping[str, str] = {}  # texts of code by its name, see `source_texts`
    # Those that tasks share, by label: what children come from.
    generators: Mapping[str, bytes] = {}
    initializer: Portable | None = None  # called in each worker before its first task
    carried: Any = None  # what the program has set, for fresh processes; see `carrying`
    # What the function reads, for fresh processes; see `sameness`.
    seen: Mapping[str, tuple[str, str]] = {}
    # Versions of the code: each one's digest, and what counts as it.
    codes: Sequence[tuple[bytes, ...]] = ((),)
    on_code_change: str = "ignore"  # what becomes of checkpoints that other versions saved
    labels: Mapping[int, str] = {}  # of values, by number
    snapshot: str = ""  # file of the code of the run's start, for workers that start later: `code_snapshot`
    by_name: ByName | None = None  # what the function takes; None: the context and the config
    # Where the engine's workers outlive a run: dead runs whose workers may live on, by name ...
    former: Sequence[str] = ()
    # ... and what is not taken from each: numbers of tasks that are computed from newer results than it had.
    outdated: Mapping[str, Collection[int]] = {}
    # Address of the object store with values, checkpoints, artifacts; "": the store's folder.
    payloads: str = ""
