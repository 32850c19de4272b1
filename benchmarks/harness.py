"""Run workloads, each contender in a fresh process, interleaved; print ratios.

Knows: processes, medians. May not know: what a workload does.

A workload is a file beside this one: a script that runs one contender once and prints one line of JSON, with
`CONTENDERS` (name -> environment), `UNIT` and `BASE` (whom the ratios are against). Interleaving: every round
runs each contender once, so that a slow minute of the machine is everybody's.
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
WORKLOADS = ("imports", "noop_cold", "noop_warm", "paper_grid")


def main() -> None:
    """Run the workloads that were named, or all."""
    parser = argparse.ArgumentParser(description="Measure Memento beside its peers.")
    parser.add_argument("workloads", nargs="*", default=list(WORKLOADS), help=f"of {', '.join(WORKLOADS)}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="write the raw figures here, as JSON")
    options = parser.parse_args()
    raw: dict[str, Any] = {"machine": machine()}
    for name in options.workloads:
        workload = importlib.import_module(f"benchmarks.{name}")
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
    figures: dict[str, list[float]] = {contender: [] for contender in workload.CONTENDERS}
    for number in range(rounds):
        for contender, environment in workload.CONTENDERS.items():
            python = ENVIRONMENTS[environment] / "bin" / "python"
            if not python.exists():
                if number == 0:
                    print(
                        f"{contender}: no environment {python.parent.parent.name}, left out", file=sys.stderr
                    )
                continue
            figures[contender].append(run_once(python, name, contender))
    return {contender: values for contender, values in figures.items() if values}


def run_once(python: Path, name: str, contender: str) -> float:
    """Run one contender in a fresh process and an empty folder."""
    with tempfile.TemporaryDirectory(prefix="memento-bench-") as folder:
        done = subprocess.run(
            [str(python), str(HERE / f"{name}.py"), contender],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
    if done.returncode:
        raise SystemExit(f"{name} {contender} failed:\n{done.stdout}\n{done.stderr}")
    return float(json.loads(done.stdout.strip().splitlines()[-1]))


def table(name: str, workload: Any, figures: dict[str, list[float]]) -> str:
    """Print medians, spread, and ratios against the base, as Markdown."""
    base = statistics.median(figures[workload.BASE])
    lines = [
        f"\n### {workload.TITLE}\n",
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
