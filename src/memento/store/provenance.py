"""Gather what a run's results came from: code state, packages, machine, arguments.

Knows: git, installed packages, the interpreter. May not know: the index, tasks.

Quick and harmless: git is asked with a short time limit and may not run hooks, ask for passwords or take locks.
What cannot be learned is left out. Nothing secret is kept: arguments and the environment are redacted.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from memento import system

if TYPE_CHECKING:
    from subprocess import Popen

GIT_SECONDS = 5.0
DIFF_LIMIT = 1_000_000  # bytes; a longer diff is cut, and says so
HIDDEN = "***"

# Settings that change numbers without changing code: hash order, threads, devices, determinism switches.
_TELLING = (
    "PYTHONHASHSEED",
    "CUDA_VISIBLE_DEVICES",
    "CUBLAS_WORKSPACE_CONFIG",
    "TF_DETERMINISTIC_OPS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "MKL_CBWR",
    "SLURM_JOB_ID",
)
_QUESTIONS = (
    ("rev-parse", "--show-toplevel", "HEAD", "--abbrev-ref", "HEAD"),
    ("diff", "HEAD", "--no-ext-diff", "--no-textconv", "--no-color"),
    ("ls-files", "--others", "--exclude-standard", "-z"),
    ("config", "--get", "remote.origin.url"),
)
_SECRET = (
    r"(?i)pass(word|wd|phrase)?$|pwd$|secret|token|api[-_]?key|access[-_]?key|private[-_]?key|credential|(^|[-_.])auth$"
    r"|(^|[-_.])key$"
)
_DATABASE = r"postgres[a-z0-9+]*:/\S+"
_URL_CREDENTIALS = r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)[^/@\s]+@"


def gather(cwd: str | os.PathLike[str], env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return what is known of the code, packages and machine, as plain JSON values."""
    environment = os.environ if env is None else env
    return {
        "git": git_state(cwd),
        "packages": packages(),
        "python": sys.version,
        "executable": sys.executable,
        "command": redact(sys.orig_argv),
        "platform": system.platform_name(),
        "machine": system.machine(),
        "cpus": os.cpu_count(),
        "cwd": os.fspath(cwd),
        "environment": {name: value for name in _TELLING if (value := environment.get(name)) is not None},
    }


def git_state(cwd: str | os.PathLike[str]) -> dict[str, Any] | None:
    """Return commit, branch and uncommitted changes of the repository around a folder; None where there is none.

    Files that git does not track are named, not read: data may lie beside the code.
    """
    if not _may_have_repository(cwd):
        return None
    # All at once, for the run waits for the answers.
    asked = [_ask(cwd, *question) for question in _QUESTIONS]
    head, diff, untracked, remote = map(_answer, asked, (65_536, DIFF_LIMIT + 1, 100_000, 65_536))
    parts = (head or b"").decode("utf-8", "replace").splitlines()
    if len(parts) != 3:
        return None
    names = [name.decode("utf-8", "replace") for name in (untracked or b"").split(b"\0") if name]
    return {
        "root": parts[0],
        "commit": parts[1],
        "branch": parts[2],
        "remote": None if remote is None else redact_urls(remote.decode("utf-8", "replace").strip()),
        "dirty": None if diff is None else bool(diff),
        "diff": "" if diff is None else redact_urls(_cut(diff)),
        "untracked": names[:100],
    }


def _may_have_repository(cwd: str | os.PathLike[str]) -> bool:
    """Look for what makes a folder a repository before git is started to say that there is none."""
    if "GIT_DIR" in os.environ:
        return True
    folder, below = os.path.realpath(cwd), ""
    while folder != below:
        if os.path.exists(os.path.join(folder, ".git")):
            return True
        folder, below = os.path.dirname(folder), folder
    return False


@lru_cache(maxsize=1)
def packages() -> dict[str, str]:
    """Return the installed distributions and their versions; read once a process.

    Taken from the names of the installed folders (PEP 376, PEP 427): reading each one's metadata costs a run
    a quarter of a second in an environment of a hundred packages.
    """
    found: dict[str, str] = {}
    for folder in sys.path:
        try:
            names = os.listdir(folder or ".")
        except OSError:  # sys.path names what is not there, and archives
            continue
        for entry in names:
            stem, dot, suffix = entry.rpartition(".")
            if dot and suffix in ("dist-info", "egg-info"):
                name, _, version = stem.partition("-")
                found.setdefault(name.replace("_", "-"), version.partition("-py")[0])
    return dict(sorted(found.items(), key=lambda pair: pair[0].lower()))


def redact(argv: Iterable[str]) -> list[str]:
    """Return command-line arguments without what looks like a secret.

    >>> redact(["run.py", "--api-key=abc", "--password", "hunter2", "--lr", "0.1", "https://me:pw@host/x"])
    ['run.py', '--api-key=***', '--password', '***', '--lr', '0.1', 'https://***@host/x']
    >>> redact(["--store=postgresql://ada:pw@host/grid", "postgresql://ada@host/grid"])
    ['--store=postgresql://ada:***@host/grid', 'postgresql://ada@host/grid']
    """
    kept: list[str] = []
    hide_next = False
    for argument in argv:
        name, equals, _ = argument.partition("=")
        if hide_next and not argument.startswith("--"):
            kept.append(HIDDEN)
            hide_next = False
            continue
        secret = is_secret(name.strip("-"))
        if equals and secret:
            kept.append(f"{name}={HIDDEN}")
        else:
            kept.append(_of_store(argument) if "postgres" in argument else redact_urls(argument))
        hide_next = secret and not equals and argument.startswith("-")
    return kept


def _of_store(argument: str) -> str:
    """Return an argument without the passwords of databases: the user is needed to start the line again."""
    from memento.store.database_address import shown

    return re.sub(_DATABASE, lambda found: shown(found[0]), argument)


def redact_urls(text: str) -> str:
    """Return a text without the user names and passwords of its URLs."""
    return re.sub(_URL_CREDENTIALS, rf"\g<scheme>{HIDDEN}@", text)


def is_secret(name: str) -> bool:
    """Tell whether what goes by this name looks like a secret."""
    return re.search(_SECRET, name) is not None


def _cut(diff: bytes) -> str:
    text = diff[:DIFF_LIMIT].decode("utf-8", "replace")
    return text if len(diff) <= DIFF_LIMIT else f"{text}\n[cut after {DIFF_LIMIT:,} bytes]\n"


def _ask(cwd: str | os.PathLike[str], *arguments: str) -> Popen[bytes] | None:
    """Start git; None where it is missing."""
    import subprocess

    command = ["git", "-c", "core.fsmonitor=false", "-c", "core.quotePath=false", *arguments]
    environment = {
        **system.environment(),
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
    }
    quiet = subprocess.DEVNULL
    try:
        return subprocess.Popen(
            command, cwd=cwd, env=environment, stdin=quiet, stdout=subprocess.PIPE, stderr=quiet
        )
    except OSError:
        return None


def _answer(asked: Popen[bytes] | None, limit: int) -> bytes | None:
    """Return what git prints, up to `limit` bytes; None where it fails or takes too long."""
    from subprocess import TimeoutExpired

    if asked is None:
        return None
    with asked:
        try:
            said, _ = asked.communicate(timeout=GIT_SECONDS)
        except BaseException as error:
            asked.kill()
            if not isinstance(error, TimeoutExpired):
                raise
            return None
    return said[:limit] if asked.returncode == 0 else None
