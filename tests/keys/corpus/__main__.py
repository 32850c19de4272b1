"""Print the digests of all values as JSON: run by tests in other processes, with other hash seeds.

``--golden OTHER...`` writes those that this Python and the others given have alike to `golden.json`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path

from tests.keys.corpus.all import digests


def alike(pythons: list[str]) -> dict[str, str]:
    """Return the digests that no other Python, with its own releases of libraries, makes otherwise."""
    command = ["-W", "ignore", "-m", "tests.keys.corpus"]
    answers = [
        json.loads(subprocess.run([python, *command], capture_output=True, check=True).stdout)
        for python in pythons
    ]
    return {
        name: mark
        for name, mark in digests().items()
        if all(a.get(name, mark) == mark for a in answers) and not name.startswith("sklearn:fitted")
    }  # what is fitted differs between machines in the last digits


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    if "--golden" in sys.argv:
        golden = alike(sys.argv[2:])
        (Path(__file__).parent / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")
    else:
        print(json.dumps(digests()))
