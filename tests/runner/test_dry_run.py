"""What a dry run prints can be read: every task can be told, and it never scrolls away."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import memento
from memento import Memento
from memento.errors import MatrixError
from memento.executors.threads import Threads
from memento.runner.options import workers_of

Dry = Callable[..., list[str]]


@pytest.fixture
def dry(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dry:
    """Run without running; returns what people see."""
    monkeypatch.chdir(tmp_path)

    def call(matrix: Any, **options: Any) -> list[str]:
        flags = {name: options.pop(name) for name in ("force_run",) if name in options}
        assert (
            Memento(square, store="store", progress=True, **options).run(matrix, dry_run=True, **flags)
            is None
        )
        return shown(capsys)

    return call


def shown(capsys: pytest.CaptureFixture[str]) -> list[str]:
    told = capsys.readouterr()
    return [line.removeprefix("[memento]").strip() for line in (told.out + told.err).splitlines()]


def square(context: Any, config: Any) -> Any:
    if config.get("x") == 3:
        raise ValueError("three")
    return config.get("x", 0)


def compute(matrix: Any, **flags: Any) -> None:
    runs = Memento(square, store="store", executor="serial", progress=False, on_error="return")
    runs.run(matrix, **flags)


def test_repeats_are_told_apart_and_numbers_have_no_quotes(dry: Dry) -> None:
    lines = dry({"parameters": {"lr": [0.1, 1], "name": ["a"]}, "repeats": 2})
    for line in ("lr=0.1, name=a, repeat=0", "lr=0.1, name=a, repeat=1", "lr=1, name=a, repeat=0"):
        assert line in lines
    assert len(set(lines)) == len(lines)


def test_each_kind_is_counted_and_shown(dry: Dry) -> None:
    compute({"parameters": {"x": [1, 2, 3]}})
    lines = dry({"parameters": {"x": [1, 2, 3, 4]}}, executor="serial")
    assert lines[0].startswith("4 configurations: 2 cached, 1 failed before, 1 new; about ")
    assert lines[0].endswith("on 1 worker")
    for title, task in (("cached: 2", "x=1"), ("failed before: 1", "x=3"), ("new: 1", "x=4")):
        assert lines.index(title) < lines.index(task)
    assert lines.index("new: 1") < lines.index("cached: 2")
    again = dry({"parameters": {"x": [1, 2]}}, force_run=True)
    assert again[0].startswith("2 configurations: 0 cached, 0 failed before, 0 new, 2 to be computed again")


@pytest.mark.parametrize("size", [7, 25, 26, 27, 28, 29, 30, 1000])
def test_a_plan_is_never_longer_than_a_page(dry: Dry, size: int) -> None:
    compute({"parameters": {"x": list(range(10, 10 + size // 3))}})
    lines = dry({"parameters": {"x": list(range(10, 10 + size)), "y": ["long" * 100]}})
    assert len(lines) <= 30
    assert max(map(len, lines)) <= 220
    listed = sum(line.startswith("x=") for line in lines)
    more = [int(line.split()[2].replace(",", "")) for line in lines if line.startswith("... and")]
    assert listed + sum(more) == size


class TestDependencies:
    """A dry run of matrices that take each other's results."""

    def plan(
        self, capsys: pytest.CaptureFixture[str], rule: Any, *, first: bool, run: bool = False
    ) -> list[str]:
        if first:
            self.linked(rule, matrices=1).run_all()
        capsys.readouterr()
        self.linked(rule).run_all(dry_run=not run)
        return shown(capsys)

    def linked(self, rule: Any, matrices: int = 2) -> Memento:
        runs = Memento(square, store="store", executor="serial", progress=True)
        runs.add_matrix({"id": "first", "parameters": {"x": [1, 2]}})
        if matrices == 2:
            runs.add_matrix(
                {"id": "second", "parameters": {"y": [5]}, "dependencies": ["first"], "exclude": [rule]}
            )
        return runs

    @pytest.fixture(autouse=True)
    def _elsewhere(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)

    def test_a_rule_on_a_result_that_is_there_works(self, capsys: pytest.CaptureFixture[str]) -> None:
        lines = self.plan(capsys, lambda config: config.first > 1, first=True)
        assert any(
            line.startswith("1 configuration of matrix 'second': 0 cached, 0 failed before, 1 new")
            for line in lines
        )

    def test_a_rule_on_a_result_that_is_not_there_is_left_out_and_it_is_said(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        lines = self.plan(capsys, lambda config: config.first > 1, first=False)
        assert any(
            line.startswith("2 configurations of matrix 'second': 0 cached, 0 failed before, 2 new")
            for line in lines
        )
        assert any("2 results that it needs of other matrices: not computed yet" in line for line in lines)
        assert not any("matches nothing" in line for line in lines)

    def test_what_is_planned_is_what_is_run(self, capsys: pytest.CaptureFixture[str]) -> None:
        rule = {"y": 7}
        self.plan(capsys, rule, first=False, run=True)
        lines = self.plan(capsys, rule, first=False)
        for name in ("first", "second"):
            told = f"2 configurations of matrix '{name}': 2 cached, 0 failed before, 0 new"
            assert any(line.startswith(told) for line in lines)


def test_what_is_still_to_be_computed_is_no_change_of_the_code(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def run(**flags: Any) -> Any:
        runs = Memento(called, store=tmp_path / "store", executor="serial", progress=True)
        runs.add_matrix({"id": "first", "parameters": {"step": [one], "x": [1, 2]}})
        runs.add_matrix({"id": "second", "dependencies": ["first"], "parameters": {"y": [1]}})
        return runs.run_all(**flags)

    memento.forget([run()["first"][0].key], tmp_path / "store")
    shown(capsys)
    run(dry_run=True)
    lines = shown(capsys)
    assert "what it depends on was computed again: 1" in lines
    assert not [line for line in lines if "older version of the code" in line]


def one(context: Any, config: Any) -> int:
    return 1


def called(context: Any, config: Any) -> Any:
    return config.step(context, config) if "step" in config else config.first


def test_serial_has_one_worker_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = Memento(square, executor="serial", num_workers=2, store=tmp_path / "store", progress=True)
    runs.run({"parameters": {"x": [1, 2]}})
    lines = shown(capsys)
    assert any("num_workers=2 has no effect" in line for line in lines)
    assert any("to run on 1 worker" in line for line in lines)


def test_the_number_of_workers_is_that_of_what_runs_them() -> None:
    with ThreadPoolExecutor(2) as pool:
        assert workers_of(pool, None, 1) == (2, "")
        assert workers_of(pool, 8, 1)[0] == 2
        assert "runs 2 tasks at a time" in workers_of(pool, 8, 1)[1]
        assert workers_of(pool, 1, 1) == (1, "")
    assert workers_of(Threads(3), None, 1) == (3, "")
    assert workers_of(Threads(3), 2, 1)[0] == 3
    assert workers_of("serial", 1, 1) == (1, "")
    assert workers_of("processes", 5, 1) == (5, "")


@pytest.mark.parametrize(
    "declared",
    [
        {"parameters": {"x": [1], "device": ["cpu", "cuda"]}, "volatile": ["device"]},
        {"parameters": {"x": [1, 2], "device": ["cpu", "cuda"]}, "volatile": ["device"], "repeats": 2},
        {"parameters": {"x": [1, 2], "n": [object(), object()]}, "volatile": ["n"]},
        {"parameters": {"x": [1]}, "include": [{"x": 1, "n": 3}], "volatile": ["n"]},
        {
            "parameters": {"x": [1], "d": [0, 1], "e": ["a", "b"]},
            "volatile": ["d", "e"],
            "zip": [["d", "e"]],
        },
    ],
    ids=["two", "repeats", "objects", "include", "zip of volatile"],
)
@pytest.mark.parametrize("dry_run", [True, False])
def test_a_volatile_parameter_that_varies_within_a_key_is_refused(
    declared: dict[str, Any], dry_run: bool, tmp_path: Path
) -> None:
    runs = Memento(square, executor="serial", store=tmp_path / "store", progress=False)
    with pytest.raises(MatrixError, match=r"volatile: .* only one of them would run") as told:
        runs.run(declared, dry_run=dry_run)
    assert "take it out of 'volatile'" in str(told.value)


@pytest.mark.parametrize(
    ("declared", "count"),
    [
        ({"parameters": {"x": [1, 2], "device": ["cpu"]}, "volatile": ["device"]}, 2),
        ({"parameters": {"x": [1, 2], "d": [0, 1]}, "volatile": ["d"], "zip": [["x", "d"]]}, 2),
        (
            {
                "parameters": {"x": [1, 2], "d": [0, 1]},
                "volatile": ["d"],
                "exclude": [lambda config: config.x - 1 != config.d],
            },
            2,
        ),
        ({"parameters": {"x": [1]}, "settings": {"workers": 3}, "volatile": ["workers"]}, 1),
        ({"parameters": {"x": [1, 2], "d": ["cpu", "cpu"]}, "volatile": ["d"]}, 4),
    ],
    ids=["one", "zip", "rule", "setting", "the same twice"],
)
def test_a_volatile_parameter_with_one_value_to_a_key_runs(
    declared: dict[str, Any], count: int, tmp_path: Path
) -> None:
    results = Memento(square, executor="serial", store=tmp_path / "store", progress=False).run(declared)
    assert results is not None
    assert len(results) == count


def test_the_values_of_ranges_are_shown(dry: Dry) -> None:
    given = {"x": {"start": 0, "stop": 0.4, "step": 0.1}, "n": {"start": 0, "stop": 50}, "y": [1]}
    lines = dry({"parameters": given})
    assert lines[1:3] == [
        "x: 0.0, 0.1, 0.2, 0.3 (4 values of Range(0, 0.4, 0.1))",
        "n: 0, 1, 2, ..., 49 (50 values of Range(0, 50))",
    ]
    assert "new: 200" in lines
    assert len(lines) <= 30
    two = [{"n": {"start": 0, "stop": 20}}, {"n": {"start": 10, "stop": 40}}]
    assert dry({"parameters": two})[1] == "n: 0, 1, 2, ..., 39 (40 values)"
    wider = [{"n": {"start": 0, "stop": 20}}, {"n": {"start": 0, "stop": 40}}]
    assert dry({"parameters": wider})[1] == "n: 0, 1, 2, ..., 39 (40 values of Range(0, 40))"
    more = {"parameters": {"n": {"start": 0, "stop": 3}}, "include": [{"n": 7}, {"n": [1]}]}
    assert "n: 0, 1, 2, 7, [1] (5 values)" in dry(more)
    many = [{f"p{i}": memento.Linear(0, 1, num=2)} for i in range(40)]
    assert len(dry({"parameters": many})) <= 30
