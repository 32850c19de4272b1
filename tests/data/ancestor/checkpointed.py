"""Checkpoints: in an experiment that is interrupted by an error, and with a Context of one's own."""

import os
import pickle

from memento import AggregateException, Config, Context, FileSystemCheckpointing, Memento, MemoryUsage, Result


def experiment(context, config):
    if context.checkpoint_exist():
        half = context.restore()
    else:
        half = config.x * 10
        context.checkpoint(half)
        if os.environ.get("FAIL"):
            raise RuntimeError("killed in the middle")
    return half + 1


matrix = {"parameters": {"x": [1]}}
os.environ["FAIL"] = "1"
try:
    Memento(experiment, num_workers=1).run(matrix, cache_path="memento.sqlite")
except AggregateException as error:
    print(type(error.exceptions[0]).__name__, error.exceptions[0])
results = Memento(experiment, num_workers=1).run(matrix, cache_path="memento.sqlite")
print([r.inner for r in results])

checkpoints = FileSystemCheckpointing("checkpoints.sqlite")
context = Context("task", checkpoints)
print(context.checkpoint_exist(), context.key)
context.checkpoint([1, 2])
print(context.checkpoint_exist(), context.restore(), checkpoints.contains("task"))
print(FileSystemCheckpointing(filepath="checkpoints.sqlite").get("task"))
checkpoints.remove("task")
print(context.checkpoint_exist())
try:
    context.restore()
except KeyError:
    print("KeyError")
with checkpoints as database:
    print(database.execute("SELECT count(*) FROM checkpoint_table").fetchone())

context.record({"loss": 1.0})
context.record({"loss": (2.0, 3.0)})
frame = context.collect_metrics()["loss"]
print(list(frame.columns), frame["y"].tolist(), frame["x"].tolist()[1])

result = Result(
    Config(x=1), 2, metrics={}, start_time=None, runtime=None, cpu_time=None, memory=None, was_cached=True
)
print(result.config.x, result.inner, result.memory, result.was_cached)
usage = MemoryUsage(virtual_peak=2, hardware_peak=1)
print(usage.virtual_peak, usage.hardware_peak, pickle.loads(pickle.dumps(Config(x=3))).x)
