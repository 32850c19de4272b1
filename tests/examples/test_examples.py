"""Every example runs as its header says, and the second time finds everything there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

# What each prints besides "N of M results were there already.", and how many tasks it has.
EXPECTED = {
    "paper_grid.py": (
        27,
        ["Mean accuracy of 5-fold cross-validation", "load_breast_cancer", "SVC", "Best: 0.9"],
    ),
    "training_loop.py": (6, ["learning_rate", "hidden=64", "in 40 records"]),
    "dependent_matrices.py": (30, ["Distance of the fitted polynomial from the truth", "0.80"]),
    "pipeline.py": (64, ["Squared error of ridge regression", "features.columns", "train: "]),
    "conditional_grid.py": (24, ["SVC", "KNeighborsClassifier", "MLPClassifier", "mean"]),
}


def run(name: str | Path, store: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "MEMENTO_STORE": str(store)}
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name)], capture_output=True, text=True, env=environment, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_every_example_is_tested() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_an_example_says_what_it_shows(name: str) -> None:
    header = (EXAMPLES / name).read_text().split('"""')[1]
    assert "Shows: " in header
    assert f"python examples/{name}" in header


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPECTED)
def test_an_example_runs_and_finds_everything_there_the_second_time(name: str, tmp_path: Path) -> None:
    total, shown = EXPECTED[name]
    store = tmp_path / "the store"
    first, second = run(name, store), run(name, store)
    for text in shown:
        assert text in first.stdout
    assert f"0 of {total} results were there already." in first.stdout
    assert f"{total} of {total} results were there already." in second.stdout
    assert "all cached" in second.stderr
    told = [line for line in first.stdout.splitlines() if "there already" not in line]
    assert told == [line for line in second.stdout.splitlines() if "there already" not in line]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "again"),
    [("features", {"features", "train"}), ("split", {"splits", "train"}), ("train", {"train"})],
)
def test_an_edited_stage_of_the_pipeline_runs_again_with_what_follows(
    tmp_path: Path, stage: str, again: set[str]
) -> None:
    script, store = tmp_path / "pipeline.py", tmp_path / "store"
    script.write_text((EXAMPLES / "pipeline.py").read_text())
    run(script, store)
    text = script.read_text()
    head = f"def {stage}(config: Config):\n"
    script.write_text(text.replace(head, f"{head}    # a comment changes nothing\n"))
    assert "64 of 64 results were there already" in run(script, store).stdout
    script.write_text(text.replace(head, f"{head}    assert config.step is {stage}\n"))
    told = run(script, store).stdout
    for name, count in {"load": 2, "features": 8, "splits": 6, "train": 48}.items():
        assert f"{name}: {0 if name in again else count} of {count} were there already" in told


@pytest.mark.slow
def test_the_training_loop_killed_in_the_middle_gives_what_it_gives_undisturbed(tmp_path: Path) -> None:
    store = tmp_path / "store"
    environment = {**os.environ, "MEMENTO_STORE": str(store)}
    command = [sys.executable, str(EXAMPLES / "training_loop.py")]

    def saved() -> bool:
        return any(files for _, _, files in os.walk(store / "checkpoints"))

    until = time.monotonic() + 300
    while not saved():
        shutil.rmtree(store, ignore_errors=True)  # it had ended before anybody looked
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
        ) as process:
            while not saved() and process.poll() is None:
                assert time.monotonic() < until, "no checkpoint was saved"
                time.sleep(0.01)
            process.kill()
    resumed, undisturbed = run("training_loop.py", store), run("training_loop.py", tmp_path / "other")
    assert resumed.stdout.splitlines()[:-1] == undisturbed.stdout.splitlines()[:-1]
