"""The options that Python and libraries keep for a whole process or thread: how each is asked for, and how it is set.

Knows: options by their public names. May not know: tasks, processes.

One table for two uses. `Options` puts back what a task has changed, so that it does not reach the next one;
`carrying` takes what the program has set to fresh processes. A library counts from when it is loaded: its options are
what they were when its import ended, or before the first task.
"""

from __future__ import annotations

import contextlib
import copy
import gc
import importlib
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from memento import system

_C: Any = importlib.import_module("_locale")  # `locale` takes 2 ms to import
_setlocale = _C.setlocale
# One by one: for all at once the system makes a text of them, which takes twice as long.
_CATEGORIES = tuple(
    getattr(_C, name)
    for name in "LC_CTYPE LC_COLLATE LC_MESSAGES LC_MONETARY LC_NUMERIC LC_TIME".split()
    if hasattr(_C, name)
)

_SMALLEST = sys.float_info.min  # half of it is 0.0 where the processor flushes what is smaller


class Option:
    """One thing that Python or a library keeps; what `get` returns nobody changes later, but for a list."""

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
        self.quick = same  # tells whether it has a value, where comparing what `get` returns would take long
        self.local = local  # each thread has its own
        self.carried = carried  # fresh processes are to have what the program has
        # After each task; not what lives in a context, since tasks run in copies of it.
        self.put_back = put_back

    def same(self, value: Any) -> bool:
        """Tell whether it is so now."""
        return bool(self.get() == value) if self.quick is None else self.quick(value)

    def set(self, value: Any) -> bool:
        """Set it where it is another; tell whether it is so now."""
        if self.same(value):
            return True
        self._put(value)
        return self.same(value)


def _attribute(owner: Any, name: str, *, carried: bool = True) -> Option:
    what = f"{owner.__name__}.{name}"
    return Option(what, partial(getattr, owner, name), partial(setattr, owner, name), carried=carried)


def _changing(options: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """Return the options that are not so now."""
    return {name: value for name, value in options.items() if name not in now or now[name] != value}


# -- Python's own


def python() -> Iterator[Option]:
    """Yield the options of Python itself."""
    yield Option("sys.path", partial(getattr, sys, "path"), _set_path, carried=False)
    yield Option("sys.argv", partial(getattr, sys, "argv"), _set_arguments)
    yield Option("the recursion limit", sys.getrecursionlimit, sys.setrecursionlimit)
    # Python cuts to whole microseconds what it is given, and may tell of 99 where 100 were set.
    interval: Callable[[float], None] = lambda value: sys.setswitchinterval(value + 5e-7)  # noqa: E731
    yield Option("the switch interval", sys.getswitchinterval, interval)
    if hasattr(sys, "get_int_max_str_digits"):  # Python 3.10 has it from 3.10.7 on
        yield Option("the limit of digits", sys.get_int_max_str_digits, sys.set_int_max_str_digits)
    collects: Callable[[bool], None] = lambda on: (gc.enable if on else gc.disable)()  # noqa: E731
    yield Option("garbage collection", gc.isenabled, collects, carried=False)
    yield Option(
        "garbage collection's thresholds", gc.get_threshold, lambda v: gc.set_threshold(*v), carried=False
    )
    yield Option(
        "the locale",
        lambda: tuple(map(_setlocale, _CATEGORIES)),
        lambda value: list(map(_setlocale, _CATEGORIES, value)),
    )
    # `carrying` takes along those that can be pickled.
    yield Option("warnings.filters", _filters, set_filters, _has_filters, carried=False)


def _set_path(path: list[str]) -> None:
    sys.path[:] = path


def _set_arguments(arguments: list[str]) -> None:
    sys.argv = list(arguments)


def _filters() -> list[Any]:
    with system.turn():  # not those that another thread has set for a moment
        filters: list[Any] = warnings.filters  # type: ignore[assignment]  # typeshed calls it a Sequence
        return filters


def _has_filters(filters: list[Any]) -> bool:
    return bool(warnings.filters == filters)


def set_filters(filters: list[Any]) -> None:
    """Set the filters of warnings, in the list that is there."""
    with system.turn():
        warnings.filters[:] = filters  # type: ignore[index]  # typeshed calls it a Sequence
        with warnings.catch_warnings():
            pass  # at its end Python forgets what it has found out about the filters


# -- of libraries

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
    shared = torch.multiprocessing
    for what, get, put in (
        ("default dtype", torch.get_default_dtype, torch.set_default_dtype),
        ("precision of products", torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
        ("anomaly mode", torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
        ("way to share memory", shared.get_sharing_strategy, shared.set_sharing_strategy),
    ):
        yield Option(f"torch's {what}", get, put)
    for what, get, put in (
        ("grad mode", torch.is_grad_enabled, torch.set_grad_enabled),
        ("inference mode", torch.is_inference_mode_enabled, lambda _: None),  # its own guard alone ends it
        ("flushing of small numbers", lambda: _SMALLEST * 0.5 == 0.0, torch.set_flush_denormal),
    ):
        yield Option(f"torch's {what}", get, put, local=True)
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
    """The options of the libraries that are loaded, as they were when this was made; or only those of a thread."""

    def __init__(self, *, local: bool = False, of_python: bool = False) -> None:
        self._local = local
        self._known: set[str] = set()
        self._kept: list[tuple[Option, Any]] = []
        self._keep(python() if of_python else ())
        for name in LIBRARIES:
            self.notice(name)

    def notice(self, name: str) -> None:
        """Remember the options of a library as they are now, where it is loaded."""
        if name not in sys.modules or name in self._known:
            return
        self._known.add(name)
        self._keep(options_of(name))

    def _keep(self, options: Iterable[Option]) -> None:
        for option in options:
            if option.put_back and (option.local or not self._local):
                with contextlib.suppress(Exception):
                    value = option.get()
                    self._kept.append((option, list(value) if type(value) is list else value))

    def put_back(self) -> str:
        """Put back what was changed, in this thread; return what cannot be put back, or ""."""
        left = ""
        for option, value in self._kept:
            try:
                kept = option.get() == value if option.quick is None else option.quick(value)
                kept = kept or option.set(value)
            except Exception:  # what was set is nothing that can be asked for, or set
                kept = False
            if not kept:
                left = left or option.what
        return left
