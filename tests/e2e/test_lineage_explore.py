"""Stages that depend on each other: what runs again after an edit, and what every task's row says of its upstream."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memento import Config, Context, Memento
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
        tasks: dict[int, list[Task]] = {}
        for stage in stages:
            tasks[stage.number] = self.tasks(stage, tasks)
            for task in tasks[stage.number]:
                if any(one not in self.done for one in task.upstream):
                    continue
                newest = max((self.done[one] for one in task.upstream), default=-1)
                if self.done.get(task.name, -1) > newest:
                    continue
                ran.append(task.name)
                if task.name not in FAILING:
                    self.done[task.name] = next(self.clock)
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
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
