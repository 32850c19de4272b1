"""What Slurm's commands say is told apart: later, never, or nothing that is known; one that hangs harms nothing."""

from __future__ import annotations

import os

import pytest

from memento.clock import SYSTEM_CLOCK
from memento.errors import WorkerStartError
from memento.executors.slurm.slurm_commands import Answer, Commands

LATER = [
    "sbatch: error: QOSMaxSubmitJobPerUserLimit",
    "sbatch: error: AssocMaxSubmitJobLimit",
    "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, ...)",
    "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation",
    "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying",
    "sbatch: error: Batch job submission failed: Resource temporarily unavailable",
    "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)",
    "squeue: error: slurm_receive_msg: Zero Bytes were transmitted or received",
]
NEVER = [
    "sbatch: error: invalid partition specified: nix\nsbatch: error: Invalid partition name specified",
    "sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified",
    "sbatch: error: Batch job submission failed: Requested node configuration is not available",
    "allocation failure: Requested node configuration is not available",
    "sbatch: error: Batch job submission failed: Invalid qos specification",
    "sbatch: error: Invalid generic resource (gres) specification",
    "sbatch: error: Batch job submission failed: Invalid feature specification",
    "sbatch: unrecognized option '--no-such'",
]
NOTHING_KNOWN = ["sbatch: error: ask your administrator", ""]


@pytest.mark.parametrize("text", LATER)
def test_what_slurm_cannot_now_is_tried_later(text: str) -> None:
    answer = Answer(1, "", text)
    assert answer.is_busy
    assert not answer.is_wrong


@pytest.mark.parametrize("text", NEVER)
def test_what_slurm_will_never_take_is_wrong(text: str) -> None:
    answer = Answer(1, "", text)
    assert answer.is_wrong
    assert not answer.is_busy


@pytest.mark.parametrize("text", NOTHING_KNOWN)
def test_what_is_not_known_is_neither(text: str) -> None:
    answer = Answer(1, "", text)
    assert not answer.is_wrong
    assert not answer.is_busy
    assert answer.why


def test_a_command_that_hangs_is_ended_after_its_time() -> None:
    answer = Commands(os.environ, SYSTEM_CLOCK).run("sh", "-c", "sleep 60 & sleep 60", limit=0.2)
    assert (answer.code, answer.is_busy, answer.is_wrong) == (None, True, False)


def test_a_command_is_not_waited_for() -> None:
    call = Commands(os.environ, SYSTEM_CLOCK).start(
        "sh", "-c", "read line; echo $?; echo oh >&2; exec sleep 60"
    )
    assert call.answer() is None
    call.end()


def test_what_a_command_says_is_read_whole() -> None:
    answer = Commands(os.environ, SYSTEM_CLOCK).run("sh", "-c", "seq 100000; echo oh >&2; exit 3")
    assert (answer.code, answer.out.count("\n"), answer.why) == (3, 100_000, "oh")


def test_where_there_is_no_slurm_it_is_said() -> None:
    with pytest.raises(WorkerStartError, match=r"no-such-command cannot be started.*login node"):
        Commands(os.environ, SYSTEM_CLOCK).run("no-such-command")
