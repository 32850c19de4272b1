"""What the pages call train.py: a module with experiments, and a program."""

import argparse
import json
import pathlib


def train(context, config):
    context.record({"acc": 0.5})
    if config.model == "SVC" and config.C == 3:
        raise MemoryError("the kernel matrix does not fit")
    return config.lr


experiment = fit = train


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", default=".")
    options, rest = parser.parse_known_args()
    pathlib.Path(options.out, "result.json").write_text(json.dumps({"acc": 0.9, "options": rest}))


if __name__ == "__main__":
    main()
