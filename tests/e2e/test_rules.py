"""What rules promise of values that `==` is no judge of, and of results of other matrices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from memento import Config, Context, Memento


def experiment(context: Context, config: Config) -> Any:
    return config.a * 10 if "a" in config else (config.first, config.y)


def chained(store: Path, rule: Any) -> Memento:
    memento = Memento(experiment, store=store, progress=False, executor="serial")
    memento.add_matrix({"id": "first", "parameters": {"a": [1, 2]}})
    rules = {"exclude": [rule]} if rule else {}
    memento.add_matrix({"id": "second", "parameters": {"y": [5]}, "dependencies": ["first"], **rules})
    return memento


@pytest.mark.parametrize("rule", [{"first": 10}, lambda config: config.first == 10], ids=["dict", "callable"])
def test_a_rule_on_a_result_of_another_matrix_means_what_it_returned(tmp_path: Path, rule: Any) -> None:
    results = chained(tmp_path, rule).run_all()
    assert results is not None
    second = results["second"]
    assert second is not None
    assert [result.inner for result in second] == [(20, 5)]


def test_a_dry_run_knows_the_results_that_are_stored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "memento")

    def rule(config: Config) -> bool:
        return bool(config.first > 10)

    chained(tmp_path, rule).run_all(dry_run=True)
    assert "2 new" in caplog.text
    chained(tmp_path, None).run_all()
    caplog.clear()
    chained(tmp_path, rule).run_all(dry_run=True)
    assert "1 cached" in caplog.text
    assert "2 configurations of matrix 'second'" not in caplog.text
