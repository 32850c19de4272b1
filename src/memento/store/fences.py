"""Keep attempts apart that may live at the same time: each fence of a task has folders of its own.

Knows: which folders are of which fence. May not know: why a place was lost, what is in a folder.

    checkpoints/<key>     artifacts/<key>     work/<key>       the task, as long as no place of it was lost
    checkpoints/<key>.1   artifacts/<key>.1   work/<key>.1     ... after the first loss

A place that is lost may live on: a node that lost its network computes to the end. Its attempt writes where it did;
the next one has a higher fence, and begins with a copy of what the one before had (`begin`). What the older
attempt writes from then on is in nobody's way, and nobody reads it.

The folder in `checkpoints` is made by whoever gives out a fence, and `mkdir` lets one alone succeed: two runs, or a
run and the next, never give out the same one. It stays, empty, when the task is done: a copy may live even then.
`memento gc` removes it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress

from memento.errors import StoreUnwritable
from memento.layout import FENCE_BEGUN, Layout, fenced, key_and_fence
from memento.store.leftovers import scan

_MOST = 10_000  # fences of one task: whoever meets so many folders has met something else


def highest_fences(store: str) -> dict[bytes, int]:
    """Return the highest fence of each task that has any."""
    highest: dict[bytes, int] = {}
    with suppress(OSError):
        for name in os.listdir(Layout(store).checkpoints):
            key, fence = key_and_fence(name) or ("", 0)
            if fence:
                number = bytes.fromhex(key)
                highest[number] = max(highest.get(number, 0), fence)
    return highest


def newest_state(store: str, key: bytes, highest: Mapping[bytes, int] | None = None) -> str:
    """Return the folder of the checkpoints from which a task would go on; look up `highest_fences` once for many."""
    layout, name = Layout(store), key.hex()
    most = (highest_fences(store) if highest is None else highest).get(key, 0)
    return layout.checkpoint(fenced(name, newest_begun(layout, name, most)))


def newest_begun(layout: Layout, key: str, most: int) -> int:
    """Return the highest fence up to `most` in which an attempt has begun; 0 where there is none."""
    for fence in range(most, 0, -1):
        if os.path.exists(os.path.join(layout.checkpoint(fenced(key, fence)), FENCE_BEGUN)):
            return fence
    return 0


def give_out(store: str, key: str, fence: int) -> int:
    """Give out a task's next fence from this one on, to the caller alone; raises StoreUnwritable."""
    layout = Layout(store)
    for number in range(fence, fence + _MOST):
        path = layout.checkpoint(fenced(key, number))
        try:
            os.makedirs(layout.checkpoints, exist_ok=True)
            os.mkdir(path)
        except FileExistsError:
            continue
        except OSError as error:
            raise StoreUnwritable(path, f"the folder cannot be made ({error.strerror or error}).") from error
        return number
    raise StoreUnwritable(layout.checkpoint(key), f"it has {_MOST:,} fences.", "Run `memento gc`.")


# --- beginning one: a copy of what the attempt before had


def begin(store: str, key: str, fence: int, payloads: str = "") -> None:
    """Copy what the fence before has into this one, once: whole or not at all; raises StoreUnwritable.

    Called by the worker before an attempt, so that its checkpoint, its folder and its artifacts are of one moment: an
    older attempt that lives on changes none of them. Checkpoints first, since they name files of the others.
    `payloads` is where checkpoints and artifacts are that are in an object store.
    """
    layout = Layout(store)
    begun = os.path.join(layout.checkpoint(fenced(key, fence)), FENCE_BEGUN)
    if os.path.exists(begun):
        return
    old, new = fenced(key, newest_begun(layout, key, fence - 1)), fenced(key, fence)
    try:
        os.makedirs(layout.checkpoint(new), exist_ok=True)
        _empty(layout.checkpoint(new))  # itself it stays: it keeps others from giving out this fence
        _copy(store, layout.checkpoint(old), layout.checkpoint(new), _mark)
        for place in (layout.work, layout.artifacts):
            shutil.rmtree(place(new), ignore_errors=True)
            _copy(store, place(old), place(new), _special)
        if payloads:
            from memento.store.far import copy_folders

            copy_folders(payloads, old, new)
        with open(begun, "xb"):
            pass
    except (OSError, shutil.Error) as error:
        why = f"what the attempt before had cannot be copied ({error.strerror or error})."
        raise StoreUnwritable(os.path.dirname(begun), why) from error


def _empty(folder: str) -> None:
    """Remove what a beginning that was cut off has left."""
    for entry in scan(folder):
        shutil.rmtree(entry.path) if entry.is_dir(follow_symlinks=False) else os.unlink(entry.path)


def _copy(store: str, source: str, target: str, ignore: Callable[[str, list[str]], list[str]]) -> None:
    """Copy a folder to where there is none, or an empty one; nothing where there is nothing."""
    if not os.path.isdir(source):
        return
    from memento.store.copying import staged  # with all that copying needs

    with staged(store) as stage:
        try:
            shutil.copytree(source, stage, symlinks=True, copy_function=_copy_file, ignore=ignore)
        except FileNotFoundError:  # all of it went meanwhile
            return
        except shutil.Error as error:
            if any(os.path.lexists(path) for path, _, _ in error.args[0]):
                raise  # else the older attempt has removed it meanwhile
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.replace(stage, target)


def _copy_file(source: str, target: str) -> str:
    """Copy a file with its times and its mode; durable on return, as the one that is copied may have been."""
    shutil.copy2(source, target, follow_symlinks=False)
    if not os.path.islink(target):
        with open(target, "rb") as file:
            os.fsync(file.fileno())
    return target


def _mark(_: str, names: list[str]) -> list[str]:
    """Leave out the mark of the fence before."""
    return [name for name in names if name == FENCE_BEGUN]


def _special(folder: str, names: list[str]) -> list[str]:
    """Leave out pipes and sockets, on which copying would wait."""
    paths = [os.path.join(folder, name) for name in names]
    plain = [os.path.islink(path) or os.path.isfile(path) or os.path.isdir(path) for path in paths]
    return [name for name, is_plain in zip(names, plain, strict=True) if not is_plain]
