"""Checkpoints of a running task: two generations, each whole or not there.

Knows: files, pickles of the store. May not know: tasks, contexts, the index.

``checkpoints/<key>/<number>.checkpoint``: 64 bytes of head (magic, digest), then a framed pickle. A new one is
written beside the others under a temporary name, made durable and renamed; only then the one before the last goes.
Crash at any line: the newest whole file is what is read; a torn one fails its digest and the older one serves.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from pathlib import Path
from typing import Any

from memento.errors import MementoError, PayloadDamaged, UnsavableResult
from memento.store import keeping
from memento.store.digests import digest
from memento.store.formats import framed, read_framed
from memento.store.payloads import PayloadDir, flat, read_whole, write_file

log = logging.getLogger("memento.store")

_MAGIC = b"memento checkpt1"
_HEAD = 64  # a multiple of what arrays are aligned to
_KEEP = 2


class CheckpointDir:
    """The checkpoints of one task.

    Parameters
    ----------
    root : str or Path
        The store's folder.
    key : str
        The task's key in hex.

    Examples
    --------
    >>> checkpoints = CheckpointDir("store", "0f" * 16)
    >>> checkpoints.save(({"epoch": 3},), {})
    >>> checkpoints.load()
    (({'epoch': 3},), {})
    """

    def __init__(self, root: str | os.PathLike[str], key: str) -> None:
        self.folder = Path(root) / "checkpoints" / key
        self._payloads = PayloadDir(Path(root) / "payloads")

    def save(self, state: tuple[Any, ...], extra: dict[str, Any]) -> None:
        """Save a state, durable on return; until then the one before stays.

        Parameters
        ----------
        state : tuple
            What the task gave.
        extra : dict
            What the context keeps beside it.

        Raises
        ------
        UnsavableResult
            A part cannot be pickled; names it.
        StoreUnwritable
            The file cannot be written.
        """
        try:
            parts = framed(keeping.dumps_value((state, extra)), self._payloads)
        except MementoError:
            raise
        except Exception as exc:
            raise UnsavableResult(keeping.explain(state, exc, "the checkpoint")) from exc
        head = (_MAGIC + digest(parts)).ljust(_HEAD, b"\0")
        numbers = self._numbers()
        write_file(self._file(max(numbers, default=0) + 1), [flat(head), *parts])
        for number in sorted(numbers)[: -(_KEEP - 1)]:
            self._file(number).unlink(missing_ok=True)

    def load(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the newest whole state and its extra.

        Raises
        ------
        KeyError
            There is none.
        PayloadDamaged
            There are some, and none is whole.
        """
        numbers = sorted(self._numbers(), reverse=True)
        if not numbers:
            raise KeyError("there is no checkpoint of this task; ask context.checkpoint_exist() first")
        for number in numbers:
            content = self._whole(number)
            if content is not None:
                state, extra = read_framed(content, self._payloads)[0]
                return state, extra
            log.warning("a damaged checkpoint was passed over", extra={"file": str(self._file(number))})
        raise PayloadDamaged(str(self.folder), "no checkpoint of this task is whole.", "Delete the folder to start over.")

    def exists(self) -> bool:
        """Say whether there is a checkpoint that can be read."""
        return any(self._whole(number) is not None for number in sorted(self._numbers(), reverse=True))

    def drop(self) -> None:
        """Remove all checkpoints of the task."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _numbers(self) -> list[int]:
        numbers = []
        with contextlib.suppress(FileNotFoundError):
            for entry in os.scandir(self.folder):
                stem, dot, suffix = entry.name.partition(".")
                if dot and suffix == "checkpoint" and stem.isdigit():
                    numbers.append(int(stem))
        return numbers

    def _file(self, number: int) -> Path:
        return self.folder / f"{number}.checkpoint"

    def _whole(self, number: int) -> memoryview | None:
        """Return a file's content after its head, or None where it is not what was written."""
        try:
            content = read_whole(self._file(number))
        except OSError:
            return None
        head, body = bytes(content[:_HEAD]), content[_HEAD:]
        whole = head.startswith(_MAGIC) and head[len(_MAGIC) :][:16] == digest([body])
        return body if whole else None
