"""Call the command line: in this process, which is quick, or in one of its own."""

from __future__ import annotations

import functools
import gc
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from memento.cli.app import app
from memento.cli.schema import names, text_of

GENEROUS = 300  # seconds; a test that needs them fails


@dataclass(frozen=True)
class Ran:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, read as strictly as other languages read it; it is what its schema says."""
        told = json.loads(self.out, parse_constant=_refuse)
        check(told)
        return told


def _refuse(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


@functools.cache
def _schema(name: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads(text_of(name)))


def check(told: Any) -> None:
    """Fail unless an object is what its schema says."""
    name = told["schema"].removeprefix("memento.")
    if name in names():
        found = list(_schema(name).iter_errors(told))
        assert not found, "\n".join(f"{one.json_path}: {one.message}" for one in found)


def memento(*arguments: str | Path) -> Ran:
    """Call a command in this process."""
    result = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    return Ran(result.exit_code, result.stdout, result.stderr)


def copied(folder: Path, to: Path) -> Path:
    """Copy a folder that has a store in it, and return where to.

    A store that an earlier test has left to the garbage collector is closed first: with that files of it go.
    """
    gc.collect()
    return Path(shutil.copytree(folder, to))


def line(*arguments: str | Path) -> list[str]:
    """Return the command line that starts Memento in a process of its own."""
    return [sys.executable, "-m", "memento", *map(str, arguments)]


def start(*arguments: str | Path, cwd: Path) -> subprocess.Popen[str]:
    """Start a command in a process and a session of its own."""
    return subprocess.Popen(
        line(*arguments),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "COLUMNS": "100"},
    )


def wait_until(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    """Wait for something that a running process brings about; fail when the process ends before."""
    end = time.monotonic() + GENEROUS
    while not condition():
        if process.poll() is not None and not condition():
            raise AssertionError(f"it ended with {process.returncode}: {process.communicate()}")
        if time.monotonic() > end:
            raise AssertionError("it did not happen in time")
        time.sleep(0.02)


def command(*arguments: str | Path, cwd: Path) -> Ran:
    """Call a command in a process of its own, and wait for its end."""
    process = start(*arguments, cwd=cwd)
    try:
        out, err = process.communicate(timeout=GENEROUS)
    finally:
        process.kill()
    return Ran(process.returncode, out, err)
