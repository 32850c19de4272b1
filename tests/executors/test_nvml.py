"""What the driver tells is read whole, whoever tells it, and a driver that is broken costs nothing but its devices."""

from __future__ import annotations

import os
import sys
import types
from pathlib import Path

import pytest

from memento.executors import nvml
from memento.executors.nvml import Reading, look
from tests.executors.drivers import GB, nvml_tells, smi_tells

TWO = [
    {"uuid": "GPU-slow", "name": "T4", "bus": "00000000:81:00.0", "total": 16 * GB, "free": 15 * GB},
    {"uuid": "GPU-fast", "name": "H100", "bus": "00000000:0B:00.0", "total": 80 * GB, "free": 79 * GB},
]
SLICED = {"uuid": "GPU-a", "bus": "1", "mig": [{"uuid": f"MIG-{n}", "total": 5 * GB} for n in range(4)]}
Monkey = pytest.MonkeyPatch


def test_gpus_are_counted_in_the_order_of_their_buses(monkeypatch: Monkey, tmp_path: Path) -> None:
    nvml_tells(monkeypatch, tmp_path, TWO, apart=True)
    found = [(one.gpu, one.uuid, one.label, one.total) for one in look().devices]
    assert found == [(0, "GPU-fast", "GPU 0 (H100)", 80 * GB), (1, "GPU-slow", "GPU 1 (T4)", 16 * GB)]


def test_slices_are_devices_with_memory_of_their_own_and_what_they_are_cut_from_is_none(
    monkeypatch: Monkey, tmp_path: Path
) -> None:
    nvml_tells(monkeypatch, tmp_path, [SLICED, {"uuid": "GPU-b", "bus": "2"}])
    found = [(one.uuid, one.gpu, one.total) for one in look().devices]
    slices = [(f"MIG-{n}", 0, 5 * GB) for n in range(4)]
    assert found == [*slices, ("GPU-b", 1, 80 * GB)]


def test_a_gpu_whose_slices_are_hidden_cannot_be_used(monkeypatch: Monkey, tmp_path: Path) -> None:
    nvml_tells(monkeypatch, tmp_path, [{"uuid": "GPU-a", "mig": []}])
    assert [(one.uuid, one.error) for one in look().devices] == [("GPU-a", nvml.NO_SLICES)]


@pytest.mark.parametrize("where", ["handle", "memory"])
def test_a_lost_gpu_is_told_and_harms_no_other(monkeypatch: Monkey, tmp_path: Path, where: str) -> None:
    nvml_tells(monkeypatch, tmp_path, [{"uuid": "GPU-a", where: "GpuIsLost"}, {"uuid": "GPU-b"}])
    lost, well = look().devices
    assert (lost.gpu, lost.error) == (0, "GPU is lost")
    assert (well.gpu, well.uuid, well.error) == (1, "GPU-b", "")


def test_gpus_that_are_forbidden_are_not_counted(monkeypatch: Monkey, tmp_path: Path) -> None:
    nvml_tells(monkeypatch, tmp_path, [{"uuid": "GPU-a", "handle": "NoPermission"}, {"uuid": "GPU-b"}])
    assert [(one.gpu, one.uuid) for one in look().devices] == [(0, "GPU-b")]


def test_memory_that_nobody_tells_is_unknown(monkeypatch: Monkey, tmp_path: Path) -> None:
    nvml_tells(monkeypatch, tmp_path, [{"uuid": "GPU-a", "memory": "NotSupported"}])
    assert [(one.total, one.error) for one in look().devices] == [(None, "")]


def test_a_driver_that_does_not_fit_its_library_says_so(monkeypatch: Monkey, tmp_path: Path) -> None:
    nvml_tells(monkeypatch, tmp_path, init="LibRmVersionMismatch")
    found = look()
    assert found.devices == ()
    assert "version mismatch" in found.problem
    assert "restart the machine" in found.problem


def test_a_driver_that_never_answers_is_given_up(monkeypatch: Monkey, tmp_path: Path) -> None:
    nvml_tells(monkeypatch, tmp_path, deaf=True, apart=True)
    monkeypatch.setattr(nvml, "_PATIENCE", 0.5)
    assert "did not answer" in look().problem


def test_a_library_that_crashes_does_not_end_this_program(monkeypatch: Monkey, tmp_path: Path) -> None:
    smi_tells(monkeypatch, tmp_path, "GPU 0: T4 (UUID: GPU-a)\n")
    nvml_tells(monkeypatch, tmp_path, crashes=True, apart=True)
    assert [one.uuid for one in look().devices] == ["GPU-a"]


def test_a_program_that_uses_nvml_is_asked_itself(monkeypatch: Monkey, tmp_path: Path) -> None:
    nvml_tells(monkeypatch, tmp_path)
    fake = types.ModuleType("pynvml")
    fake.__dict__.update(NVMLError=RuntimeError, nvmlInit=lambda: None, nvmlDeviceGetCount=lambda: 0)
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    assert look() == nvml.Look()


LISTED = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-1d4b)
  MIG 1g.5gb      Device  0: (UUID: MIG-c6d4)
  MIG 2g.10gb     Device  1: (UUID: MIG-cba6)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-9f2a)
Unable to determine the device handle for GPU 0000:C1:00.0: GPU is lost.  Reboot the system to recover this GPU
"""


def test_without_the_library_nvidia_smi_is_asked(monkeypatch: Monkey, tmp_path: Path) -> None:
    smi_tells(monkeypatch, tmp_path, LISTED, "0, 40960, 40000\n1, 40960, 30000\n", code=15)
    small, large, whole, lost = look().devices
    assert [(one.uuid, one.gpu, one.total) for one in (small, large)] == [
        ("MIG-c6d4", 0, None),
        ("MIG-cba6", 0, None),
    ]
    assert whole == Reading("GPU-9f2a", 1, "NVIDIA A100-SXM4-40GB", 40960 << 20, 30000 << 20)
    assert "is lost" in lost.error
    assert lost.label == "a GPU"


def test_what_nvidia_smi_complains_of_is_told(monkeypatch: Monkey, tmp_path: Path) -> None:
    text = "Failed to initialize NVML: Driver/library version mismatch\n"
    smi_tells(monkeypatch, tmp_path, text, code=18)
    assert look().problem == f"nvidia-smi says: {text.strip()}"


def test_a_machine_without_a_driver_has_no_problem(monkeypatch: Monkey, tmp_path: Path) -> None:
    nvml_tells(monkeypatch, tmp_path, init="LibraryNotFound")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert look() == nvml.Look()


@pytest.mark.parametrize(
    ("free", "pids", "busy"),
    [
        (80 * GB, (), False),
        (79 * GB, (), False),  # the driver's own, or a desktop
        (60 * GB, (), True),  # of a container whose processes are not seen
        (80 * GB, (1,), True),
        (60 * GB, ("own",), False),
    ],
)
def test_a_device_is_busy_where_others_compute_or_hold_its_memory(
    free: int, pids: tuple[int | str, ...], busy: bool
) -> None:
    here = tuple(os.getpid() if pid == "own" else int(pid) for pid in pids)
    assert Reading("GPU-a", 0, "H100", 80 * GB, free, here).is_busy(os.getpid()) is busy


def test_every_question_is_one_of_the_real_library() -> None:
    real = pytest.importorskip("pynvml", reason="pip install 'memento-ml[gpu]'")
    source = Path(nvml.__file__).read_text(encoding="utf-8")
    import re

    asked = set(re.findall(r"\bnvml(?:Init|Shutdown|Device)\w*", source))
    assert len(asked) > 8
    assert {name for name in asked if not hasattr(real, name)} == set()
    for kind in re.findall(r"NVMLError_\w+", source):
        assert issubclass(getattr(real, kind), real.NVMLError)
