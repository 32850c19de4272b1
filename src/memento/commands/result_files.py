"""Read what a command has left: its result's file, and the files that are kept with the result.

Knows: files in open formats. May not know: processes, templates.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memento.errors import MatrixError

if TYPE_CHECKING:
    from memento.context.context import Context

Stamp = tuple[int, int, int] | None

_SHOWN = 10  # names of files that an error lists


def _json(path: Path) -> Any:
    import json

    return json.loads(path.read_bytes())


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _csv(path: Path) -> Any:
    import pandas

    return pandas.read_csv(path, sep="\t" if path.suffix.lower() == ".tsv" else ",")


def _parquet(path: Path) -> Any:
    import pandas

    return pandas.read_parquet(path)


def _array(path: Path) -> Any:
    import numpy

    loaded = numpy.load(path, allow_pickle=False)
    return loaded if isinstance(loaded, numpy.ndarray) else dict(loaded)


_READERS = {
    ".json": _json, ".txt": _text, ".csv": _csv, ".tsv": _csv, ".parquet": _parquet, ".npy": _array, ".npz": _array,
}  # fmt: skip


def check_kind(result: str) -> None:
    """Refuse a file of a kind that is not read."""
    suffix = os.path.splitext(result)[1].lower()
    if suffix in _READERS:
        return
    why = (
        ": it may run anything when it is loaded"
        if suffix in (".pkl", ".pickle", ".pt", ".pth", ".joblib")
        else ""
    )
    raise MatrixError(
        "result",
        f"{result!r} is none of the kinds that are read ({', '.join(_READERS)}){why}.",
        "Have the program write one of these; or give a function of the task's folder: result=lambda folder: ...",
    )


def stamp(path: str | os.PathLike[str]) -> Stamp:
    """Return what tells a file from an earlier one in its place; None where there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def read_result(path: Path, before: Stamp, cwd: str) -> Any:
    """Return what a program has written, which ran in `cwd`."""
    now = stamp(path)
    if now is None:
        left = sorted(os.listdir(path.parent)) if path.parent.is_dir() else []
        more = f", and {len(left) - _SHOWN} more" if len(left) > _SHOWN else ""
        what = f"{', '.join(left[:_SHOWN])}{more}" if left else "nothing"
        told = f"it ended well and left no {path.name}; in {path.parent} there is {what}"
        if os.path.exists(os.path.join(cwd, path.name)):
            told += f". One is in the folder in which it ran: have it write {{context.directory}}/{path.name}"
        raise ValueError(told)
    if now == before:
        raise ValueError(f"it ended well and did not write {path}: the file is older than this attempt")
    try:
        return _READERS[path.suffix.lower()](path)
    except ImportError:
        raise
    except Exception as error:  # whatever a reader raises about a file that is cut off
        raise ValueError(f"{path.name} cannot be read: {type(error).__name__}: {error}") from error


def keep_files(context: Context) -> None:
    """Keep the files of the task's folder with its result; whoever computes it again begins with an empty one."""
    folder = context.directory
    for parent, folders, names in os.walk(folder, topdown=False):
        for name in names:
            path = os.path.join(parent, name)
            if os.path.islink(path) or not os.path.isfile(path):
                os.unlink(path)  # what a link leads to is gone from here; in a socket or a pipe is nothing
                continue
            try:
                kept = context.artifact(os.path.relpath(path, folder).replace(os.sep, "/"))
            except ValueError:
                context.logger.warning(
                    f"{path!r} is not kept with the result: other systems could not have this name"
                )
                continue
            os.replace(path, kept)
        for name in folders:
            path = os.path.join(parent, name)
            with contextlib.suppress(OSError):  # something is left in it
                (os.unlink if os.path.islink(path) else os.rmdir)(path)
