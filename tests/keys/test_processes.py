"""What keys promise across processes, hash seeds, Python versions and releases.

`awkward.py` holds the values. Three processes run it: as a script under two hash seeds, and imported. To change
the golden digests, run ``python tests/keys/awkward.py --regenerate`` and say in CHANGELOG.md that stored results
lose their keys.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
IMPORTED = """
import json, awkward  # so that it is not __main__
print(json.dumps(awkward.report(awkward.plain_values() | awkward.library_values())))
"""


COMMANDS = {"seed 1": ["awkward.py"], "seed 2": ["awkward.py"], "imported": ["-c", IMPORTED]}


class Runs(dict[str, dict[str, Any]]):
    """What each process reports, started when it is first asked for: all of them take six seconds."""

    def __missing__(self, name: str) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, *COMMANDS[name]],
            cwd=HERE,
            env={**os.environ, "PYTHONHASHSEED": "2" if name == "seed 2" else "1"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        self[name] = json.loads(done.stdout)
        return self[name]


@pytest.fixture(scope="module")
def runs() -> Runs:
    return Runs()


@pytest.mark.slow
def test_digests_do_not_depend_on_the_hash_seed(runs: Runs) -> None:
    assert runs["seed 1"] == runs["seed 2"]


@pytest.mark.slow
def test_a_script_and_its_import_agree(runs: Runs) -> None:
    assert runs["seed 1"] == runs["imported"]


@pytest.mark.slow
def test_no_two_awkward_values_share_a_digest(runs: Runs) -> None:
    digests = runs["seed 1"]["digests"]
    assert len(set(digests.values())) == len(digests) > 100


def test_digests_are_those_of_every_release_and_python_version(runs: Runs) -> None:
    golden = json.loads((HERE / "golden.json").read_text())["digests"]
    changed = {name: d for name, d in runs["seed 1"]["digests"].items() if golden.get(name, d) != d}
    assert not changed


def test_every_plain_value_is_among_the_golden_ones(runs: Runs) -> None:
    golden = json.loads((HERE / "golden.json").read_text())["digests"]
    assert {name for name in runs["seed 1"]["digests"] if ": " not in name} <= set(golden)


def test_task_keys_are_those_of_every_release(runs: Runs) -> None:
    assert runs["seed 1"]["keys"] == json.loads((HERE / "golden.json").read_text())["keys"]
