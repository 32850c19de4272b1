"""Give every test and every doctest a folder and an environment of its own.

Knows: pytest and hypothesis. May not know: Memento; what the tests of a room share lies beside them.
It lies at the root, and not in tests/, because the doctests of src and README.md need it as well.
"""

from __future__ import annotations

import faulthandler
import gc
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

# Tests must pass or fail by what they test: no deadline on a busy machine, the same examples in every run.
# `pytest --hypothesis-profile=explore ...` looks for new ones, and "some" tries a part of them: see below.
same = hypothesis.settings(deadline=None, derandomize=True, database=None)
hypothesis.settings.register_profile("same", same)
hypothesis.settings.register_profile("some", same)
hypothesis.settings.register_profile("explore", deadline=None, max_examples=2000)
hypothesis.settings.load_profile("same")

# Where this is set, each of the many processes that tests start would compile Memento anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# Where this is set, what a program forgets to flush is seen in the tests, and lost by users.
os.environ.pop("PYTHONUNBUFFERED", None)
# What whoever runs the tests wants of colours is obeyed by all programs that they start.
for name in ("NO_COLOR", "CLICOLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "PYTHON_COLORS"):
    os.environ.pop(name, None)

# A shell starts what runs behind it (`make test &`) deaf to Ctrl-C, and so would be all that tests start.
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # `nohup` does that


LONGEST, RENEWED = 380.0, 60.0  # seconds: pytest-timeout ends a test soon after, if it is not deep in C
_stderr, _watched_since = 2, -RENEWED


def pytest_configure() -> None:
    """Keep the standard error: what tests write there is captured."""
    global _stderr
    _stderr = os.dup(2)


def pytest_runtest_logstart() -> None:
    """Have a hang show every thread. pytest's own `faulthandler_timeout` makes a thread for each test, at half a ms."""
    global _watched_since
    if time.perf_counter() > _watched_since + RENEWED:
        _watched_since = time.perf_counter()
        faulthandler.dump_traceback_later(LONGEST, file=_stderr)


def pytest_unconfigure() -> None:
    """Watch no more."""
    faulthandler.cancel_dump_traceback_later()
    os.close(_stderr)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Have each property test try the first quarter of its examples, ten or more, where "some" are asked for."""
    if config.getoption("hypothesis_profile") != "some":
        return
    functions = [item for item in items if isinstance(item, pytest.Function)]
    tests = {getattr(item.obj, "__func__", item.obj) for item in functions}
    for holder, name in [
        *((test, "_hypothesis_internal_use_settings") for test in tests),  # no other name reaches them
        *((case, "settings") for case in {item.cls for item in functions}),  # of state machines
    ]:
        whole = getattr(holder, name, None)
        if isinstance(whole, hypothesis.settings):
            most = whole.max_examples
            setattr(holder, name, hypothesis.settings(whole, max_examples=min(most, max(10, most // 4))))


def pytest_collection_finish() -> None:
    """Spare the collector what stays to the end: with it each of its walks takes a fifth of a second."""
    gc.freeze()


@pytest.fixture(scope="session")
def _folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cwd")


@pytest.fixture(autouse=True)
def _own_place(_folders: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run in an empty folder, so that no default store lands in the checkout or is shared between tests.

    `tmp_path` stays free for the test; the settings of the person who runs the tests do not reach it.
    """
    for name in [name for name in os.environ if name.startswith("MEMENTO_")]:
        monkeypatch.delenv(name)
    before = Path.cwd()
    os.chdir(tempfile.mkdtemp(dir=_folders))
    try:
        yield
    finally:
        os.chdir(before)
