"""One choice of parameter values, as an experiment sees it.

Knows: names and values. May not know: matrices, keys, stores.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from memento.hints import Any
from memento.wording import safe_text


class Deferred:
    """A value that is loaded when a config is first asked for it, like an upstream task's result."""

    def load(self) -> Any:
        """Return the value itself."""
        raise TypeError(f"{type(self).__qualname__} must say how it loads")


_ELSEWHERE = {  # what people look for in a config -> where it is
    **dict.fromkeys(("seed", "rng", "key", "logger", "attempt", "directory", "resources"), "context.{}"),
    **dict.fromkeys(("to_dict", "as_dict", "dict", "_asdict", "parameters", "params"), "config.asdict()"),
    **dict.fromkeys(("keys", "items", "values"), "config.asdict().{}()"),
    **dict.fromkeys(("n_jobs", "cpus", "num_workers"), "context.resources.cpus"),
    **dict.fromkeys(("device", "gpu", "gpus", "cuda"), "context.resources.gpus"),
}


class Config:
    """A single experiment configuration; parameters are attributes.

    Parameters
    ----------
    **parameters : object
        The value of each parameter.

    Examples
    --------
    >>> config = Config(model="svc", C=1.0)
    >>> config.model, config["C"], config.get("gamma", "scale")
    ('svc', 1.0, 'scale')
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

    def __getattr__(self, name: str) -> Any:
        try:
            value = self._dict[name]
        except KeyError:
            raise AttributeError(f"config has no parameter {name!r}{self._instead(name)}") from None
        return self._resolve(name, value) if isinstance(value, Deferred) else value

    def __getitem__(self, name: str) -> Any:
        try:
            value = self._dict[name]
        except KeyError:
            raise KeyError(f"config has no parameter {name!r}{self._instead(name)}") from None
        return self._resolve(name, value) if isinstance(value, Deferred) else value

    def _instead(self, name: object) -> str:
        """Say what to write instead of a name that no parameter has."""
        known = f"; it has: {', '.join(self._dict) or 'none'}"
        if not isinstance(name, str) or name.startswith("__"):
            return known
        if name in self.settings:
            return f". It is a setting: write config.settings[{name!r}]."
        line = _ELSEWHERE.get(name, "").format(name)
        if not line:
            import difflib

            near = difflib.get_close_matches(name, self._dict, 1)
            line = f"config.{near[0]}" if near else ""
        return f"{known}. Did you mean {line}?" if line else known

    def _resolve(self, name: str, value: Deferred) -> Any:
        # Kept, so that a task that asks twice gets one object.
        loaded = self._dict[name] = value.load()
        return loaded

    def __contains__(self, name: object) -> bool:
        return name in self._dict

    def __iter__(self) -> Iterator[str]:
        return iter(self._dict)

    def get(self, name: str, default: Any = None) -> Any:
        """Return a parameter's value, or `default` where this config does not have it."""
        return self[name] if name in self._dict else default

    def asdict(self) -> dict[str, Any]:
        """Return the parameters as a dict of their own."""
        return {name: self[name] for name in self._dict}

    def __str__(self) -> str:
        return str({name: short_text(value) for name, value in self._dict.items()})

    def __repr__(self) -> str:
        return f"Config({', '.join(f'{short_text(n)}={short_text(v)}' for n, v in self._dict.items())})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Config):
            return NotImplemented
        return bool(
            self.asdict() == other.asdict()
            and self.settings == other.settings
            and self.repeat == other.repeat
        )

    __hash__ = None  # type: ignore[assignment]  # values may be changed in place, as in 1.2.0


def short_text(value: Any, limit: int = 80) -> str:
    """Name a value in a few words: a class or function by its name, the rest by its repr; nothing steers a terminal.

    Examples
    --------
    >>> short_text(dict), short_text("a"), short_text(len)
    ('dict', 'a', 'len')
    """
    if isinstance(value, str):
        text = str.__str__(value)  # whatever a subclass makes of its methods
    elif isinstance(value, type) or (callable(value) and hasattr(value, "__qualname__")):
        text = str(value.__qualname__)
    else:
        try:
            text = repr(value)
        except Exception as exc:  # a user's __repr__ must not end a run
            text = f"<{type(value).__qualname__}: its repr raised {type(exc).__name__}>"
        if text.startswith("<") and " at 0x" in text:
            text = type(value).__qualname__
    text = text if len(text) <= limit else text[: limit - 1] + "…"
    return text if text.isprintable() else safe_text(text)


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
