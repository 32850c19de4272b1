"""A disk as a host sees it that shares it with others: what it is told of a file is old for a while, and slow.

Knows: libfuse, the folder behind it. May not know: Memento.

    python -m tests.faults.shared_disk FOLDER MOUNT ORDERS STALE DELAY

As `fuse_disk`; besides, the kernel believes for STALE seconds what it was told of a file: that it is not there, how
long it is; and each operation takes DELAY seconds. Two of these over one folder are two hosts of one share.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import mfusepy

from tests.faults.fuse_disk import FailingDisk


class SharedDisk(FailingDisk):
    """Answers late."""

    def __init__(self, folder: str, orders: str, delay: float) -> None:
        super().__init__(folder, orders)
        self._delay = delay

    def __call__(self, operation: str, *arguments: Any) -> Any:
        time.sleep(self._delay)
        return super().__call__(operation, *arguments)


if __name__ == "__main__":
    FOLDER, MOUNT, ORDERS, STALE, DELAY = sys.argv[1:]
    age = float(STALE)
    times = {"attr_timeout": age, "entry_timeout": age, "negative_timeout": age, "ac_attr_timeout": age}
    mfusepy.FUSE(SharedDisk(FOLDER, ORDERS, float(DELAY)), MOUNT, foreground=True, nothreads=False, **times)
