"""The options that libraries keep for a whole process or thread: how each is asked for, and how it is set.

Knows: libraries' options by their public names. May not know: tasks, processes.

One table for two uses. `Options` puts back what a task has changed, so that it does not reach the next one;
`carrying` takes what the program has set to fresh processes. A library counts from when it is loaded: its options are
what they were when its import ended, or before the first task.
"""

from __future__ import annotations

import contextlib
import copy
import sys
from collections.abc import Callable, Iterator
from typing import Any

_SMALLEST = sys.float_info.min  # half of it is 0.0 where the processor flushes what is smaller


class Option:
    """One thing that a library keeps; `get` returns a value that nobody changes later."""

    def __init__(
        self,
        what: str,
        get: Callable[[], Any],
        put: Callable[[Any], Any],
        same: Callable[[Any], bool] | None = None,
        *,
        local: bool = False,
        carried: bool = True,
        put_back: bool = True,
    ) -> None:
        self.what, self.get, self._put = what, get, put  # `what` is for people
        self._same = same  # tells whether it has a value, where comparing what `get` returns would take long
        self.local = local  # each thread has its own
        self.carried = carried  # fresh processes are to have what the program has
        self.put_back = (
            put_back  # after each task; not what lives in a context, since tasks run in copies of it
        )

    def same(self, value: Any) -> bool:
        """Tell whether it is so now."""
        return bool(self.get() == value) if self._same is None else self._same(value)

    def set(self, value: Any) -> bool:
        """Set it where it is another; tell whether it is so now."""
        if self.same(value):
            return True
        self._put(value)
        return self.same(value)


def _attribute(owner: Any, name: str, *, carried: bool = True) -> Option:
    what = f"{owner.__name__}.{name}"
    return Option(
        what, lambda: getattr(owner, name), lambda value: setattr(owner, name, value), carried=carried
    )


def _changing(options: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """Return the options that are not so now."""
    return {name: value for name, value in options.items() if name not in now or now[name] != value}


# What NumPy has where nobody has set anything: then no worker need import it.
_NUMPY_ERRORS = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}
_NUMPY_PRINTS = {
    "edgeitems": 3, "threshold": 1000, "floatmode": "maxprec", "precision": 8, "suppress": False, "linewidth": 75,
    "nanstr": "nan", "infstr": "inf", "sign": "-", "formatter": None, "legacy": False, "override_repr": None,
}  # fmt: skip


def _numpy() -> Iterator[Option]:
    numpy: Any = sys.modules["numpy"]
    yield Option(
        "NumPy's handling of errors",
        lambda: _changing(numpy.geterr(), _NUMPY_ERRORS) or None,
        lambda value: numpy.seterr(**value),
        put_back=False,
    )
    yield Option(
        "NumPy's way to print",
        lambda: _changing(numpy.get_printoptions(), _NUMPY_PRINTS) or None,
        lambda value: numpy.set_printoptions(**value),
        put_back=False,
    )


def _torch() -> Iterator[Option]:
    torch: Any = sys.modules["torch"]
    yield Option("torch's grad mode", torch.is_grad_enabled, torch.set_grad_enabled, local=True)
    yield Option("torch's default dtype", torch.get_default_dtype, torch.set_default_dtype)
    # Workers have as many as a task has cores.
    yield Option("torch's threads", torch.get_num_threads, torch.set_num_threads, carried=False)
    yield Option(
        "torch's deterministic algorithms",
        lambda: (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        ),
        lambda value: torch.use_deterministic_algorithms(value[0], warn_only=value[1]),
    )
    yield Option(
        "torch's precision of products",
        torch.get_float32_matmul_precision,
        torch.set_float32_matmul_precision,
    )
    yield Option("torch's anomaly mode", torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly)
    # Nothing but its own guard ends it.
    yield Option("torch's inference mode", torch.is_inference_mode_enabled, lambda value: None, local=True)
    yield Option(
        "torch's flushing of small numbers",
        lambda: _SMALLEST * 0.5 == 0.0,
        torch.set_flush_denormal,
        local=True,
    )
    yield Option(
        "torch's way to share memory",
        torch.multiprocessing.get_sharing_strategy,
        torch.multiprocessing.set_sharing_strategy,
    )
    if hasattr(torch, "get_default_device"):
        yield Option(
            "torch's default device",
            torch.get_default_device,
            # The processor is what counts where none is set; setting it would slow every call down.
            lambda value: torch.set_default_device(None if value.type == "cpu" else value),
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


def _autocast(torch: Any, device: str) -> Option:
    def put(value: tuple[bool, Any]) -> None:
        torch.set_autocast_enabled(device, value[0])
        torch.set_autocast_dtype(device, value[1])

    return Option(
        f"torch's autocast on {device}",
        lambda: (torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)),
        put,
        local=True,
    )


def _matplotlib() -> Iterator[Option]:
    matplotlib: Any = sys.modules["matplotlib"]
    params = matplotlib.rcParams

    # As dicts do it: asked in the mapping's own way, a backend that nobody has chosen would be chosen.
    def own(values: dict[str, Any]) -> dict[str, Any]:
        return {name: list(value) if type(value) is list else value for name, value in dict.items(values)}

    def get() -> dict[str, Any]:
        values = own(params)
        del values["backend"]  # figures are made with it: it is not put back
        return values

    def same(values: dict[str, Any]) -> bool:
        return bool(dict.__eq__(params, {**values, "backend": dict.__getitem__(params, "backend")}))

    yield Option("matplotlib's rcParams", get, lambda values: dict.update(params, own(values)), same)

    def backend() -> str | None:
        name = dict.__getitem__(params, "backend")
        return name if type(name) is str else None

    def use(name: str) -> None:
        params["backend"] = name
        if "matplotlib.pyplot" in sys.modules:
            sys.modules["matplotlib.pyplot"].switch_backend(name)

    yield Option("matplotlib's backend", backend, use, put_back=False)


def _pyplot() -> Iterator[Option]:
    pyplot: Any = sys.modules["matplotlib.pyplot"]

    def close(kept: list[int]) -> None:
        for number in set(pyplot.get_fignums()) - set(kept):
            pyplot.close(number)

    yield Option("open figures of pyplot", pyplot.get_fignums, close, carried=False)


def _sklearn() -> Iterator[Option]:
    sklearn: Any = sys.modules["sklearn"]
    put: Callable[[dict[str, Any]], None] = lambda value: sklearn.set_config(**value)  # noqa: E731
    yield Option("scikit-learn's options", sklearn.get_config, put, local=True)


def _pandas() -> Iterator[Option]:
    pandas: Any = sys.modules["pandas"]
    if not isinstance(getattr(pandas.options, "d", None), dict):
        return

    def put(values: dict[str, Any]) -> None:
        # As they lie there: to ask for one that is deprecated would warn.
        for name, value in _changing(_flat(values), _flat(pandas.options.d)).items():
            pandas.set_option(name, value)

    yield Option(
        "pandas' options",
        lambda: copy.deepcopy(pandas.options.d),
        put,
        lambda values: bool(pandas.options.d == values),
    )


def _flat(options: dict[str, Any], above: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in options.items():
        found |= _flat(value, f"{above}{name}.") if isinstance(value, dict) else {f"{above}{name}": value}
    return found


def _xarray() -> Iterator[Option]:
    xarray: Any = sys.modules["xarray"]

    def put(values: dict[str, Any]) -> None:
        xarray.set_options(**_changing(values, dict(xarray.get_options())))

    yield Option("xarray's options", lambda: dict(xarray.get_options()), put)


def _socket() -> Iterator[Option]:
    socket: Any = sys.modules["socket"]
    yield Option("the default timeout of sockets", socket.getdefaulttimeout, socket.setdefaulttimeout)


def _tempfile() -> Iterator[Option]:
    yield _attribute(sys.modules["tempfile"], "tempdir", carried=False)


def _multiprocessing() -> Iterator[Option]:
    module: Any = sys.modules["multiprocessing"]
    yield Option(
        "multiprocessing's start method",
        lambda: module.get_start_method(allow_none=True),
        lambda value: module.set_start_method(value, force=True),
    )


LIBRARIES: dict[str, Callable[[], Iterator[Option]]] = {
    "numpy": _numpy,
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


def options_of(name: str) -> list[Option]:
    """Return the options of a library; fewer where it is half imported, a stand-in, or has some no more."""
    found: list[Option] = []
    if name in sys.modules:
        with contextlib.suppress(Exception):
            found.extend(LIBRARIES[name]())
    return found


class Options:
    """The options of the libraries that are loaded, as they were when this was made; or those only that are a thread's.

    Examples
    --------
    >>> import socket
    >>> options = Options()
    >>> socket.setdefaulttimeout(5)
    >>> options.put_back(), socket.getdefaulttimeout()
    ('', None)
    """

    def __init__(self, *, local: bool = False) -> None:
        self._local = local
        self._known: set[str] = set()
        self._kept: list[tuple[Option, Any]] = []
        for name in LIBRARIES:
            self.notice(name)

    def notice(self, name: str) -> None:
        """Remember the options of a library as they are now, where it is loaded."""
        if name not in sys.modules or name in self._known:
            return
        self._known.add(name)
        for option in options_of(name):
            if option.put_back and (option.local or not self._local):
                with contextlib.suppress(Exception):
                    self._kept.append((option, option.get()))

    def put_back(self) -> str:
        """Put back what was changed, in this thread; return what cannot be put back, or ""."""
        left = ""
        for option, value in self._kept:
            try:
                kept = option.same(value) or option.set(value)
            except Exception:  # what was set is nothing that can be asked for, or set
                kept = False
            if not kept:
                left = left or option.what
        return left
