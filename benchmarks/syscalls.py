"""Which system calls a run makes, by kind: `python -m benchmarks.syscalls` (needs strace).

Counted twice, for a grid of ten tasks and for one of 10,000: the first tells what a run costs, the difference what a
task costs. The coordinator is counted apart from all other processes of the run. Counts of what waits (futex, poll)
depend on the machine; those of files and memory hardly do.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from benchmarks.harness import environment

FEW, MANY = 10, 10_000
SCRIPT = """
import sys
from memento import Memento

def experiment(context, config):
    return config.a

if __name__ == "__main__":
    matrix = {"parameters": {"a": list(range(int(sys.argv[1])))}}
    Memento(experiment, num_workers=2, progress=False, store="store").run(matrix)
"""
_CALL = re.compile(r"^(\w+)\(", re.MULTILINE)


def count(tasks: int, folder: Path, script: Path) -> tuple[Counter[str], Counter[str]]:
    """Run a grid in `folder`; return the calls of the coordinator and those of all others."""
    traces = folder / "traces"
    traces.mkdir()
    command = ["strace", "-ff", "-qq", "-o", str(traces / "of"), sys.executable, str(script), str(tasks)]
    subprocess.run(command, check=True, cwd=folder, env=environment(), timeout=600)
    first, *others = sorted(traces.iterdir(), key=lambda path: int(path.suffix[1:]))
    calls = Counter(_CALL.findall(first.read_text(errors="replace")))
    rest: Counter[str] = Counter()
    for path in others:
        rest.update(_CALL.findall(path.read_text(errors="replace")))
    shutil.rmtree(traces)
    return calls, rest


def table(title: str, few: Counter[str], many: Counter[str], top: int) -> str:
    """Print the kinds that are called most, as Markdown."""
    lines = [
        f"\n| {title} | run of {FEW} tasks | of {MANY:,} | more a task |",
        "| --- | --- | --- | --- |",
    ]
    kinds = sorted(few | many, key=lambda kind: -max(few[kind], many[kind]))
    rows = [(kind, few[kind], many[kind]) for kind in kinds[:top]]
    rest = kinds[top:]
    rows.append((f"{len(rest)} other kinds", sum(few[k] for k in rest), sum(many[k] for k in rest)))
    rows.append(("**all**", few.total(), many.total()))
    lines += [f"| {kind} | {a:,} | {b:,} | {(b - a) / (MANY - FEW):.3f} |" for kind, a, b in rows]
    return "\n".join(lines)


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description="Count the system calls of a run.")
    parser.add_argument("--top", type=int, default=12, help="kinds to list")
    options = parser.parse_args()
    if shutil.which("strace") is None:
        parser.exit(1, "strace is not installed\n")
    with tempfile.TemporaryDirectory(prefix="memento-bench-") as folder:
        script = Path(folder) / "script.py"
        script.write_text(SCRIPT)
        counted = {}
        for tasks in (FEW, MANY):
            place = Path(folder) / str(tasks)
            place.mkdir()
            for what in ("cold", "warm"):
                counted[what, tasks] = count(tasks, place, script)
        for what, part, who in (
            ("cold", 0, "cold: coordinator"),
            ("cold", 1, "cold: workers"),
            ("warm", 0, "warm: the only process"),
        ):
            print(table(who, counted[what, FEW][part], counted[what, MANY][part], options.top))


if __name__ == "__main__":
    main()
