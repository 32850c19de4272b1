"""This machine is named as others name it."""

from __future__ import annotations

import platform
import subprocess
import sys

from memento import system


def test_a_boot_is_named_the_same_in_every_process_of_it() -> None:
    program = "from memento import system; print(system.boot_identity())"
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=300
    )
    assert told.stdout.strip() == system.boot_identity()


def test_this_platform_is_named_as_python_names_it() -> None:
    assert system.platform_name() == platform.platform()
    assert system.machine() == platform.machine()
