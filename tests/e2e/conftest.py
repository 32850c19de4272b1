"""A place to run scripts in, which has to be empty of processes afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.workplace import Workplace


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Workplace]:
    found = Workplace(tmp_path)
    try:
        yield found
        found.nobody_left()
    finally:
        found.clean()
