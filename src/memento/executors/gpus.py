"""Which GPUs there are for us, and which of them each worker has: its seats.

Knows: `CUDA_VISIBLE_DEVICES` and its kin, what the driver tells (`nvml`). May not know: CUDA, workers, tasks.

    find       what the user or a scheduler gave, else all that the driver shows  -> devices
    assign     devices and what a task needs                                      -> seats, one for each task at a time
    variables  a seat                                                             -> what its worker's environment has

What was given is taken as it was given: only those devices, by the same names. Everything is found out from the
environment and the driver, so it is the same in a job of a scheduler as at home.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from memento.errors import WorkerStartError
from memento.executors import nvml
from memento.executors.nvml import Look, Reading
from memento.wording import number_of, size_text

_NO_DRIVER = "neither NVIDIA's library nor nvidia-smi is here, and no HIP_VISIBLE_DEVICES=0,1 names AMD's"
_SHOWN = 8  # devices in a message
MOST = 1_024  # seats; a share may be as small as somebody likes
# The first that is set counts.
_NAMES = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
_ORDER = "CUDA_DEVICE_ORDER"
_BY_SLURM = ("SLURM_STEP_GPUS", "SLURM_JOB_GPUS")
_DEVICE = re.compile(r"\d+|(?:GPU|MIG)-[\w/-]+", re.IGNORECASE)
_MIG = "MIG-"  # slices, of which a process can use one only
_PREALLOCATED = 0.75  # of a device's memory, by JAX, unless it is told otherwise


class Device(NamedTuple):
    """One that tasks may have."""

    name: str  # as it stands in `CUDA_VISIBLE_DEVICES`
    label: str = ""  # for people
    total: int | None = None  # bytes of memory; None where nobody tells
    free: int | None = None  # bytes that nobody used when it was looked at
    busy: bool = False  # others use it


class Found(NamedTuple):
    """The devices that there are, and sentences about those that are not."""

    devices: tuple[Device, ...] = ()
    left_out: tuple[str, ...] = ()


class Seat(NamedTuple):
    """What one task at a time has."""

    gpus: tuple[str, ...]
    share: float = 1.0  # of each of them
    memory: int | None = None  # bytes of each of them; None where nobody tells


class Seats(NamedTuple):
    """All seats, best first, and what a person should know of them."""

    seats: tuple[Seat, ...]
    notes: tuple[str, ...] = ()


# -- which devices there are


def find(environment: Mapping[str, str]) -> Found:
    """Find the devices that tasks may have."""
    variable = _told_by(environment)
    given = None if variable is None else _listed(environment[variable])
    if given == []:
        return Found(
            (), (f"{variable}={environment[variable or '']!r} hides them all: unset it to use them",)
        )
    if given is not None and variable != "CUDA_VISIBLE_DEVICES":
        return Found(tuple(Device(name, f"{variable} {name}") for name in given))
    if given is None and _is_job_without(environment):
        why = "this Slurm job was given no GPU: ask for some (sbatch --gpus-per-node=1)"
        return Found((), (f"{why}, or say in CUDA_VISIBLE_DEVICES which are yours",))
    look = nvml.look()
    if given is not None:
        return _match(given, look, by_number=environment.get(_ORDER, "PCI_BUS_ID") == "PCI_BUS_ID")
    return _of_slurm(environment, look)


def _told_by(environment: Mapping[str, str]) -> str | None:
    return next((name for name in _NAMES if name in environment), None)


def _listed(text: str) -> list[str]:
    """Read a list as CUDA does: it ends at the first that names no device; none is counted twice."""
    names: list[str] = []
    for name in (part.strip() for part in text.split(",")):
        if not name:
            continue
        if not _DEVICE.fullmatch(name):  # "-1", "NoDevFiles"
            break
        if name not in names:
            names.append(name)
    return names


def _is_job_without(environment: Mapping[str, str]) -> bool:
    """Tell whether Slurm has given this job no GPU, be it that the node's can be seen."""
    given = (*_BY_SLURM, "SLURM_GPUS_ON_NODE", "SLURM_GPUS", "SLURM_GPUS_PER_NODE", "SLURM_GPUS_PER_TASK")
    return "SLURM_JOB_ID" in environment and not any(environment.get(name) for name in given)


def _of_slurm(environment: Mapping[str, str], look: Look) -> Found:
    """Take all that the driver shows; of a Slurm job that shows more than it was given, what it was given."""
    numbers = _listed(next((environment[name] for name in _BY_SLURM if environment.get(name)), ""))
    shown = {reading.gpu for reading in look.devices}
    if numbers and not shown:
        return Found(tuple(Device(name, f"GPU {name}") for name in numbers))
    all_ours = not numbers or len(shown) <= len(numbers)
    ours = [reading for reading in look.devices if all_ours or str(reading.gpu) in numbers]
    usable = tuple(_device(reading) for reading in ours if not reading.error)
    left_out = [_why_not(reading) for reading in ours if reading.error]
    return Found(usable, tuple(filter(None, [*left_out, look.problem])))


def _match(given: Sequence[str], look: Look, *, by_number: bool) -> Found:
    """Say of devices that were given what the driver knows of them; one that it calls broken is left out."""
    devices: dict[str, Device] = {}
    notes = []
    for name in given:
        known = [one for one in look.devices if _is_called(one, name, by_number=by_number)]
        reading = known[0] if len(known) == 1 else None
        if reading is not None and not reading.error:
            devices.setdefault(reading.uuid or name, _device(reading, name))
        elif reading is not None and reading.error != nvml.NO_SLICES:
            notes.append(_why_not(reading, name))
        else:  # in a job the driver may hide slices that CUDA can use
            devices[name] = Device(name, f"GPU {name}" if name.isdecimal() else name)
            named = by_number if name.isdecimal() else not name.upper().startswith(_MIG)
            if not known and named and _shows_all(look):
                shown = number_of(len(look.devices), "GPU")
                notes.append(f"{name} was given, and is none of the {shown} that the driver shows")
    return Found(tuple(devices.values()), tuple(filter(None, [*notes, look.problem])))


def _shows_all(look: Look) -> bool:
    """Tell whether what the driver does not show is not there; where there are slices that is not so."""
    return bool(look.devices) and not any(one.error or one.uuid.startswith(_MIG) for one in look.devices)


def _is_called(reading: Reading, name: str, *, by_number: bool) -> bool:
    """Tell whether a name in `CUDA_VISIBLE_DEVICES` means this device; the beginning of a UUID will do."""
    if name.isdecimal():
        return by_number and reading.gpu == int(name)
    return bool(reading.uuid) and reading.uuid.lower().startswith(name.lower())


def _device(reading: Reading, name: str = "") -> Device:
    shown = name or reading.uuid or str(reading.gpu)
    return Device(shown, reading.label, reading.total, reading.free, reading.is_busy(os.getpid()))


def _why_not(reading: Reading, name: str = "") -> str:
    given = f", given as {name}," if name and name != str(reading.gpu) else ""
    return f"{reading.label}{given} is left out: {reading.error}"


# -- who gets which


def assign(
    devices: Sequence[Device], per_task: float, memory: int | None = None, most: int = MOST
) -> list[Seat]:
    """Make seats of devices, of which a task needs a whole number, or a share of one, or so much memory of each.

    First come devices that nobody else uses, in turn, so that tasks spread over them.

    Parameters
    ----------
    devices : sequence of Device
        What there is.
    per_task : float
        Whole devices, or a share below 1; 0 with `memory`: as many tasks share a device as have room there.
    memory : int, optional
        Bytes that must be free for each task on each of its devices.
    most : int
        More seats are not needed.

    Examples
    --------
    >>> [seat.gpus for seat in assign([Device("0"), Device("1")], 0.5)]
    [('0',), ('1',), ('0',), ('1',)]
    >>> [seat.gpus for seat in assign([Device("0", free=24 * 10**9), Device("1", free=9 * 10**9)], 0, 8 * 10**9)]
    [('0',), ('1',), ('0',), ('0',)]
    """
    ordered = [[one for one in devices if one.busy is busy] for busy in (False, True)]
    seats: list[Seat] = []
    if per_task >= 1:
        size = int(per_task)
        fit = [one for group in ordered for one in group if _room(one, 1, memory)]
        fit = fit if size == 1 else [one for one in fit if not one.name.upper().startswith(_MIG)]
        for start in range(0, len(fit) - size + 1, size):
            own = fit[start : start + size]
            totals = [one.total for one in own if one.total is not None]
            seats.append(Seat(tuple(one.name for one in own), 1.0, min(totals) if totals else None))
        return seats[:most]
    for group in ordered:
        room = {one: _room(one, per_task, memory) for one in group}
        for turn in range(most):
            seats += [_shared(one, per_task, memory) for one in group if room[one] > turn]
            if len(seats) >= most or turn >= max(room.values(), default=0):
                break
    return seats[:most]


def _room(device: Device, per_task: float, memory: int | None) -> int:
    """Return how many tasks a device has room for at once."""
    by_share = int(1 / per_task + 1e-9) if per_task > 1e-6 else 1_000_000
    return by_share if memory is None else min(by_share, (device.free or 0) // memory)


def _shared(device: Device, per_task: float, memory: int | None) -> Seat:
    if memory is None:
        return Seat((device.name,), per_task, device.total and int(device.total * per_task))
    return Seat((device.name,), memory / device.total if device.total else per_task, memory)


def devices_needed(tasks: int, per_task: float, memory: int | None = None) -> int:
    """Return how many devices a scheduler is to be asked for, so that so many tasks run at once.

    One, where all that a task needs is memory of one: how many have room there is seen when it is there.

    Examples
    --------
    >>> devices_needed(4, 2), devices_needed(4, 0.3), devices_needed(4, 0.6), devices_needed(4, 0, 10**9)
    (8, 2, 4, 1)
    """
    if per_task >= 1:
        return tasks * int(per_task)
    return -(-tasks // tasks_on(1, per_task)) if per_task else int(memory is not None)


def tasks_on(devices: int, per_task: float) -> int:
    """Return how many tasks so many devices are enough for at once.

    Examples
    --------
    >>> tasks_on(5, 2), tasks_on(2, 0.3), tasks_on(2, 0.6)
    (2, 6, 2)
    """
    return devices // int(per_task) if per_task >= 1 else devices * _room(Device(""), per_task, None)


def seats_for(per_task: float, memory: int | None, environment: Mapping[str, str]) -> Seats:
    """Make seats of what there is here.

    Raises
    ------
    WorkerStartError
        There is not one; says why, and what would be right.
    """
    found = find(environment)
    seats = assign(found.devices, per_task, memory)
    if not seats:
        raise WorkerStartError(_why_none(found, per_task, memory))
    busy = [
        f"{one.label} is used by others too ({size_text(one.total - one.free)} of it), so its turn comes last"
        for one in found.devices
        if one.busy and one.total is not None and one.free is not None and _room(one, 1, memory)
    ]
    full = [
        f"{one.label} is left out: {_too_little(one)}" for one in found.devices if not _room(one, 1, memory)
    ]
    return Seats(tuple(seats), (*found.left_out, *full, *busy))


def _too_little(device: Device) -> str:
    if device.free is None:
        return "how much of its memory is free cannot be seen"
    return f"{size_text(device.free)} of it are free, and a task needs more"


def _why_none(found: Found, per_task: float, memory: int | None) -> str:
    needs = [f"gpus_per_task={per_task:g}"] if per_task else []
    needs += [f"gpu_memory={size_text(memory)!r}"] if memory is not None else []
    needed, left_out, devices = " and ".join(needs), "; ".join(found.left_out), found.devices
    if not devices:
        left_out = left_out or _NO_DRIVER
        without = "Leave that out to run without." if memory is not None else "gpus_per_task=0 runs without."
        return f"a task needs {needed}, and no GPU can be used here: {left_out}. {without}"
    also = f" ({left_out})" if left_out else ""
    there = "there is 1 GPU" if len(devices) == 1 else f"there are {len(devices)} GPUs"
    if per_task > len(devices):
        return f"a task needs {needed}, and {there} here{also}. Write gpus_per_task={len(devices)}."
    if memory is None:
        return (
            f"a task needs {needed}, and a process can use one MIG slice only{also}. Write gpus_per_task=1."
        )
    known = sorted((one.free for one in devices if one.free is not None), reverse=True)
    if not known:
        how = "" if nvml.is_installed() else "pip install 'memento-ml[gpu]' to see it, or "
        why = f"how much memory is free cannot be seen here{also}"
        return f"a task needs {needed}, and {why}: {how}let two tasks share a GPU by gpus_per_task=0.5 alone."
    room = known[min(max(int(per_task), 1), len(known)) - 1]
    shown = ", ".join(f"{one.label} has {size_text(one.free or 0)}" for one in devices[:_SHOWN])
    return (
        f"a task needs {needed}, and so much is not free: {shown}{also}. Write gpu_memory={_fitting(room)!r}."
    )


def _fitting(free: int) -> str:
    """Write a round size that fits."""
    return f"{free // 10**9}GB" if free >= 10**9 else f"{free // 10**6}MB"


# -- what a worker sees


def variables(seat: Seat, environment: Mapping[str, str]) -> dict[str, str]:
    """Return what a worker's environment has of its seat, beside what the user has set.

    Of AMD's variables the topmost that was given is narrowed: its numbers count what those below it leave.
    """
    names = ",".join(seat.gpus)
    told = _told_by(environment) or "CUDA_VISIBLE_DEVICES"
    found = {told: names}
    if told == "CUDA_VISIBLE_DEVICES":
        found[_ORDER] = environment.get(_ORDER, "PCI_BUS_ID")  # CUDA's own order is not the driver's
        if "HIP_VISIBLE_DEVICES" in environment:
            found["HIP_VISIBLE_DEVICES"] = names
    if seat.share < 1:  # these take all of a device, or most of it, before they need it
        fraction = f"{_PREALLOCATED * seat.share:.3f}"
        found["XLA_PYTHON_CLIENT_MEM_FRACTION"] = environment.get("XLA_PYTHON_CLIENT_MEM_FRACTION", fraction)
        found["TF_FORCE_GPU_ALLOW_GROWTH"] = environment.get("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    return found
