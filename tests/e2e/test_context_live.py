"""What a task says through its context arrives while it runs, and survives the worker that said it."""

from __future__ import annotations

import pytest

from tests.e2e.workplace import COUNTING, Workplace


@pytest.mark.slow
def test_a_loop_goes_on_where_the_killed_worker_was(place: Workplace) -> None:
    place.write(
        "exp.py",
        COUNTING
        + """
import signal
from memento.errors import WorkerDied

class Model:
    def __init__(self):
        self.weights = []
    def state_dict(self):
        return {"weights": self.weights}
    def load_state_dict(self, state):
        self.weights = list(state["weights"])

def experiment(context, config):
    model = Model()
    draws = context.rng.integers(0, 1000, size=30).tolist()
    for epoch in context.loop(range(30), model, every="1 steps"):
        if epoch in (7, 19) and context.attempt == (1 if epoch == 7 else 2):
            os.kill(os.getpid(), signal.SIGKILL)  # everything up to the epoch before is saved
        note(f"{config.x} {epoch}")
        model.weights.append(draws[epoch])
        context.record({"loss": (epoch, 1.0 / (epoch + 1))})
    return model.weights == draws, context.attempt

results = Memento(experiment, num_workers=2, retries={WorkerDied: 2}).run({"parameters": {"x": [0, 1, 2]}})
print([r.inner for r in results])
print([r.metrics["loss"]["x"].tolist() == list(range(30)) for r in results])
print("left", [str(p) for p in Path("memento-store/checkpoints").rglob("*") if p.is_file()])
""",
    )
    out = place.run("exp.py").out
    assert "[(True, 3), (True, 3), (True, 3)]" in out
    assert "[True, True, True]" in out
    assert "left []" in out
    assert place.counts("computed") == {f"{x} {epoch}": 1 for x in range(3) for epoch in range(30)}


@pytest.mark.slow
def test_a_shared_step_is_computed_once_though_the_worker_that_computes_it_dies(place: Workplace) -> None:
    place.write(
        "exp.py",
        COUNTING
        + """
import signal, numpy
from memento.errors import WorkerDied

def load(name, scale=1.0):
    note(name, "loads")
    if name == "deadly" and len((HERE / "loads").read_text().split("deadly")) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return numpy.arange(10_000.0) * scale

def experiment(context, config):
    data = context.cached(load, config.data, scale=2.0)
    again = context.cached(load, config.data, scale=2.0)
    note(config.i)
    return float(data.sum() + again.sum() + config.i)

runs = Memento(experiment, num_workers=3, retries={WorkerDied: 1})
results = runs.run({"parameters": {"data": ["safe", "deadly"], "i": list(range(10))}})
want = 2 * 2.0 * sum(range(10_000))
print("right", [r.inner for r in results] == [want + i for _ in range(2) for i in range(10)])
""",
    )
    assert "right True" in place.run("exp.py").out
    assert place.counts("loads") == {"safe": 1, "deadly": 2}


@pytest.mark.slow
def test_progress_and_metrics_arrive_while_the_task_runs(place: Workplace) -> None:
    place.write(
        "exp.py",
        COUNTING
        + """
import memento.display.base
from memento.events import Tick

seen = []

def listen(event):
    if isinstance(event, Tick):
        for state in event.running:
            if state.total and state.metrics:
                seen.append((state.config, state.done, state.total, state.metrics["loss"]))
                note("arrived", "go") if not (HERE / "go").exists() else None

make = memento.display.base.make_display
class Listening:
    def __init__(self, *args, **options):
        self.display = make(*args, **options)
    def __enter__(self):
        self.display.__enter__()
        return self
    def __exit__(self, *error):
        self.display.__exit__(*error)
    def listen(self, event):
        listen(event)
        self.display.listen(event)
memento.display.base.make_display = Listening

def experiment(context, config):
    done = 0
    while not (HERE / "go").exists():  # the end comes only once the coordinator has heard of us
        context.progress(1, total=100)
        context.record({"loss": 0.5})
        time.sleep(0.01)
    return 1

print(Memento(experiment, num_workers=1, timeout=60).run({"parameters": {"x": [7]}})[0].inner, seen[0])
""",
    )
    out = place.run("exp.py").out
    assert out.startswith("1 ('x=7', ")
    assert out.rstrip().endswith(", 100.0, 0.5)")


KINDS_OF_NUMBERS = (
    COUNTING
    + """
import decimal, fractions, numpy

class Tensor:  # as torch's: a number behind item()
    def __init__(self, value):
        self.value = value
        self.shape = ()
    def item(self):
        return self.value
    def __float__(self):
        return float(self.value)

NUMBERS = [1, True, 1.0, numpy.float32(1), numpy.int64(1), numpy.array(1.0), numpy.bool_(True), Tensor(1.0),
           fractions.Fraction(1), decimal.Decimal(1)]

def experiment(context, config):
    for step, number in enumerate(NUMBERS):
        context.record({"with_x": (step, number), "without": number})
    context.record({"nan": float("nan"), "inf": numpy.inf})
    (context.directory / "scratch.txt").write_text("scratch")
    context.artifact("plots/curve.txt").write_text(f"curve {config.x}")
    context.logger.info("a line of the logger")
    context.logger.debug("not this one")
    print("a line of print")
    print("a line of standard error", file=sys.stderr)
    os.write(1, b"a line of the system\\n")
    os.system("echo a line of a child")
    return {"seed": context.seed, "draw": context.rng.integers(0, 10**9, 5).tolist(), "key": context.key,
            "attempt": context.attempt, "directory": str(context.directory)}

results = Memento(experiment, num_workers=2).run({"parameters": {"x": [1, 2]}}, force_run="force" in sys.argv)
for result in results:
    x, y = result.metrics["with_x"]["x"].tolist(), result.metrics["with_x"]["y"].tolist()
    assert x == list(range(10)) and y == [1.0] * 10, (x, y)
    assert result.metrics["without"]["y"].tolist() == [1.0] * 10
    assert numpy.isnan(result.metrics["nan"]["y"][0]) and numpy.isinf(result.metrics["inf"]["y"][0])
    (path,) = result.artifacts.values()
    assert path.read_text() == f"curve {result.config.x}", path
    assert (Path(result.inner["directory"]) / "scratch.txt").read_text() == "scratch"
    for line in ("a line of the logger", "a line of print", "a line of standard error", "a line of the system",
                 "a line of a child"):
        assert result.log.count(line) == 1, result.log
    assert "not this one" not in result.log
    assert result.key == result.inner["key"]
first, second = (r.inner for r in results)
assert first["seed"] != second["seed"] and first["draw"] != second["draw"]
print([(r.inner["seed"], r.inner["draw"]) for r in results])
"""
)


@pytest.mark.slow
def test_everything_a_task_says_is_kept_and_chance_is_the_same_again(place: Workplace) -> None:
    place.write("exp.py", KINDS_OF_NUMBERS)
    once = place.run("exp.py").out
    assert place.run("exp.py").out == once  # from the store
    assert place.run("exp.py", "force").out == once  # computed again


@pytest.mark.slow
def test_a_checkpoint_of_one_run_is_restored_by_the_next(place: Workplace) -> None:
    place.write(
        "exp.py",
        COUNTING
        + """
def experiment(context, config):
    if context.checkpoint_exist():
        scores, model = context.restore()
        return scores, model["name"], context.attempt
    note("trained")
    context.checkpoint([0.1, 0.2], {"name": "forest"})
    raise RuntimeError("after the checkpoint")

print(Memento(experiment, num_workers=1).run({"parameters": {"x": [1]}})[0].inner)
""",
    )
    assert "after the checkpoint" in place.run("exp.py", code=1).err
    assert "([0.1, 0.2], 'forest', 1)" in place.run("exp.py").out
    assert place.counts("computed") == {"trained": 1}


@pytest.mark.slow
@pytest.mark.parametrize("log_output", [True, False])
def test_output_goes_to_the_log_or_where_the_user_wants_it(log_output: bool, place: Workplace) -> None:
    place.write(
        "exp.py",
        f"""
        from memento import Memento
        def experiment(context, config):
            print("a line of a task")
            print("and half a line", end="")
            return 1
        (result,) = Memento(experiment, num_workers=1, log_output={log_output}).run({{"parameters": {{"x": [1]}}}})
        print("log:", repr(result.log))
        """,
    )
    out = place.run("exp.py").out
    assert ("log: 'a line of a task\\nand half a line'" in out) == log_output
    assert ("a line of a task" in out.splitlines()) == (not log_output)
    assert ("\nand half a line" in out) == (not log_output)
