"""What writes one run's results into an index, whatever keeps it; `memento.testing.index_contract` tests it.

Knows: records. May not know: SQL, connections, files; values, which are bytes here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from memento.records import CodeVersion, Known, TaskRow

if TYPE_CHECKING:
    from memento.index.declared_values import Declared
    from memento.index.types import Activity, Brought, Claim, Command, Committed, Numbers, OfRuns, Standing


class Run(ABC):
    """The only writer of one run's results. Made by `Index.begin`.

    claim ──> granted ──> (the runner works) ──> commit ──> durable, claim gone
          └─> elsewhere: another live run has it ──> news() brings its row, or waiting() lets go of it
          └─> finished: another run has done it

    Attributes
    ----------
    id : int
        The run's id.
    name : str
        Its name, unique everywhere.
    previous : dict
        Keys that will be computed again -> id of the row that a new result replaces; the plan knows them, and the
        runner sets it before it commits.
    """

    id: int
    name: str
    previous: dict[bytes, int]

    @abstractmethod
    def code(self, version: CodeVersion) -> int:
        """Return the id of a version of the code, adding it when it is new."""

    @abstractmethod
    def mixed_code(self, present: int, older: Sequence[bytes]) -> int:
        """Return the id of the version of a task that `present` ended, from a checkpoint of older ones (digests)."""

    @abstractmethod
    def declare(self, axes: Sequence[Declared], keys: bytes, follows: bool) -> list[Sequence[str]]:
        """Note this run's parameters and the order of its tasks, for whoever loads its results.

        Parameters
        ----------
        axes : sequence of Declared
            The parameters, in the matrix's order.
        keys : bytes
            The tasks' keys, in the matrix's order.
        follows : bool
            Whether that order follows from the order of the values.

        Returns
        -------
        list of sequence of str
            The readable JSON of each value as tasks are to carry it.
        """

    @abstractmethod
    def claim(self, keys: Sequence[bytes]) -> Claim:
        """Take the right to compute tasks, as far as nobody else has it or has done them.

        Give the keys of what workers will do in the next second or so; not the whole grid.
        """

    @abstractmethod
    def commit(
        self, rows: Sequence[TaskRow], failed_attempts: Sequence[tuple[bytes, TaskRow]] = ()
    ) -> Committed:
        """Append outcomes; on return they are durable, and their claims are gone.

        Parameters
        ----------
        rows : sequence of TaskRow
            At most one for each key: how the task ended. A done row is only ever replaced by a done row:
            a failure of a task that was done before is kept as an attempt.
        failed_attempts : sequence of (bytes, TaskRow)
            Attempts that failed and were, or will be, followed by another.
        """

    @abstractmethod
    def bring(self, brought: Brought) -> Numbers:
        """Note what another store tells of this run's experiment, as far as it is new; return what it is called here.

        Runs are the same whose process and start are. Idempotent.
        """

    @abstractmethod
    def absorb(self, rows: OfRuns, attempts: OfRuns, replaced: Collection[int]) -> bool:
        """Append rows that other runs have made, each with that run's id; give back the claims of their tasks.

        False where another run lives, which may have planned with what is replaced: then nothing has changed.

        At most one row for each key; codes are ids of this index, and pieces name their runs by theirs. `attempts` are
        earlier ones at these tasks, `replaced` ids of rows that go for them; failures stay as attempts.
        """

    @abstractmethod
    def release(self, keys: Iterable[bytes]) -> None:
        """Give tasks back, not computed, so that others may take them."""

    @abstractmethod
    def news(self) -> list[Known]:
        """Return what other runs have finished since this was last asked."""

    @abstractmethod
    def waiting(self, keys: Iterable[bytes]) -> list[bytes]:
        """Return those of `keys` that other live runs still have; ask for `news` first."""

    @abstractmethod
    def heartbeat(self) -> None:
        """Renew the lease; write what was told and shown. From any thread."""

    @abstractmethod
    def finish(self, status: str, counts: dict[str, int]) -> None:
        """Note how the run ended ("done", "failed", "interrupted", "died"), and give back all claims. Idempotent."""

    @abstractmethod
    def commands(self) -> list[Command]:
        """Return the commands for this run that were sent since it began and were not returned yet."""

    @abstractmethod
    def answer(self, command: int, text: str, *, undo: str = "", done: bool = True) -> None:
        """Say what was done about a command and how to undo it, or why not; writes what was told and shown, too."""

    @abstractmethod
    def tell(self, kind: str, data: Mapping[str, Any]) -> None:
        """Note that something happened; written with the next commit or heartbeat. From any thread."""

    @abstractmethod
    def show(self, activities: Sequence[Activity], standing: Standing | None = None) -> None:
        """Say what workers are at, and how far the run is; the latest is written with a commit, or soon."""
