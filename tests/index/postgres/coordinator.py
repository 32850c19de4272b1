"""A coordinator without executors, as a process of its own: it claims tasks of one grid, "computes" and commits them.

python -m tests.index.postgres.coordinator ADDRESS JOURNAL TASKS BATCH

The journal, which all share, has a line for each coordinator that has opened the store ("opened PID"), for each task
that is computed ("computed N") and for each that was told as durable ("told N"). It ends when all tasks are done.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from random import Random
from time import sleep

from memento.clock import SYSTEM_CLOCK
from memento.errors import StoreError
from memento.index.postgres.postgres_index import PostgresIndex
from memento.records import DONE
from memento.testing.index_rows import EXPERIMENT, info_of, key_of, row_of


def main(address: str, path: str, tasks: int, batch: int) -> None:
    """Do what is left of the grid."""
    journal = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)

    def note(what: str, keys: Sequence[bytes]) -> None:
        os.write(journal, "".join(f"{what} {int.from_bytes(key[:2], 'big')}\n" for key in keys).encode())

    with PostgresIndex.open(address, create=True, readonly=False, clock=SYSTEM_CLOCK) as index:
        os.write(journal, f"opened {os.getpid()}\n".encode())
        done = {known.key for known in index.known(EXPERIMENT) if known.status == DONE}
        todo = [key for key in map(key_of, range(tasks)) if key not in done]
        Random(os.getpid()).shuffle(todo)
        run = index.begin(info_of())
        while todo:
            claim = run.claim(todo[:batch])
            note("computed", claim.granted)
            rows = [row_of(int.from_bytes(key[:2], "big")) for key in claim.granted]
            if rows:
                committed = run.commit(rows)
                note("told", list(committed.ids))
            with suppress(StoreError):  # as the thread that beats does
                run.heartbeat()
            over = {*claim.granted, *(known.key for known in [*claim.finished, *run.news()])}
            todo = [key for key in todo if key not in over]
            if claim.elsewhere:
                sleep(0.01)
                todo.sort(key=set(claim.elsewhere).__contains__)
        run.finish("done", {})


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
