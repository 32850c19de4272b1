"""A stand-in for NVIDIA's module `pynvml`, whose devices stand in the JSON file that FAKE_NVML names."""

# ruff: noqa: N801, N802  # the library's own names
from __future__ import annotations

import json
import os
from types import SimpleNamespace
from typing import Any


class NVMLError(Exception):
    """What the library raises; its own kinds are made of its numbers, and have such names."""


class NVMLError_LibraryNotFound(NVMLError):
    """NVML Shared Library Not Found."""


class NVMLError_LibRmVersionMismatch(NVMLError):
    """RM has detected an NVML/RM version mismatch."""


class NVMLError_GpuIsLost(NVMLError):
    """GPU is lost."""


class NVMLError_NoPermission(NVMLError):
    """Insufficient Permissions."""


class NVMLError_NotSupported(NVMLError):
    """Not Supported."""


class NVMLError_NotFound(NVMLError):
    """Not Found."""


def _raise(name: str | None) -> None:
    if name:
        kind = globals()[f"NVMLError_{name}"]
        raise kind(kind.__doc__.rstrip("."))


def _told() -> dict[str, Any]:
    with open(os.environ["FAKE_NVML"], encoding="utf-8") as file:
        told: dict[str, Any] = json.load(file)
    return told


def nvmlInit() -> None:
    told = _told()
    if told.get("deaf"):
        import time

        time.sleep(60)
    if told.get("crashes"):
        os.abort()
    _raise(told.get("init"))


def nvmlShutdown() -> None:
    pass


def nvmlDeviceGetCount() -> int:
    return len(_told()["gpus"])


def nvmlDeviceGetHandleByIndex(index: int) -> Any:
    gpu = _told()["gpus"][index]
    _raise(gpu.get("handle"))
    return gpu


def nvmlDeviceGetUUID(handle: Any) -> bytes:
    return str(handle["uuid"]).encode()  # bytes, as older versions give it


def nvmlDeviceGetName(handle: Any) -> str:
    return str(handle.get("name", "Fake"))


def nvmlDeviceGetPciInfo(handle: Any) -> Any:
    return SimpleNamespace(busId=handle.get("bus", ""))


def nvmlDeviceGetMemoryInfo(handle: Any) -> Any:
    _raise(handle.get("memory"))
    total = handle.get("total", 80 * 10**9)
    return SimpleNamespace(
        total=total, free=handle.get("free", total), used=total - handle.get("free", total)
    )


def nvmlDeviceGetComputeRunningProcesses(handle: Any) -> list[Any]:
    return [SimpleNamespace(pid=pid, usedGpuMemory=None) for pid in handle.get("pids", ())]


def nvmlDeviceGetMigMode(handle: Any) -> list[int]:
    if "mig" not in handle:
        _raise("NotSupported")
    return [1, 1]


def nvmlDeviceGetMaxMigDeviceCount(handle: Any) -> int:
    return 7


def nvmlDeviceGetMigDeviceHandleByIndex(handle: Any, index: int) -> Any:
    if index >= len(handle["mig"]):
        _raise("NotFound")
    return handle["mig"][index]
