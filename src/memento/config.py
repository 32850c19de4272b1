"""One choice of parameter values, as an experiment sees it.

Knows: names and values. May not know: matrices, keys, stores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MethodType
from typing import TYPE_CHECKING, Any

from memento.wording import safe_text


class OfTask:
    """What stands for the result of a task where that is a value."""

    def origin(self) -> Mapping[str, Any] | None:
        """Return the parameters of the task; None where they are not known."""
        return None


class Deferred(OfTask):
    """A value that is loaded when a config is first asked for it, like an upstream task's result."""

    def load(self) -> Any:
        """Return the value itself."""
        raise TypeError(f"{type(self).__qualname__} must say how it loads")


class TaskParameters(dict[str, Any]):
    """The parameters of a task, with the labels of those values that have one."""

    def __init__(self, parameters: Mapping[str, Any], labels: Mapping[str, str]) -> None:
        super().__init__(parameters)
        self.labels = labels


def labels_in(parameters: Mapping[str, Any] | None) -> Mapping[str, str]:
    """Return the labels of a task's values by the names of its parameters."""
    return parameters.labels if isinstance(parameters, TaskParameters) else {}


def inherited(parameters: Mapping[str, Any], name: str) -> tuple[Mapping[str, Any], str]:
    """Return whose parameter "clean.dataset" is, at any depth: all those of the task, and its name; raises KeyError.

    Names may have dots of their own; that no two of a matrix are alike is checked before anything runs.
    """
    for own, value in parameters.items():
        if isinstance(value, OfTask) and name.startswith(f"{own}."):
            origin, rest = value.origin() or {}, name[len(own) + 1 :]
            if rest in origin:
                return origin, rest
            try:
                return inherited(origin, rest)
            except KeyError:  # another parameter may begin alike
                continue
    raise KeyError(name)


def lineage(parameters: Mapping[str, Any]) -> Iterator[tuple[str, Any, str]]:
    """Yield the parameters of upstream tasks, at any depth, except results of tasks: name, value, label or ""."""
    for own, value in parameters.items():
        origin = value.origin() if isinstance(value, OfTask) else None
        for name, inner in (origin or {}).items():
            if not isinstance(inner, OfTask) or not inner.origin():
                yield f"{own}.{name}", inner, labels_in(origin).get(name, "")
        yield from ((f"{own}.{name}", inner, label) for name, inner, label in lineage(origin or {}))


ELSEWHERE = {  # what people look for in a config -> where it is
    **dict.fromkeys(("seed", "rng", "key", "logger", "attempt", "directory", "resources"), "context.{}"),
    **dict.fromkeys(("to_dict", "as_dict", "dict", "_asdict", "parameters", "params"), "config.asdict()"),
    **dict.fromkeys(("n_jobs", "cpus", "num_workers"), "context.resources.cpus"),
    **dict.fromkeys(("device", "gpu", "gpus", "cuda"), "context.resources.gpus"),
}


class _Method:
    """A method that gives way to a parameter of its name: a matrix may have had one before configs were mappings."""

    def __init__(self, method: Callable[..., Any]) -> None:
        self._method, self._name = method, method.__name__

    def __get__(self, config: Config | None, owner: type) -> Any:
        if config is None:
            return self._method
        return config[self._name] if self._name in config else MethodType(self._method, config)


class Config(Mapping[str, Any]):
    """A single experiment configuration: a mapping of its parameters, which are attributes too.

    Settings are attributes where no parameter has their name; they are no items, so that ``Model(**config)`` and
    ``dict(config)`` have the parameters and nothing else. (With a parameter called `keys` write ``config.asdict()``.)

    Parameters
    ----------
    **parameters : object
        The value of each parameter.

    Examples
    --------
    >>> config = Config(model="svc", C=1.0)
    >>> config.model, config["C"], config.get("gamma", "scale")
    ('svc', 1.0, 'scale')
    >>> dict(config), len(config), "gamma" in config
    ({'model': 'svc', 'C': 1.0}, 2, False)
    """

    settings: Mapping[str, Any]
    repeat: int

    def __new__(cls, *args: Any, **kwargs: Any) -> Config:
        self = super().__new__(cls)
        # Unpickling asks for attributes before it sets any: without these, __getattr__ would not end.
        self.__dict__["_dict"] = {}
        self.__dict__["settings"] = {}
        self.__dict__["repeat"] = 0
        return self

    def __init__(self, **parameters: Any) -> None:
        self._dict = parameters

    @classmethod
    def build(cls, parameters: dict[str, Any], settings: Mapping[str, Any], repeat: int = 0) -> Config:
        """Make a config from a dict, whose names may be any string."""
        self = object.__new__(cls)
        attributes = self.__dict__
        attributes["_dict"], attributes["settings"], attributes["repeat"] = parameters, settings, repeat
        return self

    def told_by(self, labels: Callable[[], Mapping[str, str]]) -> Config:
        """Show values by these texts, which tell them from others of their parameter; "" stands for the repeat."""
        self.__dict__["_tell"] = labels
        return self

    def __getattr__(self, name: str) -> Any:
        try:
            value = self._dict[name]
        except KeyError:
            if name in self.settings:
                return self.settings[name]
            raise AttributeError(f"config has no parameter {name!r}{self._instead(name)}") from None
        return self._resolve(name, value) if isinstance(value, Deferred) else value

    def __getitem__(self, name: str) -> Any:
        try:
            value = self._dict[name]
        except KeyError:
            if name in self:
                return self._of_upstream(name)
            raise KeyError(f"config has no parameter {name!r}{self._instead(name)}") from None
        return self._resolve(name, value) if isinstance(value, Deferred) else value

    def _instead(self, name: object) -> str:
        """Say what to write instead of a name that no parameter has."""
        deeper = [f"config[{inner!r}]" for inner, *_ in lineage(self._unloaded)]
        known = f"; it has: {', '.join([*self._dict, *deeper]) or 'none'}"
        known += f", and the settings {', '.join(map(str, self.settings))}" if self.settings else ""
        if not isinstance(name, str) or name.startswith("__"):
            return known
        if name in self.settings:
            return (
                f". It is a setting: write config.{name if name.isidentifier() else f'settings[{name!r}]'}."
            )
        line = ELSEWHERE.get(name, "").format(name)
        if not line:
            from memento.suggest import nearest

            lines = {one: f"config.{one}" for one in (*filter(str.isidentifier, self.settings), *self._dict)}
            lines |= {inner: f"config[{inner!r}]" for inner, *_ in lineage(self._unloaded) if "." in name}
            near = nearest(name, lines)
            line = lines[near[0]] if near else next((d for d in deeper if d.endswith(f".{name}']")), "")
        return f"{known}. Did you mean {line}?" if line else known

    def _resolve(self, name: str, value: Deferred) -> Any:
        self.__dict__.setdefault("_loaded", {})[name] = value  # who wants its task's parameters asks it
        # Kept, so that a task that asks twice gets one object.
        loaded = self._dict[name] = value.load()
        return loaded

    @property
    def _unloaded(self) -> dict[str, Any]:
        """The parameters, results of other tasks as what loads them."""
        return {**self._dict, **self.__dict__.get("_loaded", {})}

    def _of_upstream(self, name: str) -> Any:
        """Return a parameter of an upstream task's: "clean.dataset"."""
        kept = self.__dict__.setdefault("_inherited", {})
        if name not in kept:
            origin, rest = inherited(self._unloaded, name)
            value = origin[rest]
            kept[name] = value.load() if isinstance(value, Deferred) else value
        return kept[name]

    def __contains__(self, name: object) -> bool:
        if name in self._dict:
            return True
        if not isinstance(name, str) or "." not in name:
            return False
        try:
            inherited(self._unloaded, name)
        except KeyError:
            return False
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(self._dict)

    def __len__(self) -> int:
        return len(self._dict)

    if not TYPE_CHECKING:
        keys, items, values = map(_Method, (Mapping.keys, Mapping.items, Mapping.values))

    def get(self, name: str, default: Any = None) -> Any:
        """Return a parameter's value, or `default` where this config does not have it."""
        return self[name] if name in self else default  # noqa: SIM401 - it would call itself

    def asdict(self) -> dict[str, Any]:
        """Return the parameters as a dict of their own."""
        return {name: self[name] for name in self._dict}

    def __str__(self) -> str:
        return str(self._texts())  # as texts, which scripts for 1.2.0 may read

    def __repr__(self) -> str:
        return f"Config({', '.join(f'{short_text(n)}={v}' for n, v in self._texts().items())})"

    def _texts(self) -> dict[str, str]:
        """Name each value in a few words, and the repeat where there are several."""
        told = self.__dict__.get("_tell")
        upstream = () if told is not None else lineage(self._unloaded)
        labels = {name: label or short_text(value) for name, value, label in upstream}
        labels |= told() if told is not None else labels_in(self._dict)
        texts: dict[str, str] = {}
        for name, value in self._dict.items():
            deeper = {n: text for n, text in labels.items() if n.startswith(f"{name}.")} if labels else {}
            if deeper and name not in labels:  # an upstream task says less than its parameters
                texts |= deeper
            else:
                texts[name] = short_text(labels.get(name) or value)
        repeat = labels.get("", str(self.repeat) if self.repeat else "")
        return {**texts, "repeat": repeat} if repeat and "repeat" not in texts else texts

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_tell"}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Config):
            return NotImplemented
        return (
            self.repeat == other.repeat
            and _is_same(self.asdict(), other.asdict())
            and _is_same(self.settings, other.settings)
        )

    __hash__ = None  # type: ignore[assignment]  # values may be changed in place, as in 1.2.0


def _is_same(one: Any, other: Any) -> bool:
    """Say whether two values are equal; of arrays and what holds them `==` does not tell."""
    if one is other:
        return True
    try:
        told = one == other
        if isinstance(told, bool):
            return told
    except Exception:  # arrays of several elements in a container, or the user's own
        pass
    import pickle

    try:
        return pickle.dumps(one) == pickle.dumps(other)
    except Exception:  # what cannot be pickled is equal only to itself
        return False


def arguments(config: Config, names: Iterable[str] | None = None) -> dict[str, Any]:
    """Return what a config has of these names, parameters before settings; all that it has where none are named.

    Examples
    --------
    >>> arguments(Config.build({"lr": 0.1}, {"folds": 5}), ("lr", "folds", "depth"))
    {'lr': 0.1, 'folds': 5}
    """
    parameters, settings = config._dict, config.settings
    if names is None:
        return {**settings, **config.asdict()}
    given = {}
    for name in names:
        if name in parameters:
            value = parameters[name]
            given[name] = config._resolve(name, value) if isinstance(value, Deferred) else value
        elif name in settings:
            given[name] = settings[name]
    return given


def config_text(config: Config) -> str:
    """Name a configuration in one line.

    Examples
    --------
    >>> config_text(Config(model=dict, C=1.0))
    'model=dict, C=1.0'
    """
    texts = config._texts()
    repeat = texts.pop("repeat", "") if "repeat" not in config else ""
    # Cut in the middle: both ends tell a text from others.
    parts = [f"{n}={text if len(text) <= 40 else f'{text[:20]}…{text[-19:]}'}" for n, text in texts.items()]
    if repeat:
        parts.append(f"repeat={repeat}")
    return ", ".join(parts) or "no parameters"


def short_text(value: Any, limit: int = 80) -> str:
    """Name a value in a few words: a class or function by its name, the rest by its repr; nothing steers a terminal.

    Examples
    --------
    >>> short_text(dict), short_text("a"), short_text(len)
    ('dict', 'a', 'len')
    """
    value = plain(value)
    if isinstance(value, str):
        text = str.__str__(value)  # whatever a subclass makes of its methods
    elif isinstance(value, type) or (callable(value) and hasattr(value, "__qualname__")):
        text = str(value.__qualname__)
    else:
        try:
            text = repr(value)
        except Exception as exc:  # a user's __repr__ must not end a run
            text = f"<{type(value).__qualname__}: its repr raised {type(exc).__name__}>"
        if " at 0x" in text:
            text = type(value).__qualname__ if text.startswith("<") else _without_addresses(text)
        if "..." in text or "\n" in text:
            text = _of_table(value) + text
    text = text if len(text) <= limit else text[: limit - 1] + "…"
    return text if text.isprintable() else safe_text(text)


def plain(value: Any) -> Any:
    """Return a NumPy scalar as the Python number or text that it equals; anything else as it is.

    Examples
    --------
    >>> import numpy as np
    >>> plain(np.int64(4)), plain(np.float64(0.5)), plain("a")
    (4, 0.5, 'a')
    """
    kind = type(value)
    if kind.__module__ != "numpy" or kind.__name__ == "ndarray" or getattr(value, "shape", None) != ():
        return value
    item = value.item()
    return item if type(item) in (bool, int, float, str) else value


def _of_table(value: Any) -> str:
    """Say what an array or a frame is, before the few numbers that its repr shows."""
    shape = getattr(value, "shape", None)
    if type(shape) is not tuple or not all(type(size) is int for size in shape):
        return ""
    return f"{type(value).__qualname__} {'x'.join(map(str, shape))}: "


def _without_addresses(text: str) -> str:
    """Take out where objects stand in memory: it differs from process to process."""
    import re

    return re.sub(r" at 0x[0-9a-fA-F]+", "", text)


class Configurations(Sequence[Config]):
    """All configurations of a matrix, made when they are asked for.

    Parameters
    ----------
    configs : sequence of Config
        The configurations; a lazy sequence is kept as it is.
    settings : dict
        The settings that all of them share.
    """

    def __init__(self, configs: Sequence[Config], settings: Mapping[str, Any]) -> None:
        self.configurations = configs
        self.settings = settings
        if isinstance(configs, list):
            for config in configs:
                config.settings = settings

    def __len__(self) -> int:
        return len(self.configurations)

    def __iter__(self) -> Iterator[Config]:
        return iter(self.configurations)

    def __getitem__(self, index: Any) -> Any:
        return self.configurations[index]
