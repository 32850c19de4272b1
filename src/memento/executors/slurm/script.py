"""The script of a job, and the environment in which it is submitted.

Knows: lines of a batch script, variables of Slurm. May not know: running commands, queues, tasks.

A script is kept in the run's folder, as it was submitted. Options stand in it as `#SBATCH` lines, so that it can be
read, and submitted by hand. An option in the environment (SBATCH_PARTITION) would win over a line, so those that are in
the script are taken out of the environment.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from memento.executors.slurm.slurm_options import MINUTE, SlurmOptions

_MB = 1 << 20
_SHOWN = 60  # characters of a line of setup that failed
# What Slurm tells commands of the cluster; all else that it sets is of the job in which this program may run.
_KEPT = ("SLURM_CONF", "SLURM_CLUSTERS", "SLURM_CONF_SERVER", "SLURM_JWT")
_OF_JOBS = tuple("SLURM_ SLURMD_ SQUEUE_ SCANCEL_ SINFO_ SACCT_ SBATCH_CPU_BIND SBATCH_MEM_BIND".split())
# What Slurm itself sets of these in a job, and what would change what sbatch prints or does.
_OUTPUT = (
    "ACCTG_FREQ ARRAY_INX CPU_BIND DEBUG EXPORT MEM_BIND NO_REQUEUE OPEN_MODE OUTPUT ERROR REQUEUE SIGNAL TIMELIMIT"
    " WAIT INPUT GET_USER_ENV HINT".split()
)
_OF_OPTION = {"time": "TIMELIMIT", "mem": "MEM_PER_NODE", "cpus-per-task": "CPUS_PER_TASK"}


class JobRequest(NamedTuple):
    """What one submission asks for."""

    name: str  # of the job: all of a run have the same
    command: Sequence[str]  # what it runs, without the last argument
    pilots: Sequence[str]  # the last argument: of more than one, an array is made
    cpus: int
    gpus: int = 0
    memory: int | None = None  # bytes
    seconds: float = 3600.0
    exclude: tuple[str, ...] = ()  # hosts, beside those of the options


def batch_script(options: SlurmOptions, request: JobRequest) -> str:
    """Return the text of a batch script.

    Examples
    --------
    >>> request = JobRequest("memento-1", ["python", "-m", "pilot"], ["p1", "p2"], cpus=4, seconds=5400)
    >>> print(batch_script(SlurmOptions(partition="gpu", setup=("module load cuda",)), request))
    #!/bin/bash
    #SBATCH --job-name=memento-1
    #SBATCH --array=0-1
    #SBATCH --open-mode=append
    #SBATCH --requeue
    #SBATCH --nodes=1
    #SBATCH --ntasks=1
    #SBATCH --cpus-per-task=4
    #SBATCH --time=90
    #SBATCH --partition=gpu
    # What has to be there before Python starts; a line that may fail ends with "|| true".
    trap 'echo "memento: setup failed: $BASH_COMMAND" >&2' ERR
    set -e
    module load cuda
    set +e
    trap - ERR
    export MEMENTO_SECONDS=$((5400 - SECONDS))
    export MEMENTO_PLACE="$SLURM_JOB_ID@$SLURMD_NODENAME"
    pilots=(p1 p2)
    exec python -m pilot "${pilots[${SLURM_ARRAY_TASK_ID:-0}]}"
    <BLANKLINE>
    """
    lines = ["#!/bin/bash"]
    lines += [_line(name, value) for name, value in asked(options, request)]
    if options.setup:
        lines += [
            '# What has to be there before Python starts; a line that may fail ends with "|| true".',
            """trap 'echo "memento: setup failed: $BASH_COMMAND" >&2' ERR""",
            "set -e",
            *options.setup,
            "set +e",
            "trap - ERR",
        ]
    # Setup takes time, too: what is left of the job is counted from the first line.
    lines.append(f"export MEMENTO_SECONDS=$(({_minutes(request.seconds) * 60} - SECONDS))")
    lines.append('export MEMENTO_PLACE="$SLURM_JOB_ID@$SLURMD_NODENAME"')
    lines.append(f"pilots=({shlex.join(request.pilots)})")
    lines.append(f'exec {shlex.join(request.command)} "${{pilots[${{SLURM_ARRAY_TASK_ID:-0}}]}}"')
    return "\n".join([*lines, ""])


def asked(options: SlurmOptions, request: JobRequest) -> list[tuple[str, str | None]]:
    """Return the options of sbatch, by name."""
    found: list[tuple[str, str | None]] = [("job-name", request.name)]
    if len(request.pilots) > 1:
        found.append(("array", f"0-{len(request.pilots) - 1}"))
    found += [("open-mode", "append"), ("requeue", None), ("nodes", "1"), ("ntasks", "1")]
    found += [("cpus-per-task", str(request.cpus)), ("time", str(_minutes(request.seconds)))]
    given = dict(options.extra)
    if request.gpus and not {"gres", "gpus", "gpus-per-node"} & given.keys():
        kind = f"{options.gpu_type}:" if options.gpu_type else ""
        found.append(("gres", f"gpu:{kind}{request.gpus}"))
    if request.memory and not {"mem-per-cpu", "mem-per-gpu"} & given.keys():
        found.append(("mem", f"{math.ceil(request.memory / _MB)}M"))
    for name in ("partition", "account", "qos", "constraint", "reservation", "nodelist"):
        value = getattr(options, name)
        if value:
            found.append((name, value))
    excluded = [*([options.exclude] if options.exclude else []), *request.exclude]
    if excluded:
        found.append(("exclude", ",".join(excluded)))
    return found + list(options.extra)


def environment(now: Mapping[str, str], options: Sequence[tuple[str, str | None]] = ()) -> dict[str, str]:
    """Return the environment for commands of Slurm: without what is of a job, or would overrule a script's line."""
    names = {_OF_OPTION.get(name, name.replace("-", "_").upper()) for name, _ in options}
    dropped = {f"SBATCH_{name}" for name in (*_OUTPUT, *names)}
    if "SLURM_JOB_ID" in now:  # a device of this program's own job is none of the jobs that it submits
        dropped |= {"CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL"}
    return {
        name: value
        for name, value in now.items()
        if name in _KEPT or not (name.startswith(_OF_JOBS) or name in dropped)
    }


def _minutes(seconds: float) -> int:
    return max(int(seconds // MINUTE), 1)


def _line(name: str, value: str | None) -> str:
    if value is None:
        return f"#SBATCH --{name}"
    # sbatch takes what follows "#" for a comment, and ends a value at white space, unless it is quoted.
    quoted = f'"{value}"' if any(char.isspace() or char == "#" for char in value) else value
    return f"#SBATCH --{name}={quoted}"
