"""Name the folders and files of a store; no other file spells them.

Knows: names. May not know: what is in a file, whether it is there.

    index.sqlite                   every task, run and metric            .gitignore    "*"
    payloads/3f/3fa9....npy        values                                payloads/classes/   definitions of scripts
    checkpoints/<key>/a.checkpoint   what a task has so far; checkpoints/<key>/loops/ of its loops
    logs/<run>/                    what tasks printed; logs/<run>/now shows who is at work
    artifacts/<key>/               files that tasks keep                 work/<key>/   a task's own folder
    steps/                         values of shared steps                steps/keys/   which value a step has
    steps/files/<key>/             files that a step keeps               steps/work/<key>/   what a step has so far
    payloads/damaged/, *.damaged   set aside                         payloads/.writing/   half-written files

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
IGNORED = ".gitignore"

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
GENERATIONS = ("a.checkpoint", "b.checkpoint")  # a task's checkpoints
LOOPS = "loops"  # in a task's checkpoints: those of its loops
STEP_KEYS = "keys"  # in steps: which value a step has
STEP_FILES = "files"  # in steps: folders of steps' own, kept as long as the step
STEP_FAILURES = "failed"  # in steps: what has failed in the run that was the last to try it
STEP_WORK = "work"  # in steps: checkpoints of steps that are being computed
BOARD = "now"  # in a run's logs
OUTCOMES = "outcomes"  # in a run's folder in work: what its workers have left for whoever comes next
OUTLIVES = "outlives"  # in a run's folder in work: says that its workers may go on without it
SHARED_VALUES = "values"  # in a run's folder in work: what its workers map, where that is not in memory
SHARED_VALUES_HANDED = "values.handed"  # ... where jobs that outlive the run map it
HANDED = "work.pickle"  # in a run's folder in work: what it hands to the processes of a pool


class Layout(NamedTuple):
    """The paths in one store."""

    root: str  # the store's folder

    @property
    def payloads(self) -> str:
        """Values that are files."""
        return os.path.join(self.root, PAYLOADS)

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

    def work(self, name: str) -> str:
        """Folder of a task's own (`name` is its key), or of what a run hands to the processes of a pool."""
        return os.path.join(self.root, WORK, name)

    def log(self, name: str) -> str:
        """Folder of a run's logs, or a file in it."""
        return os.path.join(self.root, LOGS, name)
