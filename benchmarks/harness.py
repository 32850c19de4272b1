"""Run workloads, each contender in a fresh process, interleaved; print ratios.

Knows: processes, medians. May not know: what a workload does.

A workload is a file beside this one: a script that runs one contender once and prints one figure as JSON (or
several, by name), with `TITLE`, `CONTENDERS` (name -> environment), `UNIT`, `BASE` (whom the ratios are against),
perhaps `MUST` (what ours has to reach) and `FULL = True` (runs only when it is named, or with --full).
Interleaving: every round runs each contender once, so that a slow minute of the machine is everybody's. A contender
that fails (1.2.0 does under load: "database is locked") has no figure for that round.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
ENVIRONMENTS = {"ours": ROOT / ".venv", "ancestor": ROOT / ".venv-ancestor"}
NO_WORKLOADS = ("__init__", "__main__", "harness", "layers")


def main() -> None:
    """Run the workloads that were named, or all."""
    parser = argparse.ArgumentParser(description="Measure Memento beside its peers.")
    names = sorted(file.stem for file in HERE.glob("*.py") if file.stem not in NO_WORKLOADS)
    parser.add_argument("workloads", nargs="*", help=f"of {', '.join(names)}")
    parser.add_argument("--full", action="store_true", help="also those that take long")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="write the raw figures here, as JSON")
    options = parser.parse_args()
    raw: dict[str, Any] = {"machine": machine()}
    for name in options.workloads or names:
        workload = importlib.import_module(f"benchmarks.{name}")
        if not options.workloads and not options.full and getattr(workload, "FULL", False):
            continue
        figures = measure(name, workload, options.rounds)
        raw[name] = figures
        print(table(name, workload, figures), flush=True)
    if options.out:
        options.out.write_text(json.dumps(raw, indent=1))


def machine() -> dict[str, Any]:
    """Say what the figures were measured on."""
    return {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.system()}


def measure(name: str, workload: Any, rounds: int) -> dict[str, list[float]]:
    """Run every contender once a round; return all figures."""
    figures: dict[str, list[float]] = {}
    for number in range(rounds):
        for contender, home in workload.CONTENDERS.items():
            python = ENVIRONMENTS[home] / "bin" / "python"
            if python.exists():
                for row, figure in run_once(python, name, contender).items():
                    figures.setdefault(row, []).append(figure)
            elif number == 0:
                print(f"{contender}: no environment {python.parent.parent.name}, left out", file=sys.stderr)
    return figures


def run_once(python: Path, name: str, contender: str) -> dict[str, float]:
    """Run one contender in a fresh process and an empty folder; return its figures by row of the table."""
    with tempfile.TemporaryDirectory(prefix="memento-bench-") as folder:
        done = subprocess.run(
            [str(python), str(HERE / f"{name}.py"), contender],
            cwd=folder,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
    if done.returncode:
        print(f"{name}: {contender} failed, left out of this round:\n{done.stderr[-500:]}", file=sys.stderr)
        return {}
    printed = json.loads(done.stdout.strip().splitlines()[-1])
    return printed if isinstance(printed, dict) else {contender: printed}


def environment() -> dict[str, str]:
    """Return what a user's shell has: compiled modules are kept, as they are by default."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def table(name: str, workload: Any, figures: dict[str, list[float]]) -> str:
    """Print medians, spread, and ratios against the base, as Markdown."""
    base = statistics.median(figures.get(workload.BASE, [float("nan")]))
    must = f", must be {workload.MUST}" if hasattr(workload, "MUST") else ""
    lines = [
        f"\n### {workload.TITLE}\n\n`{name}`{must}\n",
        f"| contender | {workload.UNIT} | lowest - highest | ratio to {workload.BASE} |",
        "| --- | --- | --- | --- |",
    ]
    for contender, values in figures.items():
        middle = statistics.median(values)
        lines.append(
            f"| {contender} | {middle:.4g} | {min(values):.4g} - {max(values):.4g} | {middle / base:.3f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
