"""Tasks that need GPUs get their own, or shares of one, as far as there are any."""

from __future__ import annotations

import pytest

from memento.errors import WorkerStartError
from memento.executors.gpus import assign, visible_gpus


def test_devices_are_those_that_the_program_may_use() -> None:
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "2, 3"}) == ["2", "3"]
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "2,-1,3"}) == ["2"]


def test_each_worker_has_devices_of_its_own_or_its_share() -> None:
    assert assign(["0", "1", "2"], 2, 8) == [("0", "1")]
    assert assign(["0", "1"], 0.5, 8) == [("0",), ("1",), ("0",), ("1",)]
    assert assign(["0", "1"], 1, 1) == [("0",)]


def test_a_fraction_above_one_is_refused() -> None:
    with pytest.raises(ValueError, match=r"gpus_per_task=1.5"):
        assign(["0", "1"], 1.5, 2)


def test_no_gpu_for_a_task_that_needs_one_says_so() -> None:
    with pytest.raises(WorkerStartError, match="gpus_per_task=1"):
        assign(visible_gpus({"CUDA_VISIBLE_DEVICES": ""}), 1, 2)
