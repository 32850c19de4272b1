"""What tasks warn of is in their logs, kept with their results, and said at the end of the run."""

from __future__ import annotations

import pytest

from tests.e2e.workplace import Workplace

SCRIPT = """
import sys, warnings
import numpy as np
from memento import Memento

warnings.filterwarnings("ignore", message="quiet")

def experiment(context, config):
    warnings.warn("quiet, please")
    if config.model == "SVC":
        np.array([0.0]) / np.zeros(1)
    context.logger.warning("told %s", config.n)
    return config.n

results = Memento(experiment, num_workers=2, executor=sys.argv[1], log_output=sys.argv[1] != "serial").run(
    {"parameters": {"model": ["SVC", "tree"], "n": range(6)}}
)
print("warned", [len(result.warnings) for result in results])
print("logged", ["invalid value" in result.log and "told" in result.log for result in results if result.warnings])
print("quiet", any("quiet" in result.log for result in results))
print(results.warnings)
"""
LINE = (
    "6 tasks warned: RuntimeWarning: invalid value encountered in divide (exp.py:11) - all 6 have model=SVC"
)


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["processes", "threads", "serial"])
def test_every_task_has_its_warnings_and_the_end_counts_them(executor: str, place: Workplace) -> None:
    place.environment["PYTHONWARNINGS"] = ""
    place.write("exp.py", SCRIPT)
    program = place.run("exp.py", executor)
    assert f"warned {[1] * 6 + [0] * 6}" in program.out
    assert LINE in program.out
    assert f"[memento]   {LINE}" in program.err
    assert "quiet False" in program.out
    if executor == "processes":
        assert f"logged {[True] * 6}" in program.out
    assert "warned" not in place.run("exp.py", executor).err


EMPTY = """
from memento import Memento

def train(context, config){annotation}:
    {body}

results = Memento(train, num_workers=2).run({{"parameters": {{"n": range(3)}}}})
"""
NOTE = "all 3 tasks returned None: is a `return` missing in train (exp.py:4)?"


@pytest.mark.slow
def test_that_all_tasks_returned_none_is_said_as_long_as_it_is_so(place: Workplace) -> None:
    place.write("exp.py", EMPTY.format(annotation="", body="config.n * 2"))
    assert NOTE in place.run("exp.py").err
    assert NOTE in place.run("exp.py").err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("annotation", "body"),
    [
        ("", "return config.n"),
        ("", "return None if config.n else 0"),
        ("", "context.record({'loss': 1.0})"),
        ("", "context.artifact('model.bin').write_text('x')"),
        (" -> None", "config.n * 2"),
    ],
)
def test_tasks_that_leave_something_else_or_mean_to_return_nothing_are_not_told_of(
    annotation: str, body: str, place: Workplace
) -> None:
    place.write("exp.py", EMPTY.format(annotation=annotation, body=body))
    assert "None" not in place.run("exp.py").err


@pytest.mark.slow
def test_show_tells_what_a_task_warned_of(place: Workplace) -> None:
    place.write("exp.py", SCRIPT + "print('key', results[0].key)")
    key = place.run("exp.py", "processes").out.rpartition("key ")[2].strip()
    told = place.run("-m", "memento", "show", key).out
    assert "warning     RuntimeWarning: invalid value encountered in divide (exp.py:11)" in told
