"""Name this machine and its operating system; read what the system tells in files.

Knows: Linux, macOS, Windows. May not know: anything of ours.
"""

from __future__ import annotations

import contextlib
import os
import sys
from functools import lru_cache

LINUX = sys.platform.startswith("linux")
MACOS = sys.platform == "darwin"
WINDOWS = sys.platform == "win32"


def read_text(path: str) -> str:
    """Return a file of the system's; "" where it cannot be read. Names in it need not be UTF-8, nor whole."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""


def hostname() -> str:
    """Return this machine's name, for people."""
    if hasattr(os, "uname"):
        return os.uname().nodename
    import platform

    return platform.node()


def person() -> str:
    """Name who runs this process, and where: "ada@node7"."""
    import getpass

    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container may have no names
        user = str(getattr(os, "getuid", lambda: "?")())
    return f"{user}@{hostname()}"


def platform_name() -> str:
    """Return what `platform.platform()` says; on Linux without its import, and without the process that it starts."""
    if LINUX:
        with contextlib.suppress(ValueError, OSError):  # a C library that has no such name
            name = os.uname()
            library = (os.confstr("CS_GNU_LIBC_VERSION") or "").replace(" ", "")
            if library:
                return f"{name.sysname}-{name.release}-{name.machine}-with-{library}"
    import platform

    return platform.platform()


def machine() -> str:
    """Return the kind of this machine's processor."""
    if hasattr(os, "uname"):
        return os.uname().machine
    import platform

    return platform.machine()


@lru_cache(maxsize=1)
def boot_identity() -> str:
    """Name this boot of this machine and its set of process numbers.

    Two processes with the same answer can look each other up by pid; with different answers they cannot
    (another machine, another boot, or a container with process numbers of its own).
    """
    if LINUX:
        boot = read_text("/proc/sys/kernel/random/boot_id").strip()
        try:
            namespace = os.readlink("/proc/self/ns/pid")
        except OSError:
            namespace = ""
        if boot:
            return f"{boot}/{namespace}"
    import psutil

    # A boot's time is computed from the wall clock and moves with it by a little: coarse on purpose.
    return f"{hostname()} {int(psutil.boot_time()) // 60}"
