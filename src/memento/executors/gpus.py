"""Which GPUs there are, and which worker owns which.

Knows: `CUDA_VISIBLE_DEVICES`, `nvidia-smi`. May not know: CUDA, tasks.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence

from memento.errors import WorkerStartError


def visible_gpus(environment: Mapping[str, str]) -> list[str]:
    """Return the devices that this process may use, as they would stand in ``CUDA_VISIBLE_DEVICES``."""
    told = environment.get("CUDA_VISIBLE_DEVICES")
    if told is not None:
        devices = [device.strip() for device in told.split(",") if device.strip()]
        return devices[: devices.index("-1")] if "-1" in devices else devices  # CUDA ends the list there
    try:
        answer = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return re.findall(r"^GPU (\d+):", answer.stdout, re.MULTILINE)


def assign(gpus: Sequence[str], per_task: float, workers: int) -> list[tuple[str, ...]]:
    """Give each worker its devices, of which a task needs a whole number or a fraction below one (it shares one).

    There are as many workers as there are devices for, and no more than are wished for.
    """
    if per_task > 1 and per_task != int(per_task):
        raise ValueError(
            f"gpus_per_task={per_task}: give a whole number, or a fraction below 1 to share a GPU"
        )
    if per_task < 1:
        sharing = int(1 / per_task + 1e-9)
        sets: list[tuple[str, ...]] = [(gpu,) for _ in range(sharing) for gpu in gpus]
    else:
        size = int(per_task)
        sets = [tuple(gpus[i : i + size]) for i in range(0, len(gpus) - size + 1, size)]
    if not sets:
        raise WorkerStartError(
            f"a task needs gpus_per_task={per_task:g}, and this machine shows {len(gpus)} GPUs"
            " (CUDA_VISIBLE_DEVICES, or `nvidia-smi -L`). Set gpus_per_task=0 to run without."
        )
    return sets[:workers]
