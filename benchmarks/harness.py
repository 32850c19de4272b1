"""Run workloads, each contender in a fresh process, interleaved; print ratios.

Knows: processes, medians. May not know: what a workload does.

A workload is a file beside this one: a script that runs one contender once and prints one figure as JSON (or
several, by name), with `TITLE`, `CONTENDERS` (name -> environment), `UNIT`, `BASE` (whom the ratios are against),
perhaps `MUST` (what ours has to reach), `AGAIN = True` (it runs twice in its folder, and the second time counts),
`FULL = True` (runs only when it is named, or with --full) and `against` (row -> the row that its ratio is against,
where there is no one base for all).
Interleaving: every round runs each contender once, so that a slow minute of the machine is everybody's. A contender
that fails (1.2.0 does under load: "database is locked") has no figure for that round.
Processor time is that of the contender's process and of all its children, Python's own start included: beside a
figure by the clock it tells whether the machine had other things to do.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
ENVIRONMENTS = {
    name: ROOT / f".venv{suffix}"
    for name, suffix in (("ours", ""), ("ancestor", "-ancestor"), ("exca", "-exca"), ("torch", "-torch"))
}
TIME_LIMIT = 900.0  # seconds of one contender


@dataclass
class Figures:
    """What one workload gave, round after round."""

    rows: dict[str, list[float]] = field(default_factory=dict)  # by row of the table
    cpu: dict[str, list[float]] = field(default_factory=dict)  # seconds of the processor, by contender


def main() -> None:
    """Run the workloads that were named, or all."""
    names = workloads()
    parser = argparse.ArgumentParser(description="Measure Memento beside its peers.")
    parser.add_argument("workloads", nargs="*", metavar="workload", help=f"of {', '.join(names)}")
    parser.add_argument("--full", action="store_true", help="also those that take long")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="write the raw figures here, as JSON, after every workload")
    options = parser.parse_args()
    unknown = set(options.workloads) - set(names)
    if unknown:
        parser.error(f"no workload {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    sys.path.insert(0, str(HERE))  # where scripts find their neighbours
    raw: dict[str, Any] = {"machine": machine()}
    for name in options.workloads or names:
        workload = importlib.import_module(name)
        if not options.workloads and not options.full and getattr(workload, "FULL", False):
            continue
        load = os.getloadavg()[0]
        figures = measure(name, workload, options.rounds)
        print(table(name, workload, figures), flush=True)
        raw[name] = {
            "unit": workload.UNIT,
            "base": workload.BASE,
            "must": getattr(workload, "MUST", ""),
            "figures": figures.rows,
            "processor_seconds": figures.cpu,
            "load_before_and_after": [load, os.getloadavg()[0]],
        }
        if options.out:
            options.out.write_text(json.dumps(raw, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def workloads() -> list[str]:
    """Name the files beside this one that are workloads."""
    return sorted(file.stem for file in HERE.glob("*.py") if "\nTITLE = " in file.read_text(encoding="utf-8"))


def machine() -> dict[str, Any]:
    """Say what the figures were measured on."""
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "system": platform.system(),
    }


def measure(name: str, workload: Any, rounds: int) -> Figures:
    """Run every contender once a round; return all figures."""
    figures = Figures()
    for number in range(rounds):
        for contender, home in workload.CONTENDERS.items():
            python = ENVIRONMENTS[home] / "bin" / "python"
            if python.exists():
                rows, cpu = run_once(python, name, contender, again=getattr(workload, "AGAIN", False))
                for row, figure in rows.items():
                    figures.rows.setdefault(row, []).append(figure)
                if rows:
                    figures.cpu.setdefault(contender, []).append(cpu)
            elif number == 0:
                print(f"{contender}: no environment {python.parent.parent.name}, left out", file=sys.stderr)
    return figures


def run_once(python: Path, name: str, contender: str, *, again: bool) -> tuple[dict[str, float], float]:
    """Run one contender in a fresh process and an empty folder; return its figures by row, and processor seconds."""
    with tempfile.TemporaryDirectory(prefix="memento-bench-") as folder:
        for _ in range(1 + again):
            before = children_seconds()
            done = subprocess.run(
                [str(python), str(HERE / f"{name}.py"), contender],
                cwd=folder,
                env=environment(),
                capture_output=True,
                text=True,
                timeout=TIME_LIMIT,
                check=False,
            )
            spent = children_seconds() - before
            if done.returncode:
                problem = done.stderr[-500:]
                print(f"{name}: {contender} failed, left out of this round:\n{problem}", file=sys.stderr)
                return {}, spent
    printed = json.loads(done.stdout.strip().splitlines()[-1])
    return printed if isinstance(printed, dict) else {contender: printed}, spent


def children_seconds() -> float:
    """Processor time of all children that have ended, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def environment() -> dict[str, str]:
    """Return what a user's shell has: compiled modules are kept, as they are by default."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    # In the empty folder: the store of this project, which the script lies in, would make the second round warm.
    return {**kept, "MEMENTO_STORE": "memento-store"}


def table(name: str, workload: Any, figures: Figures) -> str:
    """Print medians, spread, and ratios against the base, as Markdown."""
    against = getattr(workload, "against", lambda _: workload.BASE)
    must = f", must be {workload.MUST}" if hasattr(workload, "MUST") else ""
    rounds = max(map(len, figures.rows.values()), default=0)
    lines = [
        f"\n### {workload.TITLE}\n\n`{name}`, {rounds} round{'s' * (rounds != 1)}{must}\n",
        f"| contender | {workload.UNIT} | lowest - highest | ratio to {workload.BASE} | processor, s |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row, values in figures.rows.items():
        base = statistics.median(figures.rows.get(against(row), [float("nan")]))
        ratio = statistics.median(values) / base if base > 0 else float("nan")
        lines.append(f"| {row} | {spread(values)} | {ratio:.3f} | {processor(row, figures.cpu)} |")
    return "\n".join(lines)


def spread(values: list[float]) -> str:
    """Format the median, the lowest and the highest."""
    return f"{statistics.median(values):.4g} | {min(values):.4g} - {max(values):.4g}"


def processor(row: str, cpu: dict[str, list[float]]) -> str:
    """Format the processor time of a row's contender, where the row is all that it did."""
    spent: Iterable[float] | None = cpu.get(row)
    return "" if spent is None else f"{statistics.median(spent):.3g}"


if __name__ == "__main__":
    main()
