"""Ask NVIDIA's driver which GPUs there are: by its library (NVML), or by `nvidia-smi` where Python cannot reach that.

Knows: NVML, `nvidia-smi`. May not know: who may use a device, workers, tasks.

The driver is asked in a process of its own: where a GPU has fallen off its bus the library may wait for ever, and a
program that has talked to the driver cannot be copied any more.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

_PATIENCE = 30.0  # seconds; a driver that nobody uses is loaded anew at each question
_USUAL = 1_500_000_000  # bytes that a desktop and the driver itself may hold of a device that is idle
_MISSING = ("NVMLError_LibraryNotFound", "NVMLError_DriverNotLoaded")  # there is no driver
NO_SLICES = "it is in MIG mode, and none of its slices can be seen from here"
_FORBIDDEN = "NVMLError_NoPermission"  # another's, as a cgroup has it: CUDA does not count it either


class Reading(NamedTuple):
    """What the driver tells of one device; a MIG slice is one, and the GPU that it is cut from is none."""

    uuid: str  # "GPU-..." or "MIG-..."; "" where the device cannot even be named
    gpu: int  # its GPU's number, in PCI order; -1 where nobody tells
    name: str = ""
    total: int | None = None  # bytes of memory; None where nobody tells
    free: int | None = None  # bytes, with all that runs on it now
    pids: tuple[int, ...] = ()  # processes that compute on it, as far as they are seen from here
    error: str = ""  # why it cannot be used

    @property
    def label(self) -> str:
        """Its name for people."""
        if self.gpu < 0:
            return "a GPU"
        part = " slice" if self.uuid.startswith("MIG-") else ""
        return f"GPU {self.gpu}{part}" + (f" ({self.name})" if self.name else "")

    def is_busy(self, own: int) -> bool:
        """Tell whether others than the process `own` compute on it, or hold its memory."""
        if any(pid != own for pid in self.pids):
            return True
        held = 0 if self.total is None or self.free is None else self.total - self.free
        return not self.pids and held > min(_USUAL, (self.total or 0) // 4)


class Look(NamedTuple):
    """What the driver tells of all devices; `problem` says why it tells nothing, "" where there is none."""

    devices: tuple[Reading, ...] = ()
    problem: str = ""


def is_installed() -> bool:
    """Tell whether Python can reach NVML, be it that there is no driver."""
    from importlib.util import find_spec

    return "pynvml" in sys.modules or find_spec("pynvml") is not None


def look() -> Look:
    """Ask the driver."""
    loaded = sys.modules.get("pynvml")
    found = read(loaded) if loaded is not None else _look_apart()
    return found if found is not None else _ask_program()


def _look_apart() -> Look | None:
    """Have another process look; None where it has no library to look with."""
    import json

    code = f"import sys; sys.path[:] = {sys.path!r}; from memento.executors.nvml import main; main()"
    try:
        asked = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        told = json.loads(asked.stdout.strip().rpartition("\n")[2])
    except subprocess.TimeoutExpired:
        return Look(problem=_deaf("NVIDIA's driver"))
    except (OSError, ValueError):
        return None
    if told is None:
        return None
    readings = (Reading._make([*fields[:5], tuple(fields[5]), fields[6]]) for fields in told["devices"])
    return Look(tuple(readings), told["problem"])


def main() -> None:
    """Be the process that looks: print what was found as JSON, null where there is no library."""
    import json

    try:
        import pynvml
    except ImportError:
        sys.stdout.write("null")
        return
    found = read(pynvml)
    sys.stdout.write(json.dumps(None if found is None else found._asdict()))


def _deaf(who: str) -> str:
    return f"{who} did not answer within {_PATIENCE:.0f} s: is a GPU broken? `nvidia-smi` should say"


# -- NVML


def read(nvml: Any) -> Look | None:
    """Read all devices through NVML's Python module; None where there is no driver's library."""
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        if type(error).__name__ in _MISSING:
            return None
        return Look(problem=f"NVIDIA's driver says: {_say(error)}")
    try:
        gpus = []
        for number in range(nvml.nvmlDeviceGetCount()):
            try:
                handle = nvml.nvmlDeviceGetHandleByIndex(number)
                uuid = _text(nvml.nvmlDeviceGetUUID(handle))
            except nvml.NVMLError as error:
                if type(error).__name__ != _FORBIDDEN:
                    gpus.append(("", number, None, "", _say(error)))
                continue
            where = _asked(nvml, "nvmlDeviceGetPciInfo", handle)
            gpus.append((_text(getattr(where, "busId", "")), number, handle, uuid, ""))
        if all(bus for bus, *_ in gpus):
            gpus.sort(key=lambda gpu: gpu[0])
        devices: list[Reading] = []
        for place, (_, _, handle, uuid, why) in enumerate(gpus):
            devices += [Reading(uuid, place, error=why)] if why else _read_gpu(nvml, handle, uuid, place)
        return Look(tuple(devices))
    except nvml.NVMLError as error:
        return Look(problem=f"NVIDIA's driver says: {_say(error)}")
    finally:
        _asked(nvml, "nvmlShutdown")


def _read_gpu(nvml: Any, handle: Any, uuid: str, place: int) -> Iterator[Reading]:
    mode = _asked(nvml, "nvmlDeviceGetMigMode", handle)  # an error where a GPU has no such mode
    if not mode or not mode[0]:
        yield _read_device(nvml, handle, uuid, place)
        return
    slices = 0
    for index in range(_asked(nvml, "nvmlDeviceGetMaxMigDeviceCount", handle) or 0):
        part = _asked(nvml, "nvmlDeviceGetMigDeviceHandleByIndex", handle, index)
        own = _text(_asked(nvml, "nvmlDeviceGetUUID", part)) if part is not None else ""
        if own:
            slices += 1
            yield _read_device(nvml, part, own, place)
    if not slices:
        yield Reading(uuid, place, error=NO_SLICES)


def _read_device(nvml: Any, handle: Any, uuid: str, place: int) -> Reading:
    name = _text(_asked(nvml, "nvmlDeviceGetName", handle))
    try:
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    except nvml.NVMLError as error:
        if type(error).__name__ in ("NVMLError_NotSupported", _FORBIDDEN):  # nobody tells; it may work
            return Reading(uuid, place, name)
        return Reading(uuid, place, name, error=_say(error))
    running = _asked(nvml, "nvmlDeviceGetComputeRunningProcesses", handle) or ()
    pids = tuple(int(process.pid) for process in running)
    return Reading(uuid, place, name, int(memory.total), int(memory.free), pids)


def _asked(nvml: Any, question: str, *about: Any) -> Any:
    """Ask what may have no answer; None where there is none."""
    try:
        return getattr(nvml, question)(*about)
    except (nvml.NVMLError, AttributeError):
        return None


def _text(told: Any) -> str:
    return told.decode("utf-8", "replace") if isinstance(told, bytes) else str(told or "")


def _say(error: Exception) -> str:
    kind = type(error).__name__
    if kind == "NVMLError_LibRmVersionMismatch":
        return f"{error} (the driver was updated while it was in use: restart the machine)"
    return str(error) or kind


# -- nvidia-smi

_GPU = re.compile(r"GPU (\d+): (.*?)(?: \(UUID: (GPU-[^)]+)\))?")
_SLICE = re.compile(r"\s+MIG (\S+)\s+Device\s+\d+: \(UUID: (MIG-[^)]+)\)")
_FIELDS = "index,memory.total,memory.free"


def _ask_program() -> Look:
    """Read all devices from what `nvidia-smi` prints: of MIG slices it tells no memory."""
    try:
        listed = _smi("-L")
        if listed.returncode and not re.search(r"^GPU \d+:", listed.stdout, re.MULTILINE):
            told = (listed.stdout + listed.stderr).strip().splitlines()
            return Look(problem=f"nvidia-smi says: {told[0] if told else f'nothing ({listed.returncode})'}")
        memory = _smi(f"--query-gpu={_FIELDS}", "--format=csv,noheader,nounits").stdout
    except subprocess.TimeoutExpired:
        return Look(problem=_deaf("nvidia-smi"))
    except OSError:
        return Look()
    return Look(_listed(listed.stdout, dict(_memories(memory))))


def _smi(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["nvidia-smi", *arguments],
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def _memories(text: str) -> Iterator[tuple[int, tuple[int, int]]]:
    for line in text.splitlines():
        fields = [field.strip() for field in line.split(",")]
        if len(fields) == 3 and all(field.isdecimal() for field in fields):
            number, total, free = map(int, fields)
            yield number, (total << 20, free << 20)  # it says MiB


def _listed(text: str, memories: Mapping[int, tuple[int, int]]) -> tuple[Reading, ...]:
    found: list[Reading] = []
    parent: Reading | None = None  # a GPU of which slices may follow
    for line in text.splitlines():
        gpu, part = _GPU.fullmatch(line.rstrip()), _SLICE.match(line)
        if gpu is not None:
            total, free = memories.get(int(gpu[1]), (None, None))
            parent = Reading(gpu[3] or "", int(gpu[1]), gpu[2], total, free)
            found.append(parent)
        elif part is not None and parent is not None:
            if found[-1] is parent:
                found.pop()
            found.append(Reading(part[2], parent.gpu, f"{parent.name} MIG {part[1]}"))
        elif line.strip():  # "Unable to determine the device handle for GPU 0000:0B:00.0: GPU is lost."
            parent = None
            found.append(Reading("", -1, error=line.strip()))
    return tuple(found)
