"""Stages that depend on each other: what runs again after an edit, and what every task's row says of its upstream."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import memento
from memento import AggregateException, Config, Context, Memento, Results
from memento.events import Said
from memento.store.store import Store

RAN: list[str] = []
FAILING: set[str] = set()


def named(config: Config) -> str:
    """Name a task by all that it was computed from."""
    texts = config.asdict()
    own = [f"{name}={value}" for name, value in texts.items() if not isinstance(value, str)]
    return f"{'&'.join(own)}({','.join(v for v in texts.values() if isinstance(v, str))})"


def experiment(context: Context, config: Config) -> str:
    name = named(config)
    RAN.append(name)
    if name in FAILING:
        raise ValueError(name)
    return name


class Stage(NamedTuple):
    """A matrix: its number, how many values its parameter has, what it depends on and whether that is joined."""

    number: int
    size: int
    upstream: tuple[int, ...]
    on: str  # a parameter that all of its upstream have; "" for the product


class Task(NamedTuple):
    name: str
    parameters: dict[str, int]  # as columns
    upstream: tuple[str, ...]


class Model:
    """What a store knows and what a run does, in plain Python."""

    def __init__(self) -> None:
        self.done: dict[str, int] = {}  # task -> when its result was computed
        self.clock = itertools.count()

    def run(self, stages: list[Stage]) -> list[str]:
        """Return the tasks that a run computes, in order."""
        ran: list[str] = []
        there: set[str] = set()  # results that others take: of tasks whose own upstream is there
        tasks: dict[int, list[Task]] = {}
        for stage in stages:
            tasks[stage.number] = self.tasks(stage, tasks)
            for task in tasks[stage.number]:
                if not there.issuperset(task.upstream):
                    continue
                newest = max((self.done[one] for one in task.upstream), default=-1)
                if self.done.get(task.name, -1) <= newest:
                    ran.append(task.name)
                    if task.name not in FAILING:
                        self.done[task.name] = next(self.clock)
                if task.name in self.done:
                    there.add(task.name)
        return ran

    @staticmethod
    def tasks(stage: Stage, known: dict[int, list[Task]]) -> list[Task]:
        found = []
        for value in range(stage.size):
            for chosen in itertools.product(*(known[one] for one in stage.upstream)):
                columns = {f"p{stage.number}": value}
                for one, task in zip(stage.upstream, chosen, strict=True):
                    columns |= {f"m{one}.{name}": inner for name, inner in task.parameters.items()}
                if stage.on:
                    marks = {
                        columns[name] for name in columns
                        if name.count(".") and name.endswith(f".{stage.on}")
                    }  # fmt: skip
                    if len(marks) > 1:
                        continue
                names = tuple(task.name for task in chosen)
                found.append(Task(f"p{stage.number}={value}({','.join(names)})", columns, names))
        return found


def declared(stages: list[Stage], store: Path) -> Memento:
    runs = Memento(
        experiment,
        executor="serial",
        store=store,
        progress=False,
        on_error="return",
        name="e",
        on_code_change="ignore",  # what it reads changes
        order="matrix",
    )
    for stage in stages:
        depends: Any = [f"m{one}" for one in stage.upstream]
        if stage.on:
            depends = {name: {"on": [stage.on]} for name in depends}
        runs.add_matrix(
            {
                "id": f"m{stage.number}",
                "parameters": {f"p{stage.number}": range(stage.size)},
                "dependencies": depends,
            }
        )
    return runs


@st.composite
def graphs(draw: st.DrawFn) -> list[Stage]:
    stages: list[Stage] = []
    columns: dict[int, list[str]] = {}
    for number in range(draw(st.integers(2, 4))):
        upstream = tuple(
            draw(st.lists(st.integers(0, number - 1), max_size=2, unique=True)) if number else ()
        )
        # A name joins where every upstream has it once.
        once = [{n for n in columns[one] if columns[one].count(n) == 1} for one in upstream]
        shared = sorted(set.intersection(*once)) if len(upstream) == 2 else []
        on = draw(st.sampled_from(["", *shared]))
        stages.append(Stage(number, draw(st.integers(1, 2)), upstream, on))
        columns[number] = [f"p{number}", *(name for one in upstream for name in columns[one])]
    return stages


def forget(store: Path, names: set[str], known: dict[str, bytes]) -> None:
    with Store.open(store) as opened:
        opened.forget([known[name] for name in names])


@pytest.mark.slow
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stages=graphs(), data=st.data())
def test_an_edit_computes_exactly_what_depends_on_it(
    stages: list[Stage], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    store, model = tmp_path_factory.mktemp("graph") / "store", Model()
    FAILING.clear()
    known: dict[str, bytes] = {}
    for _ in range(4):
        every = {task.name for task in _all_tasks(stages)}
        FAILING.clear()
        FAILING.update(
            data.draw(st.sets(st.sampled_from(sorted(every - model.done.keys()) or [""]), max_size=2))
        )
        RAN.clear()
        results = declared(stages, store).run_all()
        assert results is not None
        assert model.run(stages) == RAN
        known |= {
            result.inner: bytes.fromhex(result.key)
            for some in results.values() for result in some or () if result.status == "done"
        }  # fmt: skip
        kind = data.draw(st.sampled_from(["forget", "force", "grow"]))
        if kind == "forget":
            gone = data.draw(st.sets(st.sampled_from(sorted(model.done) or [""]), max_size=2)) - {""}
            forget(store, gone, known)
            for name in gone:
                del model.done[name]
        elif kind == "grow":
            place = data.draw(st.integers(0, len(stages) - 1))
            stages = [s._replace(size=3) if s.number == place else s for s in stages]
        else:  # the first stage alone, by force
            FAILING.clear()
            declared(stages[:1], store).run_all(force_run=True)
            for task in Model.tasks(stages[0], {}):
                model.done[task.name] = next(model.clock)


def _all_tasks(stages: list[Stage]) -> list[Task]:
    tasks: dict[int, list[Task]] = {}
    for stage in stages:
        tasks[stage.number] = Model.tasks(stage, tasks)
    return [task for some in tasks.values() for task in some]


class Scale:
    """A value that only its name tells, as a class of a script."""


def stages(context: Context, config: Config) -> Any:
    if config.stage == "base":
        if config.n in (config.settings or {}).get("broken", ()):
            raise ValueError("no such number")
        return config.n * 10
    if config.stage == "join":
        return (
            config.left,
            config.right,
            config["left.base.n"],
            config["right.base.scale"].__name__,
            repr(config),
        )
    return config.base + (config.stage == "right")


def diamond(store: Path, on: list[str] | None, n: Sequence[int] = (1, 2), **options: Any) -> Memento:
    runs = Memento(stages, store=store, progress=False, name="e", **{"executor": "serial", **options})
    runs.add_matrix({"id": "base", "parameters": {"stage": ["base"], "n": n, "scale": [Scale]}})
    for side in ("left", "right"):
        runs.add_matrix({"id": side, "dependencies": ["base"], "parameters": {"stage": [side]}})
    depends = ["left", "right"] if on is None else {side: {"on": on} for side in ("left", "right")}
    runs.add_matrix({"id": "join", "dependencies": depends, "parameters": {"stage": ["join"]}})
    return runs


def results_of(runs: Memento) -> dict[Any, Results]:
    found = runs.run_all()
    assert found is not None
    return {name: results for name, results in found.items() if results is not None}


@pytest.mark.parametrize("executor", ["serial", "threads", pytest.param("processes", marks=pytest.mark.slow)])
@pytest.mark.parametrize("on", [["base.n"], ["n"], ["base"]])
def test_the_branches_of_a_diamond_are_joined_and_tasks_see_their_upstream_parameters(
    tmp_path: Path, on: list[str], executor: str
) -> None:
    join = results_of(diamond(tmp_path / "s", on, executor=executor, num_workers=1))["join"]
    assert [result.inner[:4] for result in join] == [(10, 11, 1, "Scale"), (20, 21, 2, "Scale")]
    assert "left.base.n=1" in join[0].inner[4]
    assert "UpstreamValue" not in join[0].inner[4]
    frame = join.to_frame()
    assert frame["left.base.n"].tolist() == frame["right.base.n"].tolist() == [1, 2]


def test_joining_later_finds_the_results_of_the_product(tmp_path: Path) -> None:
    product = results_of(diamond(tmp_path / "s", None))["join"]
    joined = results_of(diamond(tmp_path / "s", ["base.n"]))["join"]
    assert (len(product), len(joined)) == (4, 2)
    assert all(result.was_cached for result in joined)
    assert [result.key for result in joined] == [product[0].key, product[3].key]


def test_a_plan_tells_the_number_of_joined_tasks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    diamond(tmp_path / "s", ["base.n"], n=range(5)).run_all(dry_run=True)
    assert "5 configurations of matrix 'join': 0 cached, 0 failed before, 5 new" in capsys.readouterr().err


def test_a_plan_knows_what_a_new_upstream_result_will_make_old(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = results_of(diamond(tmp_path / "s", ["n"]))["base"]
    with Store.open(tmp_path / "s") as store:
        store.forget([bytes.fromhex(base[0].key)])
    capsys.readouterr()
    diamond(tmp_path / "s", ["n"]).run_all(dry_run=True)
    told = capsys.readouterr().err
    for matrix in ("left", "right", "join"):
        assert (
            f"2 configurations of matrix '{matrix}': 1 cached, 0 failed before, 0 new, 1 what it depends on"
            in told
        )


@pytest.mark.slow
def test_failures_of_stages_are_raised_with_what_would_be_returned(tmp_path: Path) -> None:
    def broken(on_error: str, store: str) -> Memento:
        runs = Memento(
            stages, store=tmp_path / store, progress=False, executor="serial", name="e", on_error=on_error
        )
        runs.add_matrix(
            {"id": "base", "parameters": {"stage": ["base"], "n": [1, 2, 3]}, "settings": {"broken": [2]}}
        )
        runs.add_matrix({"id": "left", "dependencies": ["base"], "parameters": {"stage": ["left"]}})
        runs.add_matrix(
            {"id": "one", "parameters": {"stage": ["base"], "n": [2]}, "settings": {"broken": [2]}}
        )
        runs.add_matrix({"id": "last", "dependencies": ["one", "left"], "parameters": {"stage": ["x"]}})
        return runs

    returned: Any = broken("return", "a").run_all()
    with pytest.raises(AggregateException) as caught:
        broken("raise", "b").run_all()
    raised = caught.value.results

    def form(results: Any) -> Any:
        return {
            name: some and [(r.status, r.config.asdict()) for r in some] for name, some in results.items()
        }

    assert form(raised) == form(returned)
    assert list(raised) == ["base", "left", "one", "last"]
    assert [result.inner for result in raised["left"]] == [10, 30]
    assert raised["last"] is None


def test_what_is_not_run_for_want_of_results_is_counted(tmp_path: Path) -> None:
    told: list[str] = []
    runs = Memento(
        stages, store=tmp_path / "s", progress=False, executor="serial", name="e", on_error="return",
        listeners=[lambda event: told.append(event.text) if isinstance(event, Said) else None],
    )  # fmt: skip
    runs.add_matrix(
        {"id": "base", "parameters": {"stage": ["base"], "n": [1, 2, 3]}, "settings": {"broken": [2, 3]}}
    )
    runs.add_matrix({"id": "left", "dependencies": ["base"], "parameters": {"stage": ["left"], "k": [0, 1]}})
    runs.add_matrix(
        {
            "id": "last", "dependencies": ["left"], "parameters": {"stage": ["right"]},
            "exclude": [{"left.base.n": 1}],
        }
    )  # fmt: skip
    results: Any = runs.run_all()
    assert results["last"] is None
    assert [line for line in told if "for want of" in line] == [
        (
            "4 of 6 tasks of matrix 'left' are not run, for want of results: 2 of 3 tasks of matrix 'base' did not"
            " succeed (stage=base, n=2; stage=base, n=3)"
        ),
        (
            "matrix 'last' (4 tasks) is not run, for want of results: 4 of 6 tasks of matrix 'left' did not succeed"
            " (stage=left, k=0, base.stage=base, base.n=2; stage=left, k=0, base.stage=base, base.n=3;"
            " stage=left, k=1, base.stage=base, base.n=2; and 1 more)"
        ),
    ]


def test_the_results_that_others_took_are_found_after_the_run_and_where_it_is_loaded(tmp_path: Path) -> None:
    results = results_of(diamond(tmp_path / "s", ["n"], n=[1, 2, 3]))
    join = results["join"].filter(left={"base.n": [1, 3]})
    assert len(join) == 2
    loaded = memento.load(tmp_path / "s").filter(stage="join").filter(**{"left.base.n": [1, 3]})
    for some in (join, loaded):
        assert list(some.upstream()) == ["left", "right"]
        assert [r.inner for r in some.upstream("left")] == [10, 30]
        assert [r.inner for r in some[1:].upstream("right").upstream("base")] == [30]
        with pytest.raises(ValueError, match=r"there is no upstream matrix 'lef'; .* Did you mean 'left'"):
            some.upstream("lef")
    assert [r.config["left.base.n"] for r in loaded] == [r.config["left.base.n"] for r in join] == [1, 3]
    assert {r.key for r in join.upstream("left")} == {r.key for r in loaded.upstream("left")}
    assert results["base"].upstream() == {}


def test_ids_and_names_may_be_any_text(tmp_path: Path) -> None:
    def pass_on(context: Context, config: Config) -> Any:
        return {name: config[name] for name in ("1.k", "my stage.k", "my stage.a.b") if name in config}

    runs = Memento(pass_on, store=tmp_path / "s", executor="serial", progress=False, name="e")
    runs.add_matrix({"id": 1, "parameters": {"k": [1, 2, 3]}})
    runs.add_matrix({"id": "my stage", "parameters": {"k": [3, 2], "a.b": ["x"]}, "repeats": 2})
    runs.add_matrix(
        {
            "id": "last", "parameters": {"a": [0]},
            "dependencies": {1: {"on": ["k"]}, "my stage": {"on": ["k"]}},
            "exclude": [{"my stage.repeat": 1, "1.k": 2}, {"my stage.a.b": "y"}],
        }
    )  # fmt: skip
    last = results_of(runs)["last"]
    assert [result.inner for result in last] == [
        {"1.k": k, "my stage.k": k, "my stage.a.b": "x"} for k in (2, 3, 3)
    ]
    names = ["a", "1.k", "my stage.k", "my stage.a.b", "my stage.repeat"]
    for results in (last, memento.load(tmp_path / "s").filter(a=0)):
        assert results.to_frame()[names].to_numpy().tolist() == [
            [0, 2, 2, "x", 0], [0, 3, 3, "x", 0], [0, 3, 3, "x", 1]
        ]  # fmt: skip
        assert results.pivot("1.k", "my stage.repeat", "runtime").index.tolist() == [2, 3]
        assert len(results.filter(**{"my stage.a.b": "x", "1.k": 3})) == 2
