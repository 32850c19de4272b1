"""What a function takes is decided by names, before anything runs; a model made of `bind` agrees with every case."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from memento import Config, Context, Matrix
from memento.errors import MatrixError
from memento.runner.options import check_names
from memento.worker.by_name import Arguments, calling

CONTEXT: Any = object()
NAMES = ("alpha", "beta", "gamma", "delta")


def call(func: Callable[..., Any], matrix: Matrix, i: int = 0) -> Any:
    """Call a function as a task would."""
    return calling(func, check_names(func, matrix).by_name)(CONTEXT, matrix.config(i))


# -- any signature, any matrix ---------------------------------------------------------------------------


@st.composite
def functions(draw: st.DrawFn) -> Any:
    """Draw a function of any signature, which returns its arguments."""
    names = draw(st.permutations([*NAMES, "context", "config"]))[: draw(st.integers(1, 5))]
    of = inspect.Parameter
    kinds: list[Any] = [of.POSITIONAL_ONLY, of.POSITIONAL_OR_KEYWORD, of.KEYWORD_ONLY]
    drawn = sorted(draw(st.lists(st.sampled_from(kinds), min_size=len(names), max_size=len(names))))
    texts: list[str] = []
    seen: set[Any] = set()
    defaulted = False
    for name, kind in zip(names, drawn, strict=True):
        if kind is kinds[2] and kind not in seen:
            defaulted = False
            texts += [*(["/"] if seen == {kinds[0]} else []), "*"]
        elif kind is kinds[1] and seen == {kinds[0]}:
            texts.append("/")
        seen.add(kind)
        has_default = draw(st.booleans()) or (defaulted and kind is not kinds[2])
        defaulted = defaulted or has_default
        texts.append(f"{name}='default {name}'" if has_default else name)
    texts += ["/"] if seen == {kinds[0]} else []
    texts += ["**rest"] if draw(st.booleans()) else []
    space: dict[str, Any] = {}
    exec(f"def train({', '.join(texts)}): return dict(locals())", space)
    return space["train"]


def expected(func: Callable[..., Any], parameters: dict[str, Any], settings: dict[str, Any]) -> Any:
    """Return what a call returns, as `bind` sees it; None where it is refused."""
    signature = inspect.signature(func)
    there = {"context": CONTEXT, "config": Config.build(parameters, settings), **settings, **parameters}
    given: dict[str, Any] = {}
    rest = False
    for p in signature.parameters.values():
        if p.kind is p.VAR_KEYWORD:
            rest = True
        elif p.name in there:
            given[p.name] = there[p.name]
        elif p.default is not p.empty:
            given[p.name] = p.default
    if not rest and "config" not in given and not given.keys() >= parameters.keys():
        return None
    if rest:
        given = {**settings, **parameters, **given}
    by_place = [p.name for p in signature.parameters.values() if p.kind is p.POSITIONAL_ONLY]
    try:
        bound = signature.bind(*[given.pop(name) for name in by_place], **given)
    except (TypeError, KeyError):
        return None
    return func(*bound.args, **bound.kwargs)


def takes_the_two(func: Callable[..., Any], known: set[str]) -> bool:
    """Tell whether a function is called as in 1.2.0, with nothing but the context and the config."""
    named = [p for p in inspect.signature(func).parameters.values() if p.kind is not p.VAR_KEYWORD]
    two = [p.name for p in named[:2] if p.kind is not p.KEYWORD_ONLY]
    if two == ["context", "config"] and len(named) < len(inspect.signature(func).parameters):
        return False  # the rest gets all parameters and settings
    in_order = two[:1] != ["config"] and two[1:] != ["context"]
    usual = dict(zip(two, ("context", "config"), strict=False))  # these may have a default
    needed = [p.name for p in named if p.default is p.empty or usual.get(p.name) == p.name]
    return len(two) == 2 and needed == two and in_order and known.isdisjoint(p.name for p in named)


@pytest.mark.slow
@given(func=functions(), parameters=st.sets(st.sampled_from(NAMES)), settings=st.sets(st.sampled_from(NAMES)))
def test_a_function_gets_what_it_names_or_is_refused(
    func: Any, parameters: set[str], settings: set[str]
) -> None:
    values = {name: f"value {name}" for name in sorted(parameters)}
    given = {name: f"setting {name}" for name in sorted(settings)}
    matrix = Matrix(
        {name: [value] for name, value in values.items()}, settings=given, include=() if values else [{}]
    )
    note(f"train{inspect.signature(func)}")
    if takes_the_two(func, {*values, *given}):
        wanted = func(CONTEXT, matrix.config(0))
    else:
        wanted = expected(func, values, given)
    try:
        found = call(func, matrix)
    except TypeError:
        found = None
    assert found == wanted


# -- who gets the context and the config -----------------------------------------------------------------

MATRIX = Matrix({"lr": [0.1], "config_file": ["a"]}, settings={"folds": 5})


class Anything:
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return args[1].lr, args[1].config_file


class Inherits(Anything):
    pass


class Fitter:
    def fit(self, lr: float, config_file: str) -> Any:
        return lr, config_file

    def __call__(self, cfg: Config, *, lr: float) -> Any:
        return cfg["lr"], lr


def handed_on(func: Any) -> Any:
    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return func(*args, **kwargs)

    return wrapper


def with_context(func: Any) -> Any:
    @functools.wraps(func)
    def wrapper(ctx: Context, *args: Any, **kwargs: Any) -> Any:
        return func(*args, **kwargs)

    return wrapper


def by_hand(func: Any) -> Any:
    """What people wrote before functions could be plain."""

    @functools.wraps(func)
    def wrapper(context: Any, config: Any) -> Any:
        return func(config["lr"], config["config_file"])

    return wrapper


def annotated(lr: float, where: Context, what: Config) -> Any:
    return lr, where is CONTEXT, what.lr


def by_text(what: "memento.Config", lr: float) -> Any:  # type: ignore[name-defined]  # noqa: F821, UP037
    return what.lr, lr


def plain(lr: float, config_file: str, n_epochs: int = 10) -> Any:
    return lr, config_file


FORMS = [
    plain,
    Fitter().fit,
    handed_on(plain),
    handed_on(handed_on(plain)),
    handed_on(by_hand(plain)),
    with_context(plain),
    by_hand(plain),
    functools.partial(plain, n_epochs=3),
    functools.partial(functools.partial(handed_on(plain)), n_epochs=3),
    functools.lru_cache(plain),
    Inherits(),
    lambda context, config: (config.lr, config.config_file),
    lambda c, conf: (conf.lr, conf.config_file),
    lambda _, x: (x.lr, x.config_file),
    lambda *both: (both[1].lr, both[1].config_file),
    lambda config, context: (config.lr, config.config_file),
    lambda config: (config.lr, config.config_file),
    lambda cfg, n_epochs=3: (cfg.lr, cfg.config_file),
    lambda lr, **rest: (lr, rest["config_file"]),
    lambda context, **rest: (rest["lr"], rest["config_file"]),
    lambda context, config, **rest: (rest["lr"], rest["config_file"]) if rest["folds"] == 5 else None,
    lambda config_file, ctx, lr, repeat: (lr, config_file),
    lambda lr, config_file, folds, repeat=9: (lr, config_file) if (folds, repeat) == (5, 9) else None,
]


@pytest.mark.parametrize("func", FORMS, ids=map(str, range(len(FORMS))))
def test_every_form_of_a_function_gets_its_values(func: Any) -> None:
    assert call(func, MATRIX) == (0.1, "a")


def test_what_is_annotated_as_context_or_config_gets_it() -> None:
    assert call(annotated, MATRIX) == (0.1, True, 0.1)
    assert call(by_text, Matrix({"lr": [0.1]})) == (0.1, 0.1)
    assert call(Fitter(), Matrix({"lr": [0.1]})) == (0.1, 0.1)


def test_a_parameter_of_the_matrix_comes_before_the_context_and_the_config() -> None:
    matrix = Matrix({"lr": [1], "context": [512], "config": ["a.yaml"]})
    assert call(lambda lr, context, config: (lr, context, config), matrix) == (1, 512, "a.yaml")
    assert call(lambda context, config: config["context"], matrix) == 512  # as in 1.2.0


def test_two_names_that_the_matrix_has_are_parameters() -> None:
    matrix = Matrix({"c": [1], "params": [2]})
    assert call(lambda c, params: (c, params), matrix) == (1, 2)
    assert call(lambda ctx, params: params["c"], matrix) == 1


def test_what_a_partial_has_given_is_no_more_asked_for() -> None:
    assert call(functools.partial(plain, 5), Matrix({"config_file": ["a"]})) == (5, "a")
    with pytest.raises(MatrixError, match=r"parameters\['lr'\]"):
        check_names(functools.partial(plain, 5), MATRIX)


def test_the_repeat_has_its_number() -> None:
    matrix = Matrix({"lr": [1]}, repeats=3)
    assert [call(lambda lr, repeat: (lr, repeat), matrix, i) for i in range(3)] == [(1, 0), (1, 1), (1, 2)]


def test_what_tells_nothing_of_itself_gets_the_context_and_the_config() -> None:
    assert check_names(max, MATRIX).by_name is None


# -- parameters that some tasks lack -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "matrix",
    [
        Matrix({"model": ["svc", "tree"], "C": [1, 2]}, when={"C": {"model": "svc"}}),
        Matrix({"model": ["svc"], "C": [1, 2]}, include=[{"model": "tree"}]),
        Matrix({"model": ["tree"]}, include=[{"model": "svc", "C": 1}]),
    ],
    ids=["when", "include", "included only"],
)
def test_a_parameter_that_some_tasks_lack_needs_a_default(matrix: Matrix) -> None:
    with pytest.raises(
        MatrixError, match=r"parameters\['C'\].*some tasks have none, like model=tree.*C=\.\.\."
    ):
        check_names(lambda model, C: 1, matrix)
    taken = check_names(lambda model, C=7: C, matrix)
    assert taken.defaults == {"C": 7}
    found = {call(lambda model, C=7: (model, C), matrix, i) for i in range(len(matrix))}
    assert ("tree", 7) in found
    assert {C for model, C in found if model == "svc"} <= {1, 2}


def test_a_setting_stands_where_a_parameter_is_lacking() -> None:
    matrix = Matrix({"m": ["a", "b"], "C": [1]}, settings={"C": 5}, when={"C": {"m": "a"}})
    assert [call(lambda m, C: C, matrix, i) for i in range(2)] == [1, 5]


@pytest.mark.parametrize(
    "func",
    [lambda lr, d=5: d, lambda config, d=5.0: d, functools.partial(lambda lr, d: d, d=5)],
    ids=["plain", "config", "partial"],
)
def test_another_default_than_the_matrix_has_is_refused(func: Any) -> None:
    given: dict[str, Any] = {"parameters": [{"lr": [1]}, {"lr": [1], "d": [0, 5]}]}
    with pytest.raises(MatrixError, match=r"defaults\['d'\]: it is 0, .*Give both the same default.*d=0"):
        check_names(func, Matrix.of({**given, "defaults": {"d": 0}}))
    check_names(func, Matrix.of({**given, "defaults": {"d": 0}, "volatile": ["d"]}))
    check_names(func, Matrix.of({**given, "defaults": {"lr": 0}}))


def test_defaults_beside_the_context_and_the_config_are_told_too() -> None:
    def train(context: Any, config: Any, n_epochs: int = 10, *, tag: str = "a") -> None: ...

    assert check_names(train, MATRIX) == Arguments(None, {"n_epochs": 10, "tag": "a"})
    assert check_names(lambda context=None, config=None, n=3: 1, MATRIX).defaults == {"n": 3}


def test_what_is_no_part_of_keys_is_not_told() -> None:
    given = {"m": ["a", "b"], "device": ["gpu"]}
    matrix = Matrix(given, {"log": 1, "tag": 2}, when={"device": {"m": "a"}}, volatile=["device", "log"])
    taken = check_names(lambda m, device="cpu", n=3: 1, matrix)
    assert taken.defaults == {"n": 3}
    assert taken.notes == ("func does not take the setting 'tag', which is part of the keys all the same.",)


def test_the_results_of_other_matrices_are_arguments_by_their_ids() -> None:
    check_names(lambda lr, clean: 1, Matrix({"lr": [1]}, dependencies=["clean"]))
    with pytest.raises(MatrixError, match="'clean'"):
        check_names(lambda lr: 1, Matrix({"lr": [1]}, dependencies=["clean"]))
