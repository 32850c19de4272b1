"""Which step a call is: calls that Python binds alike are one step, all others are several."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memento.context.context import Context
from memento.context.step_calls import Call, step_name
from memento.errors import UnkeyableArgument

KINDS = inspect.Parameter
values = st.sampled_from([1, 2, "a", None])
names = st.sampled_from(["a", "b", "c", "d", "e"])


@st.composite
def functions(draw: st.DrawFn) -> Callable[..., Any]:
    """Draw a function of any signature."""
    kinds = sorted(draw(st.lists(st.sampled_from(list(range(5))), max_size=5)))
    parts, kind_before, with_default, starred = [], -1, False, False
    for name, kind in zip("abcde", kinds, strict=False):
        default = draw(st.one_of(st.none(), values.map(repr)))
        if kind == KINDS.VAR_POSITIONAL or kind == KINDS.VAR_KEYWORD:
            if kind_before == kind:
                continue
            if kind_before == KINDS.POSITIONAL_ONLY:
                parts.append("/")
            parts.append(("*" if kind == KINDS.VAR_POSITIONAL else "**") + name)
            starred |= kind == KINDS.VAR_POSITIONAL
        else:
            if kind_before == KINDS.POSITIONAL_ONLY != kind:
                parts.append("/")
            if kind == KINDS.KEYWORD_ONLY and not starred:
                parts.append("*")
                starred = True
            if kind <= KINDS.POSITIONAL_OR_KEYWORD:
                with_default |= default is not None
                default = (default or "1") if with_default else None
            parts.append(name if default is None else f"{name}={default}")
        kind_before = kind
    if kind_before == KINDS.POSITIONAL_ONLY:
        parts.append("/")
    space: dict[str, Any] = {}
    exec(f"def step({', '.join(parts)}): return sorted(locals().items())", space)
    return space["step"]  # type: ignore[no-any-return]


calls = st.tuples(st.lists(values, max_size=4).map(tuple), st.dictionaries(names, values, max_size=3))


def as_bound(func: Callable[..., Any], call: tuple[Any, Any]) -> Any:
    try:
        found = func(*call[0], **call[1])  # its locals
    except TypeError:
        return None
    return [
        (name, repr(sorted(value.items()) if isinstance(value, dict) else value)) for name, value in found
    ]


@pytest.mark.slow
@settings(max_examples=300)
@given(functions(), calls, calls)
def test_two_calls_are_one_step_where_they_are_bound_alike(
    func: Callable[..., Any], one: tuple[Any, Any], other: tuple[Any, Any]
) -> None:
    found = []
    for args, kwargs in (one, other):
        expected = as_bound(func, (args, kwargs))
        if expected is None:
            with pytest.raises(TypeError) as told:
                func(*args, **kwargs)
            with pytest.raises(TypeError, match=re.escape(str(told.value))):
                Call(func, args, kwargs)
        else:
            call = Call(func, args, kwargs)
            assert call.made(None) == func(*args, **kwargs)
            found.append((expected, call.key))
    if len(found) == 2:
        assert (found[0][0] == found[1][0]) == (found[0][1] == found[1][1])


def load(path: str, n: int = 3, *, scale: float = 1.0) -> str:
    return path


def key(func: Any, *args: Any, **kwargs: Any) -> bytes:
    return Call(func, args, kwargs).key


def test_names_and_defaults_may_be_written_out() -> None:
    written = [
        key(load, "p"),
        key(load, path="p"),
        key(load, "p", 3),
        key(load, n=3, path="p"),
        key(load, "p", scale=1.0),
    ]
    assert len(set(written)) == 1
    assert (
        len({written[0], key(load, "q"), key(load, "p", 4), key(load, "p", scale=2.0), key(load, "p", 3.0)})
        == 5
    )


class Loader:
    def __init__(self, root: str) -> None:
        self.root = root

    def load(self, name: str, n: int = 1) -> str:
        return self.root + name

    def __call__(self, name: str, n: int = 1) -> str:
        return self.root + name


def test_the_object_of_a_method_and_a_callable_object_count() -> None:
    for of in (lambda root: Loader(root).load, Loader):
        alike = {key(of("a"), "x"), key(of("a"), name="x"), key(of("a"), "x", n=1)}
        assert len(alike) == 1
        assert key(of("b"), "x") not in alike


def test_what_a_partial_holds_counts() -> None:
    one = functools.partial(load, n=5)
    assert len({key(one, "p"), key(one, path="p"), key(one, "p", n=5)}) == 1
    assert len({key(one, "p"), key(one, "p", n=6), key(functools.partial(load, n=6), "p")}) == 2 + 1


def doubled(func: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(func)
    def wrapper(path: str = "other") -> Any:
        return func(path) * 2

    return wrapper


def test_a_decorator_that_copies_a_signature_hides_none_of_its_own() -> None:
    wrapped = doubled(load)
    assert key(wrapped) == key(wrapped, "other") != key(wrapped, "p")


def test_a_signature_that_a_function_claims_does_not_count() -> None:
    def step(n: int = 1) -> int:
        return n

    step.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [KINDS("n", KINDS.POSITIONAL_OR_KEYWORD, default=2)]
    )
    assert key(step) == key(step, 1)


@functools.lru_cache
def remembered(n: int, m: int = 2) -> int:
    return n


def test_functions_in_c_are_bound_where_they_tell_their_signature() -> None:
    assert key(remembered, 1) == key(remembered, n=1) == key(remembered, 1, m=2)
    assert key(sorted, [3, 1]) == key(sorted, [3, 1], reverse=False)
    assert key(np.arange, 3) == key(np.arange, 3) != key(np.arange, 4)
    assert key(dict, a=1, b=2) == key(dict, b=2, a=1) != key(dict, a=2, b=1)


def test_a_default_that_cannot_be_keyed_is_the_default() -> None:
    func = inspect.getattr_static
    missing = inspect.signature(func).parameters["default"].default
    assert key(func, "x", "upper") == key(func, "x", "upper", missing) != key(func, "x", "upper", None)


def with_context(context: Context, path: str, n: int = 1) -> Any:
    return context, path, n


def context_last(path: str, *, context: Any) -> Any:
    return context, path


def own_meaning(context: str, question: str) -> Any:
    return context, question


def optional(path: str, context: Any = None) -> Any:
    return context, path


def test_a_context_is_given_where_it_is_asked_for_and_is_no_part_of_the_key() -> None:
    theirs = Context("a task's")

    def called(func: Any, *args: Any, **kwargs: Any) -> tuple[bytes, Any]:
        call = Call(func, args, kwargs, contexts=Context)
        return call.key, call.made("own")

    injected = called(with_context, "p")
    assert injected[1] == ("own", "p", 1)
    assert injected == called(with_context, theirs, "p") == called(with_context, path="p", context=theirs)
    assert called(with_context, "p", 2)[1] == ("own", "p", 2)
    assert called(context_last, "p")[1] == ("own", "p")
    assert called(own_meaning, "Paris", "where?")[1] == ("Paris", "where?")
    assert called(optional, "p")[1] == (None, "p")
    assert called(optional, "p", theirs)[1] == ("own", "p")


def test_a_wrong_call_says_what_the_call_itself_would_say() -> None:
    with pytest.raises(
        TypeError, match=r"context.cached\(load, ...\): load\(\) missing 1 required positional"
    ):
        key(load)
    with pytest.raises(TypeError, match="unexpected keyword argument 'size'"):
        key(load, "p", size=3)
    with pytest.raises(
        TypeError, match=r"give the function and its arguments apart, like context.cached\(load,"
    ):
        key(load("p"))


async def fetch(url: str) -> str:
    return url


def rows(path: str) -> Any:
    yield path


def test_what_only_makes_the_work_is_refused_with_the_right_line() -> None:
    for func in (fetch, functools.partial(fetch, "u")):
        with pytest.raises(TypeError, match=r"coroutine function.*asyncio.run\(fetch\(...\)\)"):
            key(func)
    with pytest.raises(TypeError, match=r"return list\(rows\(...\)\)"):
        key(rows, "p")


def test_an_argument_that_cannot_be_keyed_is_named_with_the_ways_out(tmp_path: Path) -> None:
    with open(tmp_path / "f", "w") as file:
        for value in (file, (n for n in range(3)), iter([1])):
            with pytest.raises(
                UnkeyableArgument, match=r"context.cached\(load, ...\): argument path"
            ) as told:
                key(load, value)
            assert "make it inside" in str(told.value)
            assert "volatile" not in str(told.value)
        with pytest.raises(UnkeyableArgument, match=r"argument path\['files'\]\[0\]"):
            key(load, {"files": [file]})


def test_a_step_that_has_captured_a_context_is_told_how_to_get_one() -> None:
    context = Context("a task's")

    def step() -> str:
        return context.key

    with pytest.raises(UnkeyableArgument, match=r"the step itself.*parameter named `context`"):
        key(step)


def test_functions_made_in_a_loop_are_as_many_steps_as_they_capture_values() -> None:
    def made(n: int) -> Any:
        return lambda: n

    assert len({key(made(n)) for n in (1, 2, 1)}) == 2


def test_a_step_is_told_with_what_was_given_and_without_secrets() -> None:
    def fetch_all(url: str, password: str, retries: int = 3) -> None: ...

    call = Call(fetch_all, ("https://me:hidden@host/x",), {"password": "hidden"})
    assert "hidden" not in str(call)
    assert call.arguments == "url='https://***@host/x', password=***"
    nested = Call(
        dict, ({"user": "me", "password": "hid'den", "options": {"api_key": "hidden", "n": 3}},), {}
    )
    assert nested.arguments == "{'user': 'me', 'password': ***, 'options': {'api_key': ***, 'n': 3}}"
    assert str(Call(load, ("p",), {"n": 5})) == "load(path='p', n=5)"
    assert len(str(Call(dict, ([0] * 10_000,), {}))) < 150
    assert step_name(functools.partial(load, "p")) == step_name(load)
    assert step_name(Loader("a").load).endswith(":Loader.load")


def test_large_arrays_count_by_content() -> None:
    one, other = np.zeros(300_000), np.zeros(300_000)
    assert key(load, one) == key(load, other)
    other[-1] = 1
    assert key(load, one) != key(load, other)
    assert key(load, [one]) != key(load, [other])


def test_positions_and_names_of_a_call_that_is_as_written_are_two_things() -> None:
    assert key(dict, {"0": 1}) != key(dict, **{"0": {"0": 1}})
