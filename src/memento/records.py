"""The records that the store keeps and that rooms hand to each other: plain, frozen, no behaviour.

Knows: what a result, an attempt and a run consist of. May not know: SQL, files, processes.

They cross process borders by the thousand, so the hot ones are named tuples of plain values. Their annotations are not
postponed: `typing` would compile the text of each, which takes every run some milliseconds.
"""

from typing import Any, NamedTuple

DONE = "done"
FAILED = "failed"

# Why an attempt failed: `Failure.kind`.
RAISED = "raised"  # the experiment raised
DIED = "died"  # its process ended: signal or exit code
TIMEOUT = "timeout"
MEMORY = "memory"  # over memory_limit, or a proven out-of-memory kill
UNSAVABLE = "unsavable"  # what it returned cannot be stored
LOST = "lost"  # its place was taken away too often: a node, a container, a pool's process
STOPPED = "stopped"  # ended by the run's own end; never stored as a failure, the task is simply not done

# What failed beside the experiment's own code: `Failure.code`, which says whose `Failure.path` is.
STORE_UNWRITABLE = "store-unwritable"  # a file of some store could not be written
PAYLOAD_DAMAGED = "payload-damaged"  # a file under some store's payloads is not what was written
OUT_OF_MEMORY = "out-of-memory"  # the machine has no more, whatever the task may take

INTERRUPTED = "interrupted"  # status of an attempt that has no row: a checkpoint tells of it, up to its save

DAMAGED = "damaged"  # a value's format where its row in the index is not what was written


class Encoded(NamedTuple):
    """A value as it is stored: the bytes themselves or a reference to a payload file."""

    format: str  # "json", "typed", "npscalar", "text", "bytes", "npy", "arrow", "pickle"
    data: bytes | None  # inline bytes; None when `ref` is set
    ref: str | None  # name of a file under payloads/; it carries its own checksum
    size: int  # bytes of the encoded value
    type: str  # "module:qualname" of the value's type
    # What stands for it where it is not loaded: see `values.describe`; None where it need not be.
    shown: str | None = None


class Series(NamedTuple):
    """One metric of one task: packed little-endian float64, all x then all y."""

    name: str
    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody asks a record for
    last: float
    minimum: float
    maximum: float
    data: bytes  # 16 * count bytes


class LogSlice(NamedTuple):
    """Where a task's output stands: bytes start..end of a file under logs/."""

    file: str
    start: int
    end: int


class Failure(NamedTuple):
    """Why an attempt failed, all as text, so that nothing has to be unpickled to read it."""

    kind: str  # RAISED, DIED, ...
    type: str  # "ValueError"; for DIED "SIGSEGV" or "exit code 3"
    message: str
    traceback: str  # the user's part, as Python prints it; "" where there is none
    location: str  # "experiment.py:24" innermost line of the user's code; "" where unknown
    exception: bytes | None  # the exception, pickled, where that is possible
    output: str  # the last lines that the task printed
    code: str = ""  # STORE_UNWRITABLE, ...; "" for all that is the experiment's own
    path: str = ""  # what `code` is about
    lineage: tuple[str, ...] = ()  # the exception's classes, "module:qualname", as long as it is not stored
    memory_limit: int = 0  # bytes that the attempt might use, where it has proven to need more
    next_limit: int = 0  # bytes that the next attempt gets then; 0 where that is no more, or there is none


class Warned(NamedTuple):
    """A warning that a task showed, and how often."""

    category: str  # "RuntimeWarning"
    message: str
    place: str  # "experiment.py:24" the user's line; "" where unknown
    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody asks a record for


class Piece(NamedTuple):
    """What an attempt gave to a task that a later one finished: what it did up to the checkpoint that was resumed."""

    run: str  # name of the run
    attempt: int
    started: float
    runtime: float
    cpu_time: float | None
    memory: int | None
    worker: str
    log: LogSlice | None


class Outcome(NamedTuple):
    """How one attempt at one task ended; a worker makes it, or the supervisor on its behalf."""

    number: int  # Task.number
    status: str  # DONE or FAILED
    attempt: int
    started: float  # UTC seconds
    runtime: float  # seconds, monotonic
    cpu_time: float | None  # seconds, user + system, of the task's thread or process
    memory: int | None  # peak resident bytes of the worker's process tree while the task ran
    virtual: int | None  # peak virtual bytes
    worker: str  # "host/pid"
    value: Encoded | None
    metrics: tuple[Series, ...]
    artifacts: tuple[str, ...]  # their names, see `layout.artifact_name`
    log: LogSlice | None
    failure: Failure | None
    warnings: str | None = None  # JSON: a list of what `Warned` has, each; None where it warned of nothing
    earlier: tuple[Piece, ...] = ()  # of the attempts before, where this one went on from a checkpoint
    # Digests of other versions of the code, which saved the checkpoint that it went on from; None of most.
    older_codes: tuple[bytes, ...] | None = None
    steps: tuple[bytes, ...] | None = None  # keys of the shared steps that it used; None of most


class TaskRow(NamedTuple):
    """A finished task on its way into the index: what the runner knows plus the outcome."""

    key: bytes  # 16 bytes
    params: str  # readable JSON of the parameters (volatile ones included)
    repeat: int
    code: int  # id of the code version, from `Run.code`
    outcome: Outcome


class Known(NamedTuple):
    """What planning needs of a stored task: one narrow row."""

    key: bytes
    id: int
    status: str
    code: int
    runtime: float


class Attempt(NamedTuple):
    """One finished attempt at a task, as told to people."""

    number: int
    status: str
    started: float
    runtime: float
    cpu_time: float | None
    memory: int | None
    worker: str
    run: int
    failure: Failure | None = None
    log: LogSlice | None = None
    kept: float | None = None  # seconds of it from whose end a later attempt went on; None where none did


class TaskRecord(NamedTuple):
    """Everything that the store knows of one task, except its value's content."""

    id: int
    key: bytes
    experiment: str
    params: str
    settings: str  # readable JSON of the run's settings
    repeat: int
    status: str
    code: int
    run: int
    attempt: int
    started: float
    runtime: float
    cpu_time: float | None
    memory: int | None
    virtual: int | None
    worker: str
    value: Encoded | None  # `data` is filled for inline values
    artifacts: tuple[str, ...]
    log: LogSlice | None  # of the last attempt
    failure: Failure | None
    warnings: tuple[Warned, ...] = ()
    # Where the last attempt went on from a checkpoint: each, that one included.
    pieces: tuple[Attempt, ...] = ()
    steps: tuple[bytes, ...] = ()  # keys of the shared steps that it used, itself or through other steps


class StepRecord(NamedTuple):
    """A shared step as its file says, for whoever reads its value and for people."""

    key: bytes
    value: Encoded
    name: str  # "prepare.load": module and qualified name of what was called
    arguments: str  # "path='x', n=3": as short as people want it, and without secrets
    made: float  # UTC seconds at which it was there
    runtime: float  # seconds
    run: str  # name of the run that computed it
    task: bytes  # key of the task that computed it
    steps: tuple[bytes, ...] = ()  # keys of the steps that it used, itself or through other steps


class CodeVersion(NamedTuple):
    """A version of the code: of an experiment, of a value, or several combined.

    `functions` maps "module:qualname" to (digest, normalized source), so that two versions can be compared.
    """

    digest: bytes
    functions: dict[str, tuple[str, str]]  # with those of its parts, when it is read
    unfollowed: tuple[str, ...] = ()  # what it names and cannot look into
    parts: tuple["CodeVersion", ...] = ()  # versions that it combines; not when it is read
    mixed: bool = False  # of tasks that went on from a checkpoint of another version


class Adoption(NamedTuple):
    """Somebody has accepted a change: results of `code` count as those of `present`."""

    code: int
    present: int
    adopted: float  # UTC seconds
    who: str
    verified: int  # so many results were computed again, and were equal
    results: int  # of so many


class RunInfo(NamedTuple):
    """Who runs what, where, with what: written once when a run begins."""

    experiment: str
    tasks: int  # size of the matrix after exclude
    settings: str  # readable JSON
    matrix_id: str
    host: str
    pid: int
    process_started: str  # what proves that a pid is still this process; see memento.system
    boot_id: str
    argv: tuple[str, ...]
    provenance: dict[str, Any]  # git, packages, python, platform


class RunRecord(NamedTuple):
    """A run as stored."""

    id: int
    info: RunInfo
    started: float
    heartbeat: float
    ended: float | None
    status: str  # "running", "done", "failed", "interrupted", "died"
    counts: dict[str, int]  # done, cached, failed
