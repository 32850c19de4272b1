"""A store that is open: an index of records, and folders with values and what tasks printed and kept.

Knows: the index's contract, the folder's layout, values. May not know: matrices, executors, kinds of indexes.

Records are asked of `Store.index`. Here stands what needs both an index and files: values, logs, setting damaged ones
aside, forgetting, renaming. One folder, one unit, at home wherever it is moved.

Threads: every method may be called from any thread. Long because this is what all who have a store open use.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from memento import layout
from memento.clock import SYSTEM_CLOCK, Clock
from memento.errors import MementoError, PayloadDamaged, StoreError, StoreUnwritable, ValueUnreadable
from memento.index.contract import Index
from memento.store.location import Location, StorePath, located
from memento.store.opening import open_index

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path
    from types import TracebackType

    from memento.index.run_contract import Run
    from memento.index.types import Outlines, Renamed
    from memento.index.versions import Versions
    from memento.records import Attempt, RunInfo, TaskRecord
    from memento.store.activity import Working
    from memento.store.far import Far
    from memento.store.garbage import Collected
    from memento.store.sizes import Sizes
    from memento.values.payloads import PayloadDir


class Store:
    """A store that is open. Use `Store.open`, as a context manager.

    Attributes
    ----------
    index : Index
        Its records.
    location : Location
        Where it is, for who opens it again; as a text, for people.
    root, path : str, Path
        The folder of values, checkpoints and logs.
    missing : str
        Why that folder is not here, where an index in a database can be read without it; else "".
    trusted : bool
        Whether reading a value may unpickle it.
    mmap : bool
        Whether large arrays are served from their mapped files instead of copies.
    far : Far or None
        Where values, checkpoints, artifacts and logs are, where that is an object store.
    drop_far : callable or None
        While a run goes on: told of tasks whose checkpoints there are not needed any more.
    notes : list of str
        What a person should know of the opening, like what could not be saved of a damaged index.
    """

    def __init__(
        self,
        location: Location,
        index: Index,
        *,
        missing: str = "",
        trusted: bool = True,
        mmap: bool = False,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.location, self.root, self.missing = location, location.root, missing
        self.index, self.trusted, self.mmap, self.clock = index, trusted, mmap, clock
        self.notes = index.notes
        self._provenance: dict[int, dict[str, Any]] = {}
        self.far: Far | None = None
        self.drop_far: Callable[[Collection[bytes]], None] | None = None

    @classmethod
    def open(
        cls,
        path: StorePath,
        *,
        create: bool = True,
        trusted: bool = True,
        readonly: bool = False,
        mmap: bool = False,
        clock: Clock = SYSTEM_CLOCK,
    ) -> Store:
        """Open a store, making it where there is none.

        Values are unpickled, which can run code, where it is `trusted`. A `readonly` store is not written to, not even
        when something is damaged, and can be opened while a run writes. With `mmap` large arrays are served from their
        mapped files, verified; what is changed in them stays in this process. Raises `NotAStore`, `StoreTooNew`,
        `StoreUnwritable`, and `StoreDamaged` where an index may not be rebuilt.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with Store.open(folder + "/memento-store") as store:
        ...         store.index.experiments()
        []
        """
        asked = location = located(path)
        create = create and not readonly
        index, root, missing = open_index(location, create=create, readonly=readonly, clock=clock)
        location = location._replace(root=root, is_chosen=True)
        store = cls(location, index, missing=missing, trusted=trusted, mmap=mmap, clock=clock)
        if location.payloads or location.address or os.path.exists(layout.Layout(root).payloads_elsewhere):
            from memento.store.far import find

            try:
                store.far = find(index, location, create=create)
            except BaseException:
                store.close()
                raise
            if store.far is not None:
                # Over a database, a folder is this host's own, and found from there again.
                known = asked if asked.address else location
                store.location = known._replace(payloads=store.far.address)
        return store

    def close(self) -> None:
        """Close the index. Idempotent."""
        self.index.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @cached_property
    def path(self) -> Path:
        """The folder."""
        from pathlib import Path  # 4 ms, which a cached run need not spend

        return Path(self.root)

    @cached_property
    def payloads(self) -> PayloadDir:
        """Where large values stand."""
        from memento.values.payloads import PayloadDir

        if self.missing:
            from memento.store.shared_folder import Missing

            return PayloadDir(Missing(layout.Layout(self.root).payloads, self.missing))
        if self.far is None:
            return PayloadDir(self.path / layout.PAYLOADS)
        from memento.values.choose_place import far_place

        return PayloadDir(far_place(self.far.address, layout.PAYLOADS), self.root)

    def artifact_places(self, record: TaskRecord) -> dict[str, str]:
        """Return where the files are that a task kept, for people: paths, or addresses in an object store."""
        place, key, far = layout.Layout(self.root), record.key.hex(), self.far
        found = {layout.user_name(name): place.artifact(key, name) for name in record.artifacts}
        if far is None:
            return found
        at = len(self.root) + 1
        return {
            name: path if os.path.exists(path) else f"{far.address}/{path[at:].replace(os.sep, '/')}"
            for name, path in found.items()
        }

    def artifacts(self, record: TaskRecord) -> dict[str, str]:
        """Return the paths of the files that a task kept; what is in an object store is brought here first."""
        place, key = layout.Layout(self.root), record.key.hex()
        found = {layout.user_name(name): place.artifact(key, name) for name in record.artifacts}
        if self.far is not None and not all(map(os.path.isfile, found.values())):
            from memento.values.choose_place import far_place
            from memento.values.far_files import bring

            there = far_place(self.far.address, layout.ARTIFACTS)
            for folder in {layout.fenced(key, layout.fence_of(name)) for name in record.artifacts}:
                bring(there, folder, place.artifacts(folder), self.root)
        return found

    def _need_folder(self) -> None:
        """Refuse what would change files that are not here."""
        if self.missing:
            todo = "Do it where they are seen, or name them as payloads= or MEMENTO_PAYLOADS."
            raise StoreUnwritable(str(self.location), self.missing, todo)

    # --- values and logs -------------------------------------------------------------------------------

    def value(self, record: TaskRecord) -> Any:
        """Return what a task returned; None for one that failed.

        Raises `PayloadDamaged`; `UntrustedStore` for a pickle; `ValueUnreadable` where its class or library is missing
        here, or another version; `MissingExtra` where a package is not installed.
        """
        from memento.values.encoding import decode

        if record.value is None:
            return None
        try:
            return decode(record.value, self.payloads, self.trusted, mmap=self.mmap)
        except (MementoError, MemoryError):
            raise
        except Exception as exc:  # unpickling runs anybody's code
            from memento.store.unreadable import here, problem_of

            kind = record.value.type
            writer = self.writer(record.run, kind)
            by = (
                f"was written by {writer}, and here is {here(kind)}"
                if writer
                else f"cannot be read by {here(kind)}"
            )
            raise ValueUnreadable(
                self.root,
                f"the value of task {record.key.hex()[:12]} cannot be loaded: {problem_of(exc)}. It is a {kind}, {by}.",
                "Read it where what it needs is installed and defined; nothing is lost.",
            ) from exc

    def readable(self, record: TaskRecord, most: int = 0) -> tuple[bool, Any]:
        """Return whether a value can be shown without unpickling, and the value as plain data.

        A file of more than `most` bytes is not read.
        """
        from memento.values.encoding import readable

        return (False, None) if record.value is None else readable(record.value, self.payloads, most)

    def outlines(self, ids: Sequence[int], *, values: bool = False) -> Iterator[Outlines]:
        """Yield the same as `Index.outlines`, values loaded; no file is opened.

        A `LargeValue` stands for a value that is a file, an `Unreadable` for one that cannot be loaded.
        """
        if not values:
            yield from self.index.outlines(ids)
            return
        from memento.store.bulk_values import loaded

        for piece in self.index.outlines(ids, values=True):
            yield piece._replace(values=loaded(piece.values, self.payloads, self.trusted))

    def writer(self, run: int, type_name: str) -> str:
        """Name what wrote values of a type in this run: Python, and the type's package; "" where that is not known."""
        from memento.store.unreadable import writer_of

        if run not in self._provenance:
            found = self.index.run(run)
            self._provenance[run] = found.info.provenance if found else {}
        return writer_of(self._provenance[run], type_name)

    def log(self, record: TaskRecord | Attempt) -> bytes:
        """Return what an attempt printed, or all pieces of a task; empty where nothing was kept."""
        pieces = getattr(record, "pieces", ())
        if pieces:
            texts = map(self.log, pieces)
            # What was cut off by an interrupt in the middle of a line does not run into what comes next.
            return b"".join(text if text.endswith(b"\n") else text + b"\n" for text in texts if text)
        if record.log is None:
            return b""
        file, start, end = record.log
        try:
            with open(os.path.join(self.root, layout.LOGS, file), "rb") as stream:
                stream.seek(start)
                return stream.read(max(0, end - start))
        except FileNotFoundError:
            if self.far is None:
                return b""
            from memento.store.far import log_of

            return log_of(self.far, file, start, end)

    def working(self) -> list[Working]:
        """Return the tasks that worker processes of live runs are at just now, with where their output begins."""
        from memento.store.activity import read_activity

        logs = self.path / layout.LOGS
        return [
            entry
            for owner in self.index.living().runs
            for folder in logs.glob(f"*-{owner.pid}-{owner.run:04x}")  # the end of a run's name
            for entry in read_activity(logs, folder.name, owner.run)
        ]

    def versions(self, experiment: str) -> Versions:
        """Return what is known of the versions of an experiment's code."""
        from memento.index.versions import Versions

        return Versions(self.index, experiment)

    # --- writing ---------------------------------------------------------------------------------------

    def begin(self, info: RunInfo, cached: int = 0) -> Run:
        """Note that a run begins, with `cached` of its tasks done already, and return what writes its results."""
        from memento.store.task_folders import drop_states

        self._need_folder()
        self._move_folders()
        return self.index.begin(
            info, cached, self._drop_done if self.far else partial(drop_states, self.root)
        )

    def _drop_done(self, keys: Collection[bytes]) -> None:
        """Have checkpoints removed that are in an object store, by whoever does that beside the run."""
        if self.drop_far is not None:
            self.drop_far(keys)

    def forget(self, keys: Iterable[bytes]) -> int:
        """Remove tasks as if they had never run, and their checkpoints; returns how many there were.

        A task that a run is at just now is computed on, and its result kept. Payload files stay until `gc`: other
        tasks may share them.
        """
        self._need_folder()
        wanted = set(keys)
        count = self.index.forget(wanted)
        self._drop_states(wanted)
        return count

    def retry(
        self,
        keys: Iterable[bytes] | None = None,
        experiment: str | None = None,
        *,
        from_scratch: bool = False,
    ) -> list[TaskRecord]:
        """Let tasks that failed count as not computed yet, and return them as they were; see `Index.retry`.

        `from_scratch` removes their checkpoints too, so that they do not go on from where they failed; and of tasks
        among `keys` that were set back before.
        """
        if from_scratch:
            self._need_folder()
        wanted = None if keys is None else set(keys)
        retried = self.index.retry(wanted, experiment)
        if from_scratch:
            before = {one.key for one in self.index.set_back(experiment)} if wanted else set()
            self._drop_states({record.key for record in retried} | (before & (wanted or set())))
        return retried

    def rename(self, old: str, new: str) -> Renamed:
        """Move an experiment's results to another name, with their artifacts and checkpoints; nothing is run.

        Rows first, in one transaction that also notes which folders must follow; then the folders, one by one. Whoever
        is interrupted in between leaves the notes, and the next run, `gc` or rename moves what is left.
        """
        from memento.store.task_folders import keyed_folders

        self._need_folder()
        self._move_folders()
        keys = keyed_folders(self.root)
        if self.far is not None:
            from memento.store.far import check_owned, keyed_names

            check_owned(self.far)
            keys |= keyed_names(self.far)
        renamed = self.index.rename(old, new, keys)
        self._move_folders()
        return renamed

    def _move_folders(self) -> None:
        moves = self.index.moves()
        if moves:
            from memento.store.task_folders import move_folders

            move_folders(self.root, moves)
            if self.far is not None:
                from memento.store import far

                far.move_folders(self.far, moves)
            self.index.moved(old for old, _ in moves)

    # --- damage and garbage ----------------------------------------------------------------------------

    def discard(self, record: TaskRecord, reason: str, *, gone: bool = False) -> None:
        """Set a damaged value aside, with the reason beside it; its task counts as not done.

        Also in a store that was opened for reading: a value that is known to be wrong may not stay. Nothing
        happens where the task has been computed again meanwhile. `gone` says that a file that is not there is gone for
        all hosts: a disk that they share may show it to this one later.
        """
        if not gone and self._may_be_elsewhere(record.value.ref if record.value is not None else None):
            raise StoreUnwritable(
                str(self.location),
                "its file is not seen from this host, and may be from others.",
                "If it is gone for all of them, `memento verify --repair` has the task computed again.",
            )
        if self.index.readonly:
            with Store.open(self.location, create=False, trusted=self.trusted, clock=self.clock) as writable:
                writable.discard(record, reason, gone=gone)
            return
        if self.index.discard([record.id]) and record.value is not None and record.value.ref is not None:
            what = f"{record.experiment} {record.key.hex()} {record.params}\n{reason}\n"
            self.payloads.set_aside(record.value.ref, what)  # unless a worker has just written it anew

    def _may_be_elsewhere(self, ref: str | None) -> bool:
        """Tell whether a value's file is not there, of a store that several hosts write to."""
        return bool(self.location.address) and ref is not None and not self.payloads.exists(ref)

    def discard_payload(self, ref: str, reason: str) -> None:
        """Set a payload aside that somebody found damaged; the tasks that have it as their value count as not done."""
        try:
            self.payloads.verify(ref)
        except PayloadDamaged:
            if self._may_be_elsewhere(ref):
                return
            for record in self.index.records(self.index.ids_of_file(ref)):
                self.discard(record, reason)

    def sizes(self) -> Sizes:
        """Return how large the store is, and how much of it `gc` would free; only looks at files."""
        from memento.store.sizes import measure

        return measure(self.root)._replace(garbage=self.gc(dry_run=True).size)

    def gc(
        self,
        *,
        dry_run: bool = False,
        damaged: bool = False,
        unfinished: bool = False,
        steps: bool = False,
        superseded: bool = False,
        older_than: float | None = None,
        keep: int | None = None,
        results: bool = False,
    ) -> Collected:
        """Remove what no row names any more; safe beside runs. See `memento.gc`; `older_than` is in seconds."""
        from memento.store import expendable
        from memento.store.garbage import Collector

        self._need_folder()
        if not dry_run:
            self._move_folders()
        if self.far is not None:
            from memento.store.far import bring_step_records, check_owned

            if keep is not None:
                raise StoreError(
                    str(self.location), "gc of `keep` bytes counts a folder's.", "Say older_than."
                )
            check_owned(self.far)
            bring_step_records(self.root, self.far)
        collector = Collector(self.root, self.index, self.clock, self.far)
        collect = partial(collector.collect, unfinished=unfinished)
        before = None if older_than is None else self.clock.now() - older_than
        old, ids = list[bytes](), list[int]()
        if steps:
            old = expendable.old_steps(self.root, before)
        if superseded or (before is not None and not steps):
            ids = expendable.old_results(self.index, superseded=superseded, before=before)
        over = 0
        if keep is not None:
            damaged = True
            from memento.store.sizes import measure

            size = measure(self.root).total
            would = collect(dry_run=True, damaged=damaged, steps=old, results=ids)
            over = size - keep - would.size
            if over > 0:
                gone = expendable.Chosen(would.steps, ids)
                more = expendable.to_free(self.root, self.index, over, gone, results=results)
                old, ids, over = [*old, *more.steps], [*ids, *more.results], over - more.size
        done = collect(dry_run=dry_run, damaged=damaged, steps=old, results=ids)
        done.over = max(over, 0)
        return done

    def _drop_states(self, keys: set[bytes]) -> None:
        """Remove checkpoints, but for those of tasks that a run is at."""
        from memento.store.task_folders import drop_state, states_of

        if self.far is not None:
            from memento.store.far import check_owned

            check_owned(self.far)
        with self.index.exclusive() as living:  # nobody claims them meanwhile
            if self.far is not None:
                from memento.store.far import clear_states

                clear_states(self.far, self.root, keys - living.claimed.keys())
            for folder, fence in states_of(self.root, keys - living.claimed.keys()):
                try:
                    drop_state(folder, fence)
                except FileNotFoundError:
                    continue
                except OSError as error:
                    raise StoreUnwritable(
                        folder, f"the checkpoint cannot be removed ({error.strerror})."
                    ) from error
