"""Ask libraries for the options that a program has set, and set them in another process.

Knows: public options of libraries. May not know: when they are asked for.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import Any

_NUMPY_ERRORS = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}
_NUMPY_PRINTS = {
    "edgeitems": 3, "threshold": 1000, "floatmode": "maxprec", "precision": 8, "suppress": False, "linewidth": 75,
    "nanstr": "nan", "infstr": "inf", "sign": "-", "formatter": None, "legacy": False, "override_repr": None,
}  # fmt: skip


def _changed(asked: dict[str, Any], usual: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in asked.items() if name not in usual or usual[name] != value}


def _numpy() -> tuple[Any, ...]:
    numpy = sys.modules["numpy"]
    errors = _changed(numpy.geterr(), _NUMPY_ERRORS)
    return errors, _changed(numpy.get_printoptions(), _NUMPY_PRINTS)


def _set_numpy(asked: tuple[Any, ...]) -> None:
    if not any(asked):
        return
    # Imported now where that has not happened: set in the middle of a task, this would end with it.
    import numpy

    numpy.seterr(**asked[0])
    numpy.set_printoptions(**asked[1])


def _pandas() -> dict[str, Any]:
    pandas, config = sys.modules["pandas"], sys.modules["pandas._config.config"]
    changed = {}
    for name, option in config._registered_options.items():
        with contextlib.suppress(Exception):  # some ask for what is not installed
            value = pandas.get_option(name)
            if value is not option.defval and value != option.defval:
                changed[name] = value
    return changed


def _set_pandas(asked: dict[str, Any]) -> None:
    pandas: Any = sys.modules["pandas"]
    for name, value in asked.items():
        with contextlib.suppress(Exception):
            pandas.set_option(name, value)


def _sklearn() -> dict[str, Any]:
    options: dict[str, Any] = sys.modules["sklearn"].get_config()
    return options


def _set_sklearn(asked: dict[str, Any]) -> None:
    sys.modules["sklearn"].set_config(**asked)


def _xarray() -> dict[str, Any]:
    return dict(sys.modules["xarray"].get_options())


def _set_xarray(asked: dict[str, Any]) -> None:
    sys.modules["xarray"].set_options(**asked)


def _matplotlib() -> dict[str, Any]:
    matplotlib = sys.modules["matplotlib"]
    here, default = matplotlib.rcParams, matplotlib.rcParamsDefault
    asked = {}
    for name in here:
        value = dict.__getitem__(here, name)  # the mapping's own way would choose a backend
        if value != dict.__getitem__(default, name) and not (name == "backend" and type(value) is not str):
            asked[name] = value
    return asked


def _set_matplotlib(asked: dict[str, Any]) -> None:
    matplotlib = sys.modules["matplotlib"]
    for name, value in asked.items():
        with contextlib.suppress(Exception):
            matplotlib.rcParams[name] = value
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None and "backend" in asked:
        pyplot.switch_backend(asked["backend"])


_CUDNN = ("deterministic", "benchmark", "allow_tf32", "enabled")


def _torch() -> dict[str, Any]:
    torch = sys.modules["torch"]
    asked = {
        "dtype": torch.get_default_dtype(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "warn_only": torch.is_deterministic_algorithms_warn_only_enabled(),
        "precision": torch.get_float32_matmul_precision(),
        "grad": torch.is_grad_enabled(),
        "anomaly": torch.is_anomaly_enabled(),
        "cudnn": {name: getattr(torch.backends.cudnn, name) for name in _CUDNN},
    }
    if hasattr(torch, "get_default_device"):
        asked["device"] = str(torch.get_default_device())
    return asked


def _set_torch(asked: dict[str, Any]) -> None:
    torch = sys.modules["torch"]
    torch.set_default_dtype(asked["dtype"])
    torch.use_deterministic_algorithms(asked["deterministic"], warn_only=asked["warn_only"])
    torch.set_float32_matmul_precision(asked["precision"])
    torch.set_grad_enabled(asked["grad"])
    if asked["anomaly"]:
        torch.autograd.set_detect_anomaly(True)
    for name, value in asked["cudnn"].items():
        if getattr(torch.backends.cudnn, name) != value:
            setattr(torch.backends.cudnn, name, value)
    if asked.get("device", "cpu") != "cpu":
        torch.set_default_device(asked["device"])


AT_ONCE = ("numpy",)  # set where they are not loaded, too
# name of the module -> (what it is asked, what sets the answer in another process)
OPTIONS: dict[str, tuple[Callable[[], Any], Callable[[Any], None]]] = {
    "numpy": (_numpy, _set_numpy),
    "pandas": (_pandas, _set_pandas),
    "sklearn": (_sklearn, _set_sklearn),
    "xarray": (_xarray, _set_xarray),
    "matplotlib": (_matplotlib, _set_matplotlib),
    "torch": (_torch, _set_torch),
}
