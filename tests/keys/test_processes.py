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


@pytest.fixture(scope="module")
def runs() -> dict[str, dict[str, Any]]:
    commands = {"seed 1": ["awkward.py"], "seed 2": ["awkward.py"], "imported": ["-c", IMPORTED]}
    processes = {
        name: subprocess.Popen(
            [sys.executable, *command],
            cwd=HERE,
            env={**os.environ, "PYTHONHASHSEED": "2" if name == "seed 2" else "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name, command in commands.items()
    }
    answers = {}
    for name, process in processes.items():
        out, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        answers[name] = json.loads(out)
    return answers


@pytest.mark.slow
def test_digests_do_not_depend_on_the_hash_seed(runs: dict[str, dict[str, Any]]) -> None:
    assert runs["seed 1"] == runs["seed 2"]


@pytest.mark.slow
def test_a_script_and_its_import_agree(runs: dict[str, dict[str, Any]]) -> None:
    assert runs["seed 1"] == runs["imported"]


@pytest.mark.slow
def test_no_two_awkward_values_share_a_digest(runs: dict[str, dict[str, Any]]) -> None:
    digests = runs["seed 1"]["digests"]
    assert len(set(digests.values())) == len(digests) > 100


def test_digests_are_those_of_every_release_and_python_version(runs: dict[str, dict[str, Any]]) -> None:
    golden = json.loads((HERE / "golden.json").read_text())["digests"]
    changed = {name: d for name, d in runs["seed 1"]["digests"].items() if golden.get(name, d) != d}
    assert not changed


def test_every_plain_value_is_among_the_golden_ones(runs: dict[str, dict[str, Any]]) -> None:
    golden = json.loads((HERE / "golden.json").read_text())["digests"]
    assert {name for name in runs["seed 1"]["digests"] if ": " not in name} <= set(golden)


def test_task_keys_are_those_of_every_release(runs: dict[str, dict[str, Any]]) -> None:
    assert runs["seed 1"]["keys"] == json.loads((HERE / "golden.json").read_text())["keys"]
