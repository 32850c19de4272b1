"""Say where faults cannot be injected.

Knows: the platform. May not know: the faults.
"""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what looks for processes and descriptors in /proc."""
    if platform.system() == "Linux":
        return
    for item in items:
        if HERE in item.path.parents and item.path.name not in ("test_page.py", "test_damage.py"):
            item.add_marker(
                pytest.mark.skip(reason="finds processes and descriptors in /proc, which is Linux's")
            )
