"""Write a file so that it is there whole or not at all.

Knows: files. May not know: what is written.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from memento import system
from memento.errors import MementoError


class OutputError(MementoError):
    """A file cannot be written, for the reason that is said."""


@contextmanager
def whole_file(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """Give the path of a file to write, which takes its place when the block ends; after an error there is none.

    Raises
    ------
    OutputError
        There is something already that may not be replaced, or no folder to write to.
    """
    check_free(path, replace=replace)
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:100]}-", dir=path.parent)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}.") from error
    os.close(descriptor)
    written = Path(name)
    try:
        yield written
        with open(written, "rb") as stream:
            os.fsync(stream.fileno())
        # As any other new file; a temporary one is for its owner alone.
        written.chmod(0o666 & ~system.umask())
        check_free(path, replace=replace)
        os.replace(written, path)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}.") from error
    finally:
        with suppress(OSError):
            written.unlink()


def check_free(path: Path, *, replace: bool) -> None:
    """Raise `OutputError` where something stands at a path that is not to be replaced, or no folder is there for it."""
    if path.is_dir():
        raise OutputError(f"{path} is a folder: name a file.")
    if not path.parent.is_dir():
        raise OutputError(f"there is no folder {path.parent} to write {path.name} to.")
    if path.exists() and not replace:
        raise OutputError(f"{path} is there already. Give --force to replace it, or another name.")
