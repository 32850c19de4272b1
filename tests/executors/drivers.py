"""Machines with GPUs that are not there: a driver that tells of them, by NVML or by `nvidia-smi`."""

from __future__ import annotations

import json
import os
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

GB = 10**9
_VARIABLES = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")


def nothing_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take everything out of the environment that says which devices are ours."""
    for name in list(os.environ):
        if name in _VARIABLES or name.startswith("SLURM_"):
            monkeypatch.delenv(name)


def nvml_tells(
    monkeypatch: pytest.MonkeyPatch, folder: Path, gpus: Any = (), *, apart: bool = False, **more: Any
) -> None:
    """Have NVML tell of these devices, as `fake_nvml/pynvml.py` reads them: `apart`, or quickly in this process."""
    nothing_given(monkeypatch)
    place = Path(__file__).with_name("fake_nvml")
    monkeypatch.syspath_prepend(str(place))
    monkeypatch.delitem(sys.modules, "pynvml", raising=False)
    if not apart:
        spec = spec_from_file_location("pynvml", place / "pynvml.py")
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        monkeypatch.setitem(sys.modules, "pynvml", module)
    file = folder / "nvml.json"
    file.write_text(json.dumps({"gpus": list(gpus), **more}))
    monkeypatch.setenv("FAKE_NVML", str(file))


def smi_tells(
    monkeypatch: pytest.MonkeyPatch, folder: Path, listed: str, memory: str = "", code: int = 0
) -> None:
    """Have `nvidia-smi` print this, on a machine where Python does not reach NVML."""
    nvml_tells(monkeypatch, folder, init="LibraryNotFound")
    place = folder / "smi"
    place.mkdir()
    (place / "listed").write_text(listed)
    (place / "memory").write_text(memory)
    program = place / "nvidia-smi"
    program.write_text(
        f'#!/bin/sh\ncase "$1" in -L) cat "{place}/listed"; exit {code};; *) cat "{place}/memory";; esac\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}{os.pathsep}{os.environ['PATH']}")
