"""The script of a job does what it says, whatever paths are called; the environment overrules none of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from memento.executors.slurm.script import JobRequest, asked, batch_script, environment
from memento.executors.slurm.slurm_options import SlurmOptions

SHOW = "import os, sys; print(sys.argv[1:], os.environ['MEMENTO_SECONDS'], os.environ['MEMENTO_PLACE'])"


def _run(options: SlurmOptions, request: JobRequest, folder: Path, **variables: str) -> tuple[int, str]:
    script = folder / "job.sh"
    script.write_text(batch_script(options, request))
    done = subprocess.run(
        ["bash", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={"PATH": "/usr/bin:/bin", **variables},
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("folder", ["plain", 'a store\'s "name"', "a\nb", "$HOME `ls` \\n", "{} %a"])
def test_each_element_of_an_array_is_one_pilot_wherever_the_store_lies(folder: str, tmp_path: Path) -> None:
    request = JobRequest("r", [sys.executable, "-c", SHOW, folder], ["p7", "p8"], cpus=1, seconds=120)
    code, told = _run(
        SlurmOptions(), request, tmp_path, SLURM_ARRAY_TASK_ID="1", SLURM_JOB_ID="17", SLURMD_NODENAME="n2"
    )
    assert (code, told) == (0, f"{[folder, 'p8']} 120 17@n2\n")


def test_a_setup_that_fails_ends_the_job_and_says_which_line(tmp_path: Path) -> None:
    options = SlurmOptions(setup=("false || true", "module load cuda", "echo never"))
    code, told = _run(options, JobRequest("r", ["echo"], ["p"], cpus=1), tmp_path)
    assert code != 0
    assert "memento: setup failed: module load cuda" in told
    assert "never" not in told


def test_what_a_setup_takes_is_not_left_of_the_job(tmp_path: Path) -> None:
    options = SlurmOptions(setup=("SECONDS=50  # as if it had taken so long",))
    request = JobRequest("r", [sys.executable, "-c", SHOW], ["p"], cpus=1, seconds=120)
    code, told = _run(options, request, tmp_path)
    assert (code, told.split()[1]) == (0, "70")


def test_what_a_job_asks_for_stands_in_its_script() -> None:
    options = SlurmOptions(
        partition="gpu",
        account="lab",
        gpu_type="a100",
        exclude="n9",
        extra=(("mail-type", "END"), ("exclusive", None)),
    )
    request = JobRequest("r", ["x"], ["p"], cpus=8, gpus=2, memory=3 << 30, seconds=7_200, exclude=("n3",))
    text = batch_script(options, request)
    for line in (
        "--cpus-per-task=8", "--gres=gpu:a100:2", "--mem=3072M", "--time=120", "--partition=gpu", "--account=lab",
        "--exclude=n9,n3", "--mail-type=END", "--exclusive",
    ):  # fmt: skip
        assert f"#SBATCH {line}\n" in text
    assert "--array" not in text


def test_a_value_with_spaces_or_a_hash_is_quoted_for_sbatch() -> None:
    text = batch_script(
        SlurmOptions(extra=(("comment", "two words # no comment"),)), JobRequest("r", ["x"], ["p"], cpus=1)
    )
    assert '#SBATCH --comment="two words # no comment"\n' in text


def test_variables_of_the_job_in_which_this_program_runs_do_not_reach_its_jobs() -> None:
    now = {
        "SLURM_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "3", "SLURM_MEM_PER_NODE": "100", "SLURM_TIME_FORMAT": "relative",
        "SBATCH_CPU_BIND": "x", "CUDA_VISIBLE_DEVICES": "0", "SQUEUE_FORMAT": "%i",
        "SLURM_CONF": "/etc/slurm.conf", "HOME": "/home/me", "SBATCH_ACCOUNT": "lab", "SBATCH_PARTITION": "old",
    }  # fmt: skip
    options = asked(SlurmOptions(partition="new"), JobRequest("r", ["x"], ["p"], cpus=1))
    assert environment(now, options) == {
        "SLURM_CONF": "/etc/slurm.conf",
        "HOME": "/home/me",
        "SBATCH_ACCOUNT": "lab",  # a default of the user's own, which no option overrules
    }


def test_outside_of_a_job_devices_stay_as_they_are() -> None:
    assert environment({"CUDA_VISIBLE_DEVICES": "1"}) == {"CUDA_VISIBLE_DEVICES": "1"}
