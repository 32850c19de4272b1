"""Scripts that are edited between runs: what is said, what is computed again, what is gone on from."""

from __future__ import annotations

import json
import textwrap
from typing import Any

import pytest

from memento.store.store import Store
from tests.e2e.workplace import Workplace

SCRIPT = """
import json, sys
from memento import Memento
{code}
def experiment(context, config):
    {body}
if __name__ == "__main__":
    results = Memento(experiment, store="store", progress=False, executor="{executor}", num_workers=1,
                      on_error="return", **{options}).run({matrix}, **{run})
    print(json.dumps([["cached" if r.was_cached else r.status, repr(r.inner)] for r in results]))
"""


class Scripted:
    """A script, of which a test changes parts from run to run."""

    def __init__(self, place: Workplace) -> None:
        self.place = place
        self.parts: dict[str, Any] = {
            "code": "", "body": "return 1", "executor": "serial", "options": {}, "run": {},
            "matrix": "{'parameters': {'x': [1, 2, 3]}}",
        }  # fmt: skip

    def __call__(self, **parts: Any) -> tuple[list[str], str]:
        """Run it with some parts changed; return what became of the tasks, and what was said."""
        self.parts |= {
            name: textwrap.dedent(part) if isinstance(part, str) else part for name, part in parts.items()
        }
        body = self.parts["body"].strip().replace("\n", "\n    ")
        self.place.write("exp.py", SCRIPT.format(**{**self.parts, "body": body}))
        program = self.place.run("exp.py")
        self.values = [value for _, value in json.loads(program.out)]
        return [what for what, _ in json.loads(program.out)], program.err


@pytest.fixture
def script(place: Workplace) -> Scripted:
    return Scripted(place)


ALL, DONE = ["cached"] * 3, ["done"] * 3


@pytest.mark.slow
def test_a_change_is_told_with_its_diff_and_its_way_out_and_the_results_are_used(script: Scripted) -> None:
    assert script(code="def helper(): return 1\nLR = 0.1", body="return helper() * LR") == (DONE, "")
    what, said = script(code="def helper(): return 2\nLR = 0.2")
    assert what == ALL
    assert "3 results were computed by an older version of the code (of 20" in said
    assert "are used as they are" in said
    assert "-    return 1" in said
    assert "+    return 2" in said
    assert "LR: 0.1 -> 0.2" in said
    assert "memento adopt" in said
    assert 'on_code_change="rerun"' in said
    assert script(options={"on_code_change": "ignore"}) == (ALL, "")


@pytest.mark.slow
def test_each_older_version_is_told_by_itself(script: Scripted) -> None:
    script(body="return 1")
    script(body="return 2", matrix="{'parameters': {'x': [1, 2, 3, 4]}}")
    _, said = script(body="return 3", matrix="{'parameters': {'x': [1, 2, 3, 4, 5]}}")
    assert said.count("older version of the code") == 2
    assert "3 results were" in said
    assert "1 result was" in said


@pytest.mark.slow
def test_where_changed_code_computes_again_it_says_so_and_the_next_run_is_silent(script: Scripted) -> None:
    script(body="return 1")
    what, said = script(body="return 2", options={"on_code_change": "rerun"})
    assert what == DONE
    assert "are computed again" in said
    assert "are used" not in said
    assert script() == (ALL, "")


@pytest.mark.slow
def test_what_is_computed_again_anyway_is_not_called_used(script: Scripted) -> None:
    script(body="return 1")
    what, said = script(body="return 2", run={"force_run": True})
    assert what == DONE
    assert "are computed again" in said
    assert "are used" not in said
    assert script(run={}) == (ALL, "")


@pytest.mark.slow
def test_code_that_is_changed_back_is_the_code_that_it_was(script: Scripted) -> None:
    script(body="return 1")
    script(body="return 2")
    assert script(body="return 1", options={"on_code_change": "rerun"}) == (ALL, "")


BRINGS = {
    "a class": ("Model", "value(1).fit()"),
    "an instance": ("Model(1)", "value.fit()"),
    "an instance in a list": ("[Model(1)]", "value[0].fit()"),
    "a class in a dict": ("{'c': Model}", "value['c'](1).fit()"),
    "a bound method": ("Model(1).fit", "value()"),
    "a partial of a class": ("functools.partial(Model, 1)", "value().fit()"),
}
MODEL = "class Model:\n    def __init__(self, k): self.k = k\n    def fit(self): return self.k * {n}\n"


@pytest.mark.slow
@pytest.mark.parametrize("kind", BRINGS)
def test_the_code_of_a_value_is_that_of_the_tasks_that_hold_it(
    kind: str, script: Scripted, place: Workplace
) -> None:
    value, use = BRINGS[kind]
    place.write("pkg/__init__.py", "")
    place.write("pkg/models.py", MODEL.format(n=1))
    script(
        code="import functools\nfrom pkg.models import Model",
        body=f"value = config.m\nreturn 5 if value == 5 else {use}",
        matrix=f"{{'parameters': {{'m': [5, {value}]}}}}",
        options={"on_code_change": "rerun"},
    )
    place.write("pkg/models.py", MODEL.format(n=20))
    assert script()[0] == ["cached", "done"]
    assert script.values == ["5", "20"]
    assert script() == (["cached"] * 2, "")


@pytest.mark.slow
@pytest.mark.parametrize("kind", BRINGS)
def test_the_code_of_a_setting_is_that_of_all_tasks(kind: str, script: Scripted, place: Workplace) -> None:
    value, use = BRINGS[kind]
    place.write("pkg/__init__.py", "")
    place.write("pkg/models.py", MODEL.format(n=1))
    script(
        code="import functools\nfrom pkg.models import Model",
        body=f"value = config.settings['m']\nreturn {use}",
        matrix=f"{{'parameters': {{'x': [1, 2, 3]}}, 'settings': {{'m': {value}}}}}",
        options={"on_code_change": "rerun"},
    )
    place.write("pkg/models.py", MODEL.format(n=20))
    assert script()[0] == DONE
    assert script.values == ["20"] * 3


@pytest.mark.slow
def test_a_grid_that_grows_and_shrinks_computes_only_what_is_new(script: Scripted) -> None:
    matrix = "{{'parameters': {{'m': [{}], 'x': [1, 2]}}}}"
    code = "class A: pass\nclass B: pass\ndef c(): pass\n"
    options = {"on_code_change": "rerun"}
    script(code=code, body="return config.x", matrix=matrix.format("A"), options=options)
    what, said = script(matrix=matrix.format("A, B, c"))
    assert (what, said) == (["cached"] * 2 + ["done"] * 4, "")
    assert script(matrix=matrix.format("c, 7, B"))[0] == ["cached"] * 2 + ["done"] * 2 + ["cached"] * 2


HALF_WAY = """
state = {"n": 0, "by": []}
if context.checkpoint_exist():
    state = context.restore()
while len(state["by"]) < 4:
    state["by"].append(BY)
    context.checkpoint(state)
    if len(state["by"]) == 2 and FAILS:
        raise RuntimeError("half way")
return "".join(map(str, state["by"]))
"""
LOOPING = """
state = {"by": []}
for i in context.loop(range(4), state, every="1 steps"):
    if i == 2 and FAILS:
        raise RuntimeError("half way")
    state["by"].append(BY)
return "".join(map(str, state["by"]))
"""
ONE = "{'parameters': {'x': [1]}}"


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["serial", "processes"])
@pytest.mark.parametrize("body", [HALF_WAY, LOOPING], ids=["checkpoint", "loop"])
def test_a_checkpoint_of_older_code_is_gone_on_from_and_the_result_is_of_both(
    body: str, executor: str, script: Scripted
) -> None:
    script(code="BY, FAILS = 1, True", body=body, matrix=ONE, executor=executor)
    what, said = script(code="BY, FAILS = 2, False")
    assert (what, script.values) == (["done"], ["'1122'"])
    assert "1 checkpoint was saved by an older version of the code" in said
    assert "of both versions" in said
    what, said = script()
    assert what == ["cached"]
    assert "1 result was computed partly by an older version of the code" in said
    what, said = script(options={"on_code_change": "rerun"})
    assert (what, script.values) == (["done"], ["'2222'"])


@pytest.mark.slow
@pytest.mark.parametrize("body", [HALF_WAY, LOOPING], ids=["checkpoint", "loop"])
def test_where_changed_code_computes_anew_older_checkpoints_are_not_used(body: str, script: Scripted) -> None:
    script(code="BY, FAILS = 1, True", body=body, matrix=ONE)
    what, said = script(code="BY, FAILS = 2, False", options={"on_code_change": "rerun"})
    assert (what, script.values) == (["done"], ["'2222'"])
    assert "1 checkpoint was saved by an older version" in said
    assert "not used" in said
    assert script() == (["cached"], "")


@pytest.mark.slow
def test_where_nobody_asks_an_older_checkpoint_is_ones_own(script: Scripted) -> None:
    options = {"on_code_change": "ignore"}
    script(code="BY, FAILS = 1, True", body=HALF_WAY, matrix=ONE, options=options)
    assert script(code="BY, FAILS = 2, False") == (["done"], "")
    assert script(options={"on_code_change": "rerun"}) == (["cached"], "")


@pytest.mark.slow
def test_a_checkpoint_of_ones_own_code_is_gone_on_from_without_a_word(script: Scripted) -> None:
    options = {"on_code_change": "rerun"}
    fails = "FAILS = bool(__import__('os').environ.get('FAILS'))"
    script.place.environment["FAILS"] = "1"
    script(code=f"BY = 1\ndef fails(): return {fails.partition(' = ')[2]}",
           body=HALF_WAY.replace("FAILS", "fails()"), matrix=ONE, options=options)  # fmt: skip
    del script.place.environment["FAILS"]
    assert script() == (["done"], "")
    assert script.values == ["'1111'"]


@pytest.mark.slow
def test_rows_bear_the_version_of_their_own_task(script: Scripted, place: Workplace) -> None:
    place.write("pkg/__init__.py", "")
    place.write("pkg/models.py", "class A:\n    k = 1\nclass B:\n    k = 2\n")
    script(code="from pkg.models import A, B", body="return config.x",
           matrix="{'parameters': {'m': [A, B, 0], 'x': [1, 2]}}", executor="processes")  # fmt: skip
    with Store.open(place.folder / "store") as store:
        records = store.index.recent()
        names = {
            record.params: set(store.index.codes([record.code])[record.code].functions) for record in records
        }
    assert len({record.code for record in records}) == 3
    for params, functions in names.items():
        for letter in "AB":
            assert any(name.endswith(f":{letter}") for name in functions) == (f":{letter}" in params)


@pytest.mark.slow
def test_results_that_were_taken_over_after_a_move_are_of_the_same_code(place: Workplace) -> None:
    text = """
    from memento import Memento
    from helpers import double
    FACTOR = 3
    def experiment(context, config): return double(config.x) * FACTOR
    if __name__ == "__main__":
        results = Memento(experiment, progress=False, executor="serial", on_code_change="rerun").run(
            {"parameters": {"x": [1, 2]}})
        print([r.was_cached for r in results])
    """
    place.write("pyproject.toml", "")
    place.write("old/exp.py", text)
    place.write("old/helpers.py", "def double(x): return x + x\n")
    place.run("old/exp.py")
    (place.folder / "old").rename(place.folder / "new")
    (place.folder / "new" / "exp.py").rename(place.folder / "new" / "train.py")
    place.run("-m", "memento", "rename", "old/exp.py:experiment", "new/train.py:experiment")
    ran = place.run("new/train.py")
    assert (ran.out.strip(), ran.err) == ("[True, True]", "")
    place.write("new/helpers.py", "def double(x): return 2 * x\n")
    assert place.run("new/train.py").out.strip() == "[False, False]"


@pytest.mark.slow
@pytest.mark.parametrize("data", ["np.full(1000, {})", "np.full(300_000, {})", "[np.full(3, {})]"])
def test_an_array_of_the_script_that_is_another_is_told(script: Scripted, data: str) -> None:
    code = f"import numpy as np\nDATA = {data}"
    assert script(code=code.format(1), body="return float(np.sum(DATA)) + config.x") == (DONE, "")
    old = script.values
    what, said = script(code=code.format(5))
    assert (what, script.values) == (ALL, old)
    assert "computed by an older version" in said
    assert "  DATA: " in said
    assert script(options={"on_code_change": "rerun"})[0] == DONE
    assert script.values != old
    assert script()[0] == ALL


IN_PLACE = """
import numpy as np
from memento import Memento
DATA = np.zeros(1000)
CACHE = {}
def experiment(context, config):
    CACHE[config.x] = 1
    return float(DATA[0])
def run(**options):
    told = Memento(experiment, store="store", progress=False, executor="processes", num_workers=1, **options)
    print([r.inner for r in told.run({"parameters": {"x": [1, 2]}})])
run()
DATA[0] = 5
run()
run(on_code_change="rerun")
run()
"""


@pytest.mark.slow
def test_an_array_that_is_changed_in_place_between_two_runs_of_a_program_is_told(place: Workplace) -> None:
    place.write("exp.py", IN_PLACE)
    program = place.run("exp.py")
    assert program.out.split("\n")[:4] == ["[0.0, 0.0]", "[0.0, 0.0]", "[5.0, 5.0]", "[5.0, 5.0]"]
    assert program.err.count("  DATA: ") == 2  # once used as they are, once computed again
    assert "CACHE" not in program.err  # what a task fills in a worker is no change of the program
