"""Say which step a call is: bind its arguments by the function's signature, and make the key.

Knows: signatures, keys, the code of functions. May not know: files, who computes the step.

A call is bound as Python itself would bind it, by the signature that the function really has: what a decorator has
copied from another function (``__wrapped__``, ``__signature__``) may have other defaults. Where no signature is
certain (a class, a function in C that tells of none), calls are as they are written.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import re
import types
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from inspect import BoundArguments, Parameter, Signature
from typing import TYPE_CHECKING, Any, NamedTuple

from memento.errors import UnkeyableArgument, UnkeyableValue
from memento.keys.names import qualified_name
from memento.keys.readable import outline
from memento.keys.value_digest import digest
from memento.store.provenance import HIDDEN, is_secret, redact_urls

if TYPE_CHECKING:
    from memento.keys.code_versions import CodeVersion

_MOST_KNOWN = 256  # methods whose code is kept in mind
_CONTEXT = "context"  # the parameter by which a step gets a context
# password='x' of an object, 'password': 'x' of a dict
_NAMED = r"""(\b(\w+)'?(?:: |=))('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^\s,(){}\[\]'"]+)"""
_SHOWN, _SHOWN_ALL = 80, 300  # characters of an argument, and of all of them, for people
_NONE: Any = Parameter.empty


class _Own:
    """Stands for the context in the arguments of a step: it gets one of its own, which is no part of its key."""


_OWN = _Own()


class Argument(NamedTuple):
    """One argument as the function sees it."""

    label: str  # "path"; "*paths[0]", "**options['n']"; "0" or "path" of a call that is as written
    value: Any
    default: Any = _NONE
    given: bool = True


class Call:
    """A call of a function as a step; its `key` names the step, its `name` says what is called: "module:qualname"."""

    def __init__(
        self,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        run: str = "",
        contexts: type | tuple[()] = (),
    ) -> None:
        """Bind the call; raise TypeError where `func` can be no step, or cannot be called so.

        The code of steps is read once a `run`; `contexts` is the class of contexts.
        """
        self._func, self.name = func, step_name(func)
        _refuse_lazy(func, self.name)
        self._args = tuple(_OWN if isinstance(value, contexts) else value for value in args)
        self._kwargs = {n: _OWN if isinstance(value, contexts) else value for n, value in kwargs.items()}
        signature = signature_of(func)
        if signature is None:
            self._arguments = list(_as_written(self._args, self._kwargs))
        else:
            bound = _bound(func, signature, self._args, self._kwargs)
            self._args, self._kwargs = bound.args, bound.kwargs
            self._arguments = list(_as_bound(bound))
        how = f"as written, {len(args)} by position" if signature is None else "bound"
        parts = [how.encode(), self._digest(func, "the step itself")]
        parts.append(_code_of(func, [argument.value for argument in self._arguments], run))
        for argument in self._arguments:
            parts += [argument.label.encode(), self._digest_of(argument)]
        self.key = digest(tuple(parts))

    @cached_property
    def arguments(self) -> str:
        """What was given, for people: "path='x', n=3"; short, and without secrets."""
        given = [argument for argument in self._arguments if argument.given and argument.value is not _OWN]
        told = ", ".join(map(_shown, given))
        return told if len(told) <= _SHOWN_ALL else f"{told[: _SHOWN_ALL - 3]}..."

    def __str__(self) -> str:
        return f"{_short(self.name)}({self.arguments})"

    def made(self, context: object) -> Any:
        """Make the call; `context` is the step's own."""
        given = [context if value is _OWN else value for value in self._args]
        named = {name: context if value is _OWN else value for name, value in self._kwargs.items()}
        return self._func(*given, **named)

    def _digest_of(self, argument: Argument) -> bytes:
        if argument.value is _OWN:
            return b"context"
        if argument.value is argument.default:  # some are sentinels that nothing can tell from others
            try:
                return digest(argument.value)
            except UnkeyableValue:
                return b"default"
        return self._digest(argument.value, f"argument {argument.label}")

    def _digest(self, value: Any, what: str) -> bytes:
        try:
            return digest(value)
        except UnkeyableValue as error:
            where = f"context.cached({_short(self.name)}, ...): {what}{error.where}"
            raise UnkeyableArgument(where, error.kind, error.reason) from error.__cause__


def step_name(func: Callable[..., Any]) -> str:
    """Name what is called: "module:qualname"."""
    while isinstance(func, functools.partial):
        func = func.func
    if isinstance(func, types.MethodType):
        return qualified_name(func.__func__)
    named = isinstance(func, (type, types.FunctionType, types.BuiltinFunctionType))
    return qualified_name(func if named or hasattr(func, "__qualname__") else type(func))


def _short(name: str) -> str:
    return name.rpartition(":")[2]


# ------------------------------------------------------------ binding


def signature_of(func: Callable[..., Any]) -> Signature | None:
    """Return the signature that a callable really has; None where that is not certain."""
    bare = _bare(func)
    try:
        return None if bare is None else _apart(inspect.signature(bare))
    except (ValueError, TypeError):  # a function in C that tells of none
        return None


def _apart(signature: Signature) -> Signature:
    """Give parameters that take no name one that nobody uses: in ``f(a, /, **more)``, ``f(1, a=2)`` has both."""
    parameters = list(signature.parameters.values())
    if not parameters or parameters[-1].kind is not Parameter.VAR_KEYWORD:
        return signature
    return signature.replace(
        parameters=[
            one.replace(name=f"_{place}_of_position") if one.kind is Parameter.POSITIONAL_ONLY else one
            for place, one in enumerate(parameters)
        ]
    )


def _bare(func: Any) -> Any:
    """Return what has the same signature and no attributes that say another; None where there is none."""
    if isinstance(func, functools.partial):
        inner = _bare(func.func)
        return None if inner is None else functools.partial(inner, *func.args, **func.keywords)
    if isinstance(func, types.FunctionType):
        told = (func.__code__, func.__globals__, func.__name__, func.__defaults__, func.__closure__)
        bare = types.FunctionType(*told)
        bare.__kwdefaults__ = func.__kwdefaults__
        return bare
    if isinstance(func, types.MethodType):
        return _method(func.__func__, func.__self__)
    if isinstance(func, types.BuiltinFunctionType):
        return func
    if isinstance(func, type):
        return None
    call = type(func).__call__
    if isinstance(call, types.FunctionType):
        return _method(call, func)
    # What is written in C and wraps a function (functools.lru_cache, NumPy's) passes on what it is given.
    wrapped = getattr(func, "__wrapped__", None)
    return _bare(wrapped) if callable(wrapped) else None


def _method(func: Any, owner: object) -> Any:
    bare = _bare(func)
    return None if bare is None else types.MethodType(bare, owner)


def _bound(
    func: Callable[..., Any], signature: Signature, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> BoundArguments:
    """Bind a call; a parameter `context` that must be given, and is not, is the step's own context."""
    ways = [signature]
    own = signature.parameters.get(_CONTEXT)
    if own is not None and own.default is _NONE and own.kind not in (own.VAR_POSITIONAL, own.VAR_KEYWORD):
        rest = [parameter for name, parameter in signature.parameters.items() if name != _CONTEXT]
        ways.append(Signature(rest))
        if _is_annotated(func) and _OWN not in (*args, *kwargs.values()):
            ways.reverse()
    for way in ways:
        try:
            bound = way.bind(*args, **kwargs)
        except TypeError:
            continue
        if way is signature:
            return bound
        given = {**bound.arguments, _CONTEXT: _OWN}
        return BoundArguments(signature, {n: given[n] for n in signature.parameters if n in given})
    problem = "it cannot be called so"
    try:
        func(*args, **kwargs)  # nothing of it runs: Python says what is wrong
    except TypeError as error:
        problem = str(error)
    raise TypeError(f"context.cached({_short(step_name(func))}, ...): {problem}")


def _is_annotated(func: Any) -> bool:
    """Tell whether a function says that its parameter `context` is one of ours."""
    func = getattr(func, "__func__", func)
    told = getattr(func, "__annotations__", {}).get(_CONTEXT)
    name = told if isinstance(told, str) else getattr(told, "__qualname__", "")
    return str(name).rpartition(".")[2] == "Context"


def _as_bound(bound: BoundArguments) -> Iterator[Argument]:
    """Yield each argument, in the signature's order; defaults too."""
    for name, parameter in bound.signature.parameters.items():
        given = name in bound.arguments
        if parameter.kind is Parameter.VAR_POSITIONAL:
            for place, value in enumerate(bound.arguments.get(name, ())):
                yield Argument(f"*{name}[{place}]", value)
        elif parameter.kind is Parameter.VAR_KEYWORD:
            for key, value in sorted(bound.arguments.get(name, {}).items()):
                yield Argument(f"**{name}[{key!r}]", value)
        else:
            yield Argument(name, bound.arguments.get(name, parameter.default), parameter.default, given)


def _as_written(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[Argument]:
    for place, value in enumerate(args):
        yield Argument(str(place), value)
    for name, value in sorted(kwargs.items()):
        yield Argument(name, value)


def _shown(argument: Argument) -> str:
    label, value = argument.label, argument.value
    name = label.rpartition("['")[2].removesuffix("']") if label.startswith("**") else label
    text = HIDDEN if is_secret(name) else _without_secrets(redact_urls(outline(value)[0]))
    text = text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
    return text if name.isdigit() or name.startswith("*") else f"{name}={text}"


def _without_secrets(text: str) -> str:
    """Hide in what stands for a dict or an object the values whose names look like secrets."""
    return re.sub(_NAMED, lambda found: f"{found[1]}{HIDDEN}" if is_secret(found[2]) else found[0], text)


def _refuse_lazy(func: Callable[..., Any], name: str) -> None:
    """Raise TypeError for a function that only makes what would do the work."""
    called: Any = func
    while isinstance(called, functools.partial):
        called = called.func
    if not callable(called):
        raise TypeError(
            f"context.cached({outline(func)[0]}, ...): give the function and its arguments apart, like"
            " context.cached(load, 'data.csv'), so that it is called only where that is needed"
        )
    inner = called if inspect.isroutine(called) or isinstance(called, type) else type(called).__call__
    short = _short(name)
    if inspect.iscoroutinefunction(inner):
        raise TypeError(
            f"context.cached({short}, ...): a step cannot be a coroutine function. Give a function that waits for it:"
            f" def step(...): return asyncio.run({short}(...))"
        )
    if inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner):
        raise TypeError(
            f"context.cached({short}, ...): a step cannot be a generator, which can be read only once. Give a function"
            f" that returns what it yields: def step(...): return list({short}(...))"
        )


# ------------------------------------------------------------ code


def _code_of(func: Callable[..., Any], values: Iterable[Any], run: str) -> bytes:
    """Return the digest of the code of a step and of its arguments: what the experiment itself would notice, too."""
    from memento.keys.code_versions import combined, value_code

    codes = [code for value in values if value is not _OWN and (code := value_code(value)) is not None]
    version = _versions.of(func, run)
    return bytes((combined([version, *codes]) if codes else version).digest)


class _Versions:
    """The code of steps, read once a run: tasks change globals; what a notebook defines next is for the next run.

    Nothing is kept alive: a function may have captured, and a method's object may hold, what is large.
    """

    def __init__(self) -> None:
        self._begin("")

    def _begin(self, run: str) -> None:
        self._run = run
        self._functions: weakref.WeakKeyDictionary[Any, CodeVersion] = weakref.WeakKeyDictionary()
        self._methods: dict[tuple[int, Any], tuple[weakref.ref[Any], CodeVersion]] = {}

    def of(self, func: Callable[..., Any], run: str) -> CodeVersion:
        from memento.keys.code_versions import code_version

        if run != self._run:
            self._begin(run)
        if type(func) is types.FunctionType:
            version = self._functions.get(func)
            if version is None:
                version = self._functions[func] = code_version(func)
            return version
        if type(func) is not types.MethodType:  # equal ones may be of different code
            return code_version(func)
        owner = func.__self__
        known = self._methods.get((id(owner), func.__func__))
        if known is not None and known[0]() is owner:
            return known[1]
        version = code_version(func)
        if len(self._methods) < _MOST_KNOWN:
            with contextlib.suppress(TypeError):  # not every object can be referred to weakly
                self._methods[id(owner), func.__func__] = weakref.ref(owner), version
        return version


_versions = _Versions()
