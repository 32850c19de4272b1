"""GPU slots and CUDA values on a real device; skipped where there is none."""

from __future__ import annotations

import os
import subprocess
from typing import Any

import pytest

from memento import Config, Context, Memento
from memento.errors import WorkerStartError

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        not torch.cuda.is_available(), reason="no CUDA device: run it on a machine with an NVIDIA GPU"
    ),
]


def run(experiment: Any, xs: list[int], **options: Any) -> Any:
    return Memento(experiment, store="store", progress=False, **options).run({"parameters": {"x": xs}})


def multiply(context: Context, config: Config) -> Any:
    import torch

    a = torch.full((64, 64), float(config.x), device="cuda")
    return float((a @ a)[0, 0]), os.environ["CUDA_VISIBLE_DEVICES"], context.resources.gpus, os.getpid()


def test_tasks_own_the_devices_that_they_see() -> None:
    results = run(multiply, list(range(6)), num_workers=4, gpus_per_task=1)
    count = int(
        subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True).stdout.count("GPU ")
    )
    assert [r.inner[0] for r in results] == [64.0 * x * x for x in range(6)]
    assert all((r.inner[1],) == r.inner[2] for r in results)
    assert len({r.inner[3] for r in results}) <= count


def test_two_tasks_share_a_gpu_when_each_needs_half() -> None:
    results = run(multiply, list(range(8)), num_workers=2, gpus_per_task=0.5)
    assert [r.inner[0] for r in results] == [64.0 * x * x for x in range(8)]
    assert all(r.inner[2][0].startswith(("GPU-", "MIG-")) for r in results)


def test_the_device_that_was_given_is_named_as_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    results = run(multiply, list(range(4)), num_workers=2, gpus_per_task=0.5)
    assert {r.inner[2] for r in results} == {("0",)}


def test_tasks_share_a_gpu_by_the_memory_that_each_needs() -> None:
    free, total = torch.cuda.mem_get_info()
    results = run(multiply, list(range(4)), num_workers=2, gpu_memory=int(free * 0.3))
    assert [r.inner[0] for r in results] == [64.0 * x * x for x in range(4)]
    with pytest.raises(WorkerStartError, match="so much is not free"):
        run(multiply, [1, 2], gpu_memory=2 * total)


def test_cuda_used_in_the_coordinator_does_no_harm_to_workers() -> None:
    before = torch.ones(3, device="cuda").sum().item()
    assert before == 3.0
    assert [r.inner[0] for r in run(multiply, [1, 2], num_workers=2, gpus_per_task=0.5)] == [64.0, 256.0]


def train(context: Context, config: Config) -> Any:
    import torch

    model = torch.nn.Linear(4, 1).cuda()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    data = torch.ones(8, 4, device="cuda")
    for step in context.loop(range(5), {"model": model, "optimizer": optimizer}, every="1 step"):
        loss = model(data).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        context.record({"loss": (step, loss)})
        if step == 2 and context.attempt == 1:
            os._exit(3)
    return model.weight.detach()


def test_a_cuda_model_resumes_from_its_checkpoint_and_its_tensor_comes_back() -> None:
    (result,) = run(train, [1], num_workers=1, gpus_per_task=1, retries=1)
    assert result.inner.shape == (1, 4)
    assert result.inner.device.type == "cuda"
    assert result.metrics["loss"]["x"].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert len(result.attempts) == 2
