"""Put back the options of libraries that a task has changed.

Knows: the options that libraries keep for a whole process or thread, by their public names. May not know: tasks.

A library counts from when it is loaded: its options are what they were when its import ended, or before the first task.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

_SMALLEST = sys.float_info.min  # half of it is 0.0 where the processor flushes what is smaller


class Setting:
    """One thing that a library keeps.

    Parameters
    ----------
    what : str
        Its name, for people.
    get : callable
        Returns what it is now.
    put : callable
        Sets it.
    local : bool
        Whether each thread has its own.
    """

    def __init__(
        self, what: str, get: Callable[[], Any], put: Callable[[Any], Any], *, local: bool = False
    ) -> None:
        self.what, self.local, self.get, self._put = what, local, get, put
        self.kept = get()

    def put_back(self) -> bool:
        """Set it to what it was; tell whether it is so now."""
        self._put(self.kept)
        return bool(self.get() == self.kept)


def _torch() -> Iterator[Setting]:
    torch: Any = sys.modules["torch"]
    yield Setting("torch's grad mode", torch.is_grad_enabled, torch.set_grad_enabled, local=True)
    yield Setting("torch's default dtype", torch.get_default_dtype, torch.set_default_dtype)
    yield Setting("torch's threads", torch.get_num_threads, torch.set_num_threads)
    yield Setting(
        "torch's deterministic algorithms",
        lambda: (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        ),
        lambda kept: torch.use_deterministic_algorithms(kept[0], warn_only=kept[1]),
    )
    yield Setting(
        "torch's precision of products",
        torch.get_float32_matmul_precision,
        torch.set_float32_matmul_precision,
    )
    yield Setting("torch's anomaly mode", torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly)
    # Nothing but its own guard ends it.
    yield Setting("torch's inference mode", torch.is_inference_mode_enabled, lambda kept: None, local=True)
    yield Setting(
        "torch's flushing of small numbers",
        lambda: _SMALLEST * 0.5 == 0.0,
        torch.set_flush_denormal,
        local=True,
    )
    yield Setting(
        "torch's way to share memory",
        torch.multiprocessing.get_sharing_strategy,
        torch.multiprocessing.set_sharing_strategy,
    )
    if hasattr(torch, "get_default_device"):
        yield Setting(
            "torch's default device",
            torch.get_default_device,
            # The processor is what counts where none is set; setting it would slow every call down.
            lambda kept: torch.set_default_device(None if kept.type == "cpu" else kept),
        )
    for owner, name in (
        (torch.backends.cudnn, "enabled"),
        (torch.backends.cudnn, "benchmark"),
        (torch.backends.cudnn, "deterministic"),
        (torch.backends.cudnn, "allow_tf32"),
        (torch.utils.deterministic, "fill_uninitialized_memory"),
    ):
        yield _attribute(owner, name)
    for device in ("cpu", "cuda"):  # the last: before 2.4 PyTorch asked for no device here
        yield _autocast(torch, device)


def _autocast(torch: Any, device: str) -> Setting:
    def put(kept: tuple[bool, Any]) -> None:
        torch.set_autocast_enabled(device, kept[0])
        torch.set_autocast_dtype(device, kept[1])

    return Setting(
        f"torch's autocast on {device}",
        lambda: (torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)),
        put,
        local=True,
    )


def _attribute(owner: Any, name: str) -> Setting:
    return Setting(
        f"{owner.__name__}.{name}", lambda: getattr(owner, name), lambda kept: setattr(owner, name, kept)
    )


def _matplotlib() -> Iterator[Setting]:
    params: Any = sys.modules["matplotlib"].rcParams
    # As dicts do it: asked in the mapping's own way, a backend that nobody has chosen would be chosen.
    kept = {name: _own(value) for name, value in dict.items(params)}

    def put(_: object) -> None:
        kept["backend"] = dict.__getitem__(params, "backend")  # figures are made with it by now
        dict.update(params, {name: _own(value) for name, value in kept.items()})

    yield Setting("matplotlib's rcParams", lambda: dict.__eq__(params, kept), put)


def _own(value: Any) -> Any:
    return list(value) if type(value) is list else value


def _pyplot() -> Iterator[Setting]:
    pyplot: Any = sys.modules["matplotlib.pyplot"]

    def close(kept: list[int]) -> None:
        for number in set(pyplot.get_fignums()) - set(kept):
            pyplot.close(number)

    yield Setting("open figures of pyplot", pyplot.get_fignums, close)


def _sklearn() -> Iterator[Setting]:
    sklearn: Any = sys.modules["sklearn"]
    yield Setting(
        "scikit-learn's options", sklearn.get_config, lambda kept: sklearn.set_config(**kept), local=True
    )


def _pandas() -> Iterator[Setting]:
    import copy

    pandas: Any = sys.modules["pandas"]
    if not isinstance(getattr(pandas.options, "d", None), dict):
        return
    kept = copy.deepcopy(pandas.options.d)

    def put(_: object) -> None:
        now = _flat(pandas.options.d)  # to ask for one that is deprecated would warn
        for name, was in _flat(kept).items():
            if now.get(name) != was:
                pandas.set_option(name, was)

    yield Setting("pandas' options", lambda: pandas.options.d == kept, put)


def _flat(options: dict[str, Any], above: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in options.items():
        found |= _flat(value, f"{above}{name}.") if isinstance(value, dict) else {f"{above}{name}": value}
    return found


def _xarray() -> Iterator[Setting]:
    xarray: Any = sys.modules["xarray"]

    def put(kept: dict[str, Any]) -> None:
        now = xarray.get_options()
        xarray.set_options(**{name: value for name, value in kept.items() if now[name] != value})

    yield Setting("xarray's options", lambda: dict(xarray.get_options()), put)


def _socket() -> Iterator[Setting]:
    socket: Any = sys.modules["socket"]
    yield Setting("the default timeout of sockets", socket.getdefaulttimeout, socket.setdefaulttimeout)


def _tempfile() -> Iterator[Setting]:
    yield _attribute(sys.modules["tempfile"], "tempdir")


def _multiprocessing() -> Iterator[Setting]:
    module: Any = sys.modules["multiprocessing"]
    yield Setting(
        "multiprocessing's start method",
        lambda: module.get_start_method(allow_none=True),
        lambda kept: module.set_start_method(kept, force=True),
    )


LIBRARIES: dict[str, Callable[[], Iterator[Setting]]] = {
    "torch": _torch,
    "matplotlib": _matplotlib,
    "matplotlib.pyplot": _pyplot,
    "sklearn": _sklearn,
    "pandas": _pandas,
    "xarray": _xarray,
    "socket": _socket,
    "tempfile": _tempfile,
    "multiprocessing": _multiprocessing,
}


class Libraries:
    """The options of the libraries that are loaded.

    Parameters
    ----------
    local : bool
        Whether only those count that each thread has for itself: others work in this process.

    Examples
    --------
    >>> import socket
    >>> libraries = Libraries()
    >>> socket.setdefaulttimeout(5)
    >>> libraries.restore(), socket.getdefaulttimeout()
    ('', None)
    """

    def __init__(self, *, local: bool = False) -> None:
        self._local = local
        self._known: set[str] = set()
        self._settings: list[Setting] = []
        for name in LIBRARIES:
            self.notice(name)

    def notice(self, name: str) -> None:
        """Remember the options of a library as they are now, where it is loaded."""
        if name not in sys.modules or name in self._known:
            return
        self._known.add(name)
        with contextlib.suppress(Exception):  # half imported, a stand-in, or a version that has it no more
            for setting in LIBRARIES[name]():
                if setting.local or not self._local:
                    self._settings.append(setting)

    def restore(self) -> str:
        """Put back what was changed; return what cannot be put back, or ""."""
        left = ""
        for setting in self._settings:
            try:
                kept = setting.get() == setting.kept or setting.put_back()
            except Exception:  # what was set is nothing that can be asked for, or set
                kept = False
            if not kept:
                left = left or setting.what
        return left
