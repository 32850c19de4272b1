"""Power that fails at any call of the system: what was told as durable is whole, whatever the disk had not got yet.

A stand-in for `os` and `fsync_folder` remembers what was made durable; after the cut a folder is built anew from that,
with anything that was not durable there, gone, or torn, as a seed decides. SQLite is trusted with `synchronous=FULL`.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memento import system
from memento.store.store import Store
from memento.values import places
from memento.values.checkpoints import CheckpointDir
from memento.values.encoding import decode, encode
from memento.values.payloads import PayloadDir


class PowerCut(BaseException):
    """The power is gone."""


class Disk:
    """What `os` is to the store's files, on a disk that forgets what was not fsynced."""

    def __init__(self, last: int = -1) -> None:
        self.calls, self.last = 0, last
        self.content: dict[int, bytes] = {}  # inode -> durable content
        self.names: dict[str, dict[str, int]] = {}  # folder -> durable names -> inode

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def _pass(self) -> None:
        self.calls += 1
        if self.calls == self.last:
            raise PowerCut

    def open(self, path: Any, flags: int, mode: int = 0o777) -> int:
        self._pass()
        return os.open(path, flags, mode)

    def write(self, descriptor: int, data: Any) -> int:
        self._pass()
        return os.write(descriptor, data[: max(1, len(data) // 2)])  # in pieces, so that a cut tears it

    def ftruncate(self, descriptor: int, size: int) -> None:
        self._pass()
        os.ftruncate(descriptor, size)

    def replace(self, old: Any, new: Any) -> None:
        self._pass()
        os.replace(old, new)

    def fsync(self, descriptor: int) -> None:
        self._pass()
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        self.content[os.fstat(descriptor).st_ino] = Path(path).read_bytes()

    def fsync_folder(self, path: str | Path) -> None:
        self._pass()
        self.names[os.path.abspath(path)] = {entry.name: entry.inode() for entry in os.scandir(path)}

    def after_the_cut(self, root: Path, target: Path, draw: random.Random) -> None:
        """Build what a machine finds when it starts again."""
        there = {path.stat().st_ino: path for path in [root, *root.rglob("*")]}
        target.mkdir()
        durable = self.names.get(str(root), {})
        now = {entry.name: entry.inode() for entry in os.scandir(root)}
        for name in sorted({*durable, *now}):
            inode = durable.get(name)
            if inode != now.get(name) and draw.random() < 0.5:
                inode = now.get(name)  # it reached the disk though nobody had asked
            if inode is None or inode not in there:
                continue
            source = there[inode]
            if source.is_dir():
                self.after_the_cut(source, target / name, draw)
            else:
                (target / name).write_bytes(self._survived(inode, source, draw))

    def _survived(self, inode: int, source: Path, draw: random.Random) -> bytes:
        old, new = self.content.get(inode, b""), source.read_bytes()
        if old == new:
            return new
        pages = range(0, max(len(old), len(new)), 512)
        mixed = b"".join((draw.choice([old, new]))[page : page + 512] for page in pages)
        return draw.choice([old, new, mixed, mixed[: draw.randrange(len(mixed) + 1)]])


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    def made(last: int) -> Disk:
        disk = Disk(last)
        monkeypatch.setattr(places, "os", disk)
        monkeypatch.setattr(places, "fsync_folder", disk.fsync_folder)
        monkeypatch.setattr(system, "fsync_folder", disk.fsync_folder)
        return disk

    yield made
    monkeypatch.undo()


SEEDS = 3
pytestmark = pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="names of descriptors are not to be had"
)


@pytest.mark.slow
def test_payloads_that_were_told_as_written_are_whole_after_a_power_cut(disk: Any, tmp_path: Path) -> None:
    """The index refers to a payload only after `encode` has returned."""
    last, cuts = 1, 0
    while True:
        root = tmp_path / f"{last}"
        root.mkdir()
        current: Disk = disk(last)
        kept: list[Any] = []
        cut = False
        try:
            with Store.open(root / "store") as store:
                payloads = PayloadDir(root / "store" / "payloads")
                for value in (np.arange(3_000), "text " * 5_000, (1, np.ones(3_000)), np.arange(3_000)):
                    kept.append((encode(value, payloads), value))
                del store
        except PowerCut:
            cut = True
        current.last = -1
        for seed in range(SEEDS):
            after = tmp_path / f"{last}-{seed}"
            current.after_the_cut(root, after, random.Random(seed))
            for encoded, value in kept:
                found = decode(encoded, PayloadDir(after / "store" / "payloads"))
                np.testing.assert_equal(found, value, err_msg=f"cut at call {last}, seed {seed}")
        if not cut:
            break
        cuts += 1
        last += 1
    assert cuts > 20


@pytest.mark.slow
@pytest.mark.parametrize("key", ["00ff", "00ff/loops"])
def test_a_checkpoint_that_was_told_as_saved_or_a_later_one_is_whole_after_a_power_cut(
    disk: Any, key: str, tmp_path: Path
) -> None:
    last, cuts = 1, 0
    while True:
        root = tmp_path / f"{last}"
        root.mkdir()
        current: Disk = disk(last)
        saved, cut = 0, False
        try:
            with Store.open(root / "store"):
                for step in range(1, 7):
                    # A new process now and then, which knows nothing of what the last one made durable.
                    if step % 2:
                        place = CheckpointDir(root / "store" / "checkpoints", key)
                    place.save((step, np.full(300 * step % 700, step)))
                    saved = step
        except PowerCut:
            cut = True
        current.last = -1
        for seed in range(SEEDS):
            after = tmp_path / f"{last}-{seed}"
            current.after_the_cut(root, after, random.Random(seed))
            again = CheckpointDir(after / "store" / "checkpoints", key)
            if saved:
                (step, array), _ = again.load()
                assert step in (saved, saved + 1), (last, seed)
                np.testing.assert_equal(array, np.full(300 * step % 700, step))
            else:
                again.exists()  # none or the first one; nothing is raised
            if seed == 0:
                again.save((99,))
                assert again.load() == ((99,), {})
        if not cut:
            break
        cuts += 1
        last += 1
    assert cuts > 30


def test_the_disk_of_these_tests_does_forget(disk: Any, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    current: Disk = disk(-1)
    (root / "file").write_bytes(b"never fsynced " * 100)
    found = set()
    for seed in range(20):
        current.after_the_cut(root, tmp_path / str(seed), random.Random(seed))
        path = tmp_path / str(seed) / "file"
        found.add(path.read_bytes() if path.exists() else None)
    assert len(found) > 2
    assert None in found
