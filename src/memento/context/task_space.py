"""What a worker gives to a task's context: its place in the store, its resources, its channels.

Knows: plain values and two callbacks. May not know: files, pickles, executors.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from memento.clock import SYSTEM_CLOCK, Clock
from memento.records import Piece

if TYPE_CHECKING:
    from memento.context.seeding import Seeding

Live = Callable[..., None]


class StopTask(BaseException):
    """The task was asked to stop and has saved its state; nothing is wrong with it.

    Not an `Exception`, so that an experiment's own ``except Exception`` does not swallow it.
    """


def never_stopping() -> bool:
    """Nobody asks this task to stop."""
    return False


def nothing(seconds: float) -> None:
    """Nobody counts this task's time."""


class Resources(NamedTuple):
    """What a task may use.

    Parameters
    ----------
    cpus : int
        Cores; thread pools of BLAS and OpenMP are limited to as many.
    gpus : tuple of str
        Devices that this task owns, as they stand in ``CUDA_VISIBLE_DEVICES``; to a library the first is number 0.
    memory_limit : int or None
        Bytes, where a limit was set.
    gpu_memory : int or None
        Bytes of each of its devices that are its share; None where that is not known.

    Examples
    --------
    >>> Resources(cpus=2).gpus
    ()
    """

    cpus: int = 1
    gpus: tuple[str, ...] = ()
    memory_limit: int | None = None
    gpu_memory: int | None = None


class TaskSpace(NamedTuple):
    """Where one attempt at one task works, and whom it tells; a tuple, for one is made for every task.

    `live` is called from the task's own thread, at most once each `live_every` seconds.
    """

    store: str  # absolute path of the store's folder
    run: str  # name of the run
    key: bytes
    attempt: int = 1
    resources: Resources = Resources()
    # live(done, total, metrics), and what it is at where that is more than its own work
    live: Live | None = None
    stopping: Callable[[], bool] = never_stopping
    live_every: float = 0.5  # seconds
    clock: Clock = SYSTEM_CLOCK
    inline_limit: int = 16_384  # bytes; larger values of `cached` steps are files
    so_far: Callable[[], Piece] | None = None  # what this attempt has done, for a checkpoint to tell
    codes: tuple[bytes, ...] = ()  # digest of the task's version of the code, and of others that count as it
    on_code_change: str = "ignore"  # what becomes of checkpoints that another version saved
    repeat: int = 0
    seeding: "Seeding | None" = None  # the generators that the process' tasks draw from
    fence: int = 0  # which of the task's folders are this attempt's: `memento.store.fences`
    waited: Callable[[float], None] = nothing  # told of seconds in which the task only waited for another one
    # Address of the object store with values, checkpoints, artifacts; "": the store's folder.
    payloads: str = ""
