"""What an index is asked with and answers, beside the records themselves.

Knows: plain values. May not know: how an index keeps anything.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from memento.errors import MementoError
from memento.records import Adoption, CodeVersion, Encoded, Failure, Known, RunRecord, TaskRecord, TaskRow

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

COMMANDS = ("pause", "resume", "stop", "cancel", "first", "resize")


class Claim(NamedTuple):
    """What became of the tasks that a run asked for."""

    granted: list[bytes]
    elsewhere: list[bytes]  # another live run computes them
    finished: list[Known]  # other runs have finished them since this one planned


class Committed(NamedTuple):
    """What a commit did."""

    ids: dict[bytes, int]  # key -> id of the row that now stands for it
    superseded: dict[bytes, Known]  # another run's result was there first; ours was dropped


class Stored(NamedTuple):
    """What tasks returned, a column for each field of `Encoded`; formats are None of tasks that failed."""

    formats: Sequence[str | None]
    data: Sequence[bytes | None]
    refs: Sequence[str | None]
    sizes: Sequence[int | None]  # None where the data say it
    types: Sequence[str | None]  # ... None where the format says it
    shown: Sequence[str | None]


class Outlines(NamedTuple):
    """Some tasks, a column for each fact, in the order of their ids; nan where a measure was not taken."""

    ids: "NDArray[np.int64]"
    done: "NDArray[np.bool_]"  # or failed
    started: "NDArray[np.float64]"  # UTC seconds
    runtime: "NDArray[np.float64]"  # seconds
    cpu_time: "NDArray[np.float64]"  # seconds
    memory: "NDArray[np.float64]"  # bytes
    metrics: "NDArray[np.int64]"  # how many were recorded
    failures: dict[int, Failure]  # id -> why; of those that failed
    # What they returned: as `Stored`, or loaded by a store; None where not asked for.
    values: Sequence[Any] | None


class Sought(NamedTuple):
    """Which rows are looked for; all of it must hold. See `Index.seek`."""

    experiment: str | None = None
    status: str | None = None
    after: float | None = None  # began then or later (UTC seconds)
    before: float | None = None  # began then or earlier
    runs: Collection[int] | None = None  # ids of runs, one of which computed it
    texts: Sequence[Collection[str]] = ()  # the parameters (JSON) contain at least one of each of these
    lacks: Collection[str] = ()  # names of parameters that it does not have

    def may_be(self, record: TaskRecord) -> bool:
        """Whether a record is among what is looked for, or may be, for what it lacks."""
        return (
            self.experiment in (None, record.experiment)
            and self.status in (None, record.status)
            and (self.after is None or record.started >= self.after)
            and (self.before is None or record.started <= self.before)
            and (self.runs is None or record.run in self.runs)
            and all(any(text in record.params for text in some) for some in self.texts)
        )


class Narrow(NamedTuple):
    """What tells tasks apart: a narrow record of a row, without what it came to."""

    id: int
    key: bytes
    experiment: str
    params: str  # readable JSON
    repeat: int
    run: int

    @classmethod
    def of(cls, record: TaskRecord) -> "Narrow":
        """Return what tells a task apart."""
        return cls(record.id, record.key, record.experiment, record.params, record.repeat, record.run)


class Owner(NamedTuple):
    """Whose lease it is: what proves that a run's process lives."""

    run: int
    host: str
    pid: int
    started: str
    boot: str
    heartbeat: float
    name: str = ""  # of the run
    expired: bool | None = None  # whether its lease has ended, by the one clock of an index that has its own

    @classmethod
    def of(cls, run: RunRecord, name: str, expired: bool | None = None) -> "Owner":
        """Return who owns the lease of a run."""
        info = run.info
        who = (info.host, info.pid, info.process_started, info.boot_id)
        return cls(run.id, *who, run.heartbeat, name, expired)


class Living(NamedTuple):
    """Who lives, and what they may be at."""

    runs: list[Owner]
    # The keys that they have claimed, each with whose it is; some may be finished already.
    claimed: dict[bytes, int]


class Names(NamedTuple):
    """What rows name, of the keys and files that were asked about."""

    last: int  # the highest id of a row that was seen
    files: set[str]  # payloads and logs
    done: dict[bytes, int]  # key -> id
    known: set[bytes]  # keys of tasks, done and failed
    # Key of a shared step -> how many of these rows name it; all steps, asked about or not.
    steps: dict[bytes, int]


class History(NamedTuple):
    """What is known of the versions of an experiment's code."""

    digests: dict[int, bytes]  # id -> digest, of all versions in the index
    changes: list[tuple[int, int]]  # (version, the one that would compute its results now)
    adoptions: list[Adoption]  # the oldest first


OfRuns = Sequence[tuple[int, TaskRow]]
"""Rows, each with the id of the run that made it."""


class Brought(NamedTuple):
    """What another store tells of an experiment beside its rows; all ids are that store's."""

    runs: Sequence[tuple[str, RunRecord]]  # with their names; each has ended
    # When it was seen first (UTC seconds), and by which run.
    codes: Mapping[int, tuple[CodeVersion, float, int | None]]
    changes: Sequence[tuple[int, int]]  # as of `History`
    adoptions: Sequence[Adoption]


class Numbers(NamedTuple):
    """What that is called here."""

    runs: dict[int, int]
    codes: dict[int, int]
    names: dict[str, str]  # of runs


class SetBack(NamedTuple):
    """A task that has failed and has no row: it counts as not computed."""

    key: bytes
    experiment: str
    run: int  # of its last attempt
    started: float  # that attempt
    id: int = 0  # no row
    params: str = ""  # attempts do not tell


class Renamed(NamedTuple):
    """What a rename did."""

    moved: int  # tasks
    kept: int  # tasks that stay under the old name, since the new one has a result of its own


class Checked(NamedTuple):
    """A task's row as a check finds it; of a damaged one as much as can be read."""

    id: int
    key: str  # hexadecimal, where it is a key
    experiment: str
    params: str
    fault: str  # what is wrong; "" for nothing
    kind: str  # of the fault: "row", "metric", "twice" (a newer row has the same key)
    value: Encoded | None
    artifacts: tuple[str, ...]


class Command(NamedTuple):
    """What somebody wants of runs that go on."""

    kind: str  # one of COMMANDS
    run: int | None = None  # of this run only
    experiment: str = ""  # of all runs of this experiment; of all in the store where neither is given
    arguments: Mapping[str, Any] = {}  # plain JSON: keys, parameters, number of workers
    sender: str = ""  # user@host
    sent: float = 0.0  # UTC seconds; filled in by `Index.send`, as is the id
    id: int = 0


class Answer(NamedTuple):
    """What a run did about a command."""

    command: int
    run: int
    time: float
    text: str
    undo: str = ""  # how to undo it; "" where there is nothing to undo
    done: bool = True  # False: it was refused, for the reason that the text says


class Event(NamedTuple):
    """Something that happened in a run and that its rows do not tell."""

    id: int
    run: int
    time: float  # UTC seconds
    kind: str  # "said", "retried", "worker", "command", ...
    data: Mapping[str, Any]  # plain JSON


class Activity(NamedTuple):
    """What one worker is at just now."""

    worker: str
    key: bytes
    since: float  # UTC seconds
    done: float = 0.0  # of the task's own bar
    total: float | None = None
    metrics: Mapping[str, float] = {}  # the latest of each
    doing: str = ""  # what it is at, where that is more than its own work: "waits for step load('x')"
    config: str = ""  # the task by its parameters: "lr=0.1, model=SVC"


class Standing(NamedTuple):
    """How far a run that goes on is, as it says itself."""

    total: int  # tasks
    done: int  # in this run, by itself or by others
    cached: int
    failed: int
    running: int  # at work just now
    workers: int
    throughput: float  # tasks a second, recent
    eta: float | None  # seconds; None where nothing can be said
    longest: float  # seconds that the longest of the finished tasks took
    paused: str = ""  # who has paused it; "" where nobody has
    stopping: bool = False  # nothing more is started, for good
    waits: str = ""  # what keeps tasks from starting: "Slurm job 17 waits (Priority)"; "" where nothing does
    deadline: float | None = None  # UTC seconds at which it ends, whatever is left; None where it has none
    # Keys (hex) of tasks that its executor has not begun, some, by why.
    unbegun: Mapping[str, Sequence[str]] = {}


class Table(NamedTuple):
    """What a query found; cells are numbers, texts, bytes and None."""

    columns: list[str]
    rows: list[tuple[Any, ...]]
    more: bool  # there are more rows than were asked for


class View(NamedTuple):
    """What may be asked for in a query."""

    name: str
    meaning: str
    columns: list[str]


class Refused(MementoError, ValueError):
    """Something is not done as asked: what is in the way, and what to do."""

    def __init__(self, problem: str, todo: str) -> None:
        super().__init__(problem, todo)
        self.problem, self.todo = problem, todo

    def __str__(self) -> str:
        return f"{self.problem} {self.todo}".strip()


class QueryFailed(Refused):
    """A query was not answered: it is wrong, or needs too much."""


class CannotRename(Refused):
    """An experiment cannot be renamed as asked."""
