"""What the pages call experiment.py: a grid of which some tasks fail."""

import time


def train(context, config):
    print("training", config.model, config.C)
    for step in range(3):
        context.record({"loss": config.lr / (step + 1)}, step=step)
    context.record({"acc": 0.9 - config.lr / 10 + config.C / 100})
    if config.model == "SVC" and config.C == 3:
        raise MemoryError("the kernel matrix does not fit")
    context.artifact("weights.bin").write_bytes(b"0" * 10)
    return 0.9 - config.lr / 10


def slow(context, config):
    time.sleep(300)
