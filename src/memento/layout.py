"""Name the folders and files of a store; no other file spells them.

Knows: names. May not know: what is in a file, whether it is there.

    index.sqlite                   every task, run and metric            .gitignore    "*"
    index.address                  in its place: which database has them, and which folder this is
    payloads/3f/3fa9....npy        values                                payloads/classes/   definitions of scripts
    checkpoints/<key>/a.checkpoint   what a task has so far; checkpoints/<key>/loops/ of its loops
    logs/<run>/                    what tasks printed; logs/<run>/now shows who is at work
    artifacts/<key>/               files that tasks keep                 work/<key>/   a task's own folder
    steps/                         values of shared steps                steps/keys/   which value a step has
    payloads.address               says that all of the following but folders is in an object store, and where
    steps/files/<key>/             files that a step keeps               steps/work/<key>/   what a step has so far
    payloads/damaged/, *.damaged   set aside                         payloads/.writing/   half-written files
    checkpoints/<key>.2/, artifacts/<key>.2/, work/<key>.2/   the same of a task that lost its place twice

Paths are texts: `pathlib` takes longer to import than a small run needs for the rest of its values.
"""

from __future__ import annotations

import os
from typing import NamedTuple

INDEX = "index.sqlite"
INDEX_SUSPECT = "index.suspect"  # says that the index looked damaged
INDEX_REBUILT = "index.rebuilt.sqlite"  # rebuilt, and not in its place yet
INDEX_SALVAGED = "index.salvaged-"  # then who rebuilds
INDEX_DAMAGED = "index.damaged-"  # then a number
INDEX_ELSEWHERE = "index.address"  # says that the index is in a database, and which folder this is
IGNORED = ".gitignore"
PAYLOADS_ELSEWHERE = "payloads.address"  # says that values are in an object store, and which store's they are
FAR_STATES = "elsewhere"  # in a task's checkpoints: says that there may be some in an object store
FAR_MARK = "memento-store.json"  # there: the same

PAYLOADS = "payloads"
CHECKPOINTS = "checkpoints"
LOGS = "logs"
ARTIFACTS = "artifacts"
WORK = "work"
STEPS = "steps"
FOLDERS = (PAYLOADS, CHECKPOINTS, LOGS, ARTIFACTS, WORK, STEPS)

DEFINITIONS = "classes"  # in payloads: what values need of scripts
QUARANTINE = "damaged"  # in payloads: files that were set aside
SET_ASIDE = ".damaged"  # at the end of a checkpoint's name that was set aside
WRITING = ".writing"  # in a place of values: files that are being written, each named by its writer
FENCE_BEGUN = "begun"  # in the checkpoints of a fence: it has all that it takes over from the fence before
GENERATIONS = ("a.checkpoint", "b.checkpoint")  # a task's checkpoints
LOOPS = "loops"  # in a task's checkpoints: those of its loops
STEP_KEYS = "keys"  # in steps: which value a step has
STEP_FILES = "files"  # in steps: folders of steps' own, kept as long as the step
STEP_FAILURES = "failed"  # in steps: what has failed in the run that was the last to try it
STEP_LEASES = "leases"  # in steps, in an object store: which host computes one
STEP_WORK = "work"  # in steps: checkpoints of steps that are being computed
BOARD = "now"  # in a run's logs
OUTCOMES = "outcomes"  # in a run's folder in work: what its workers have left for whoever comes next
PILOTS = "pilots"  # in a run's folder in work: a folder for each pilot, in which it and its coordinator speak
OUTLIVES = "outlives"  # in a run's folder in work: says that its workers may go on without it
SHARED_VALUES = "values"  # in a run's folder in work: what its workers map, where that is not in memory
SHARED_VALUES_HANDED = "values.handed"  # ... where jobs that outlive the run map it
SNAPSHOT = "code.texts"  # in a run's folder in work: the user's code as it was when the run began
HANDED = "work.pickle"  # in a run's folder in work: what it hands to the processes of a pool


class Layout(NamedTuple):
    """The paths in one store."""

    root: str  # the store's folder

    @property
    def payloads(self) -> str:
        """Values that are files."""
        return os.path.join(self.root, PAYLOADS)

    @property
    def payloads_elsewhere(self) -> str:
        """The file that says where values are, if they are in an object store."""
        return os.path.join(self.root, PAYLOADS_ELSEWHERE)

    @property
    def checkpoints(self) -> str:
        """What unfinished tasks have so far."""
        return os.path.join(self.root, CHECKPOINTS)

    @property
    def steps(self) -> str:
        """Values of steps that tasks share."""
        return os.path.join(self.root, STEPS)

    @property
    def step_keys(self) -> str:
        """Which value each step has."""
        return os.path.join(self.root, STEPS, STEP_KEYS)

    @property
    def step_work(self) -> str:
        """What steps that are being computed go on from."""
        return os.path.join(self.root, STEPS, STEP_WORK)

    @property
    def step_failures(self) -> str:
        """What has failed in the runs that were the last to try steps."""
        return os.path.join(self.root, STEPS, STEP_FAILURES)

    def step_files(self, key: str) -> str:
        """Folder of a step's own."""
        return os.path.join(self.root, STEPS, STEP_FILES, key)

    def checkpoint(self, key: str) -> str:
        """Folder of a task's checkpoints."""
        return os.path.join(self.root, CHECKPOINTS, key)

    def artifacts(self, key: str) -> str:
        """Folder of the files that a task keeps."""
        return os.path.join(self.root, ARTIFACTS, key)

    def artifact(self, key: str, name: str) -> str:
        """A file that a task keeps, by its name in the task's row."""
        fence, name = _split(name)
        return os.path.join(self.root, ARTIFACTS, fenced(key, fence), name)

    def work(self, name: str) -> str:
        """Folder of a task's own (`name` is its key), or of what a run hands to the processes of a pool."""
        return os.path.join(self.root, WORK, name)

    def log(self, name: str) -> str:
        """Folder of a run's logs, or a file in it."""
        return os.path.join(self.root, LOGS, name)


_HEX = frozenset("0123456789abcdef")


def is_key(name: str) -> bool:
    """Tell whether a name is that of a task or a step, in hexadecimal."""
    return len(name) == 32 and not set(name) - _HEX


def fenced(key: str, fence: int) -> str:
    """Name the folders of a task from one loss of its place to the next.

    An attempt whose place was lost may live on: it and its successor must not write into one folder.

    >>> fenced("00ff", 0), fenced("00ff", 2)
    ('00ff', '00ff.2')
    """
    return f"{key}.{fence}" if fence else key


def key_and_fence(name: str) -> tuple[str, int] | None:
    """Read what `fenced` has named; None where a name is none of a task's folder.

    >>> key_and_fence("00112233445566778899aabbccddeeff.2")
    ('00112233445566778899aabbccddeeff', 2)
    >>> key_and_fence("00112233445566778899aabbccddeeff.02") is None
    True
    """
    key, dot, number = name.partition(".")
    if not is_key(key):
        return None
    if not dot:
        return key, 0
    return (key, int(number)) if _is_number(number) and number[0] != "0" else None


def artifact_name(name: str, fence: int) -> str:
    """Name an artifact in its task's row; no user's name can be read as that of a fence.

    >>> artifact_name("plots/roc.png", 0), artifact_name("plots/roc.png", 2)
    ('plots/roc.png', '2:/plots/roc.png')
    """
    return f"{fence}:/{name}" if fence else name


def fence_of(name: str) -> int:
    """Return the fence in whose folder the artifact of this name in a row lies.

    >>> fence_of("plots/roc.png"), fence_of("2:/plots/roc.png")
    (0, 2)
    """
    return _split(name)[0]


def user_name(name: str) -> str:
    """Return what a task has called the artifact of this name in its row.

    >>> user_name("2:/plots/roc.png"), user_name("a:b/c")
    ('plots/roc.png', 'a:b/c')
    """
    return _split(name)[1]


def _split(name: str) -> tuple[int, str]:
    number, mark, rest = name.partition(":/")
    return (int(number), rest) if mark and _is_number(number) else (0, name)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10
