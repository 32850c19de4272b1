"""Fixtures for displays: a terminal of a given size, and no hidden faults."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import pytest

from tests.display.fakes import FakeTerminal, SetClock


@pytest.fixture(autouse=True)
def no_wishes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever whoever runs the tests has asked of displays."""
    for name in ("CI", "XTERM_VERSION", "TMUX"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def make_terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], FakeTerminal]:
    def make(width: int, height: int) -> FakeTerminal:
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setenv("LINES", str(height))
        return FakeTerminal(width)

    return make


@pytest.fixture(autouse=True)
def no_display_breaks(caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest) -> Iterator[None]:
    """A display hides its faults from a run; a test must not be fooled by that."""
    yield
    if "breaking" not in request.node.name:
        broken = [r for r in caplog.records if r.name == "memento.display" and r.exc_info]
        assert not broken, [logging.Formatter().format(r) for r in broken]
