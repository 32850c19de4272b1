"""What a task draws comes from its key alone: on every executor, in any order, however often it is interrupted."""

from __future__ import annotations

import importlib.util
import json

import pytest

from tests.e2e.workplace import COUNTING, Workplace

# Tasks that draw from all that there is, without having made it.
DRAWS = (
    COUNTING
    + """
import json, random, signal
import numpy as np
# more
rng = np.random.default_rng(0)

class Simulation:
    chance = random.Random(3)

def draw():
    return [random.random(), float(np.random.random()), float(rng.random()), Simulation.chance.random(), *more()]

def experiment(context, config):
    state = {"draws": [], "sum": np.zeros(1)}
    total = state["sum"]
    for i in context.loop(range(8), state, every="1 step"):
        if context.attempt <= len(config.settings["breaks"]) and i == config.settings["breaks"][context.attempt - 1]:
            if config.settings["how"] == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise OSError("as if the machine had gone down here")
        state["draws"].append([*draw(), float(context.rng.random()), float(context.shared_rng.random())])
        total += state["draws"][-1][0]
    return state["draws"], float(total[0])

def run(executor, workers, breaks=(), how="error", xs=(1, 2, 3)):
    from memento.errors import WorkerDied
    memento = Memento(experiment, name="draws", store=str(HERE / f"{executor} {workers} {breaks} {how} {xs}"),
                      executor=executor, num_workers=workers, retries={OSError: 3, WorkerDied: 3}, progress=False)
    matrix = {"parameters": {"x": list(xs)}, "settings": {"breaks": breaks, "how": how}, "volatile": ["breaks", "how"],
              "repeats": 2}
    return [result.inner for result in memento.run(matrix)]

if __name__ == "__main__":
    before = random.random(), np.random.random()
    random.seed(0); np.random.seed(0)
    expected = random.random(), np.random.random(), rng.bit_generator.state
    random.seed(0); np.random.seed(0)
    told = {
        "one worker": run("processes", 1), "two workers": run("processes", 2), "serial": run("serial", 1),
        "a thread": run("threads", 1), "the other way round": run("processes", 1, xs=(3, 2, 1)),
        "interrupted": run("processes", 2, (3, 5)), "killed": run("processes", 2, (1, 6), "kill"),
        "serial, interrupted": run("serial", 1, (2,)), "thread, interrupted": run("threads", 1, (7,)),
    }
    other = told["the other way round"]
    told["the other way round"] = [*other[4:], *other[2:4], *other[:2]]
    first = told["one worker"]
    print(json.dumps({
        "same": [name for name, draws in told.items() if draws == first],
        "others": [name for name, draws in told.items() if draws != first],
        "distinct": len({draw[0][0][i] for draw in first for i in range(len(first[0][0][0]) - 1)}),
        "shared": len({draw[0][0][-1] for draw in first}),
        "columns": len(first[0][0][0]),
        "as before": (random.random(), np.random.random(), rng.bit_generator.state) == expected,
    }))
"""
)
KINDS = {
    "plain": "def more(): return []",
    "torch": (
        "import torch\nshuffle = torch.Generator().manual_seed(5)\n"
        "def more(): return [float(torch.rand(1)), float(torch.rand(1, generator=shuffle))]"
    ),
}


@pytest.mark.parametrize("kind", [pytest.param("plain", marks=pytest.mark.slow), "torch"])
def test_a_task_draws_the_same_wherever_it_runs_and_however_often_it_is_interrupted(
    kind: str, place: Workplace
) -> None:
    if kind != "plain" and importlib.util.find_spec(kind) is None:
        pytest.skip(f"{kind} is not installed")
    place.write("exp.py", DRAWS.replace("# more", KINDS[kind]))
    program = place.run("exp.py")
    told = json.loads(program.out)
    assert told["others"] == []
    assert len(told["same"]) == 9
    assert told["distinct"] == 6 * (told["columns"] - 1), "tasks and repeats draw numbers of their own"
    assert told["shared"] == 2, "one for each repeat"
    assert told["as before"], "the program draws on as if it had run nothing"


@pytest.mark.slow
def test_a_run_says_once_which_generators_its_tasks_share(place: Workplace) -> None:
    place.write(
        "exp.py",
        """
        import random, sys
        import numpy as np
        from memento import Memento
        rng = np.random.default_rng(0)
        def experiment(context, config):
            return float(rng.random())
        def other(context, config):
            return random.random()
        for executor, workers in (("processes", 2), ("threads", 2)):
            memento = Memento(experiment, num_workers=workers, executor=executor, store=executor)
            memento.run({"parameters": {"x": [1, 2]}})
        Memento(other, num_workers=2, store="other").run({"parameters": {"x": [1, 2]}})
        """,
    )
    lines = [line for line in place.run("exp.py").err.splitlines() if "generator" in line]
    assert len(lines) == 2
    assert (
        "rng (exp.py) is a generator that tasks share: each task gets a child of its own by its key"
        in lines[0]
    )
    assert (
        "rng (exp.py) is a generator that tasks share: tasks in threads draw from it in no fixed order"
        in lines[1]
    )


@pytest.mark.slow
def test_a_library_that_tasks_are_the_first_to_import_is_seeded_in_each(place: Workplace) -> None:
    place.write(
        "exp.py",
        """
        import sys, tempfile
        from memento import Memento
        def experiment(context, config):
            loaded = "random" in sys.modules
            import numpy as np
            from random import random
            return float(np.random.random()), random()
        def draws(workers, executor="processes"):
            results = Memento(experiment, num_workers=workers, executor=executor, store=f"{executor} {workers}").run(
                {"parameters": {"x": list(range(6))}})
            return [result.inner for result in results]
        told = draws(1)
        print(told == draws(3) == draws(1, "serial"), len({x for draw in told for x in draw}))
        """,
    )
    assert place.run("exp.py").out == "True 12\n"


@pytest.mark.slow
def test_a_fresh_worker_gives_the_children_that_the_program_would(place: Workplace) -> None:
    """It has imported the module anew: what the program has drawn from the generator since, it has not."""
    place.write("common.py", "import numpy as np\nrng = np.random.default_rng(0)\n")
    place.write(
        "exp.py",
        """
        from memento import Memento
        from memento.executors.processes import Processes
        from common import rng
        def experiment(context, config):
            return float(rng.random())
        def draws(executor):
            results = Memento(experiment, executor=executor, store=str(id(executor)), progress=False).run(
                {"parameters": {"x": [1, 2]}})
            return [result.inner for result in results]
        data = rng.random(10)
        told = draws("serial")
        print(draws(Processes(1, copy=False)) == draws(Processes(1)) == told, len(set(told)))
        """,
    )
    assert place.run("exp.py").out == "True 2\n"
