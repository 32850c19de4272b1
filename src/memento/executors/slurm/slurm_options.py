"""What a user asks of Slurm: each option checked, and submitit's names understood.

Knows: options of sbatch, submitit's names for them. May not know: pilots, scripts, running Slurm's commands.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from memento.suggest import did_you_mean
from memento.wording import bytes_of, seconds_in

MINUTE = 60.0


class SlurmOptions(NamedTuple):
    """What is asked of Slurm for each job; `Slurm` explains each."""

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    reservation: str | None = None
    nodelist: str | None = None
    exclude: str | None = None
    time: float = 3600.0  # seconds
    max_jobs: int = 10
    tasks_per_job: int | None = None
    cpus_per_task: int | None = None  # None: as the run says
    gpus_per_task: float | None = None  # None: as the run says
    gpu_type: str | None = None
    mem: int | None = None  # bytes a job; None: from the run's memory_limit, else as the site has it
    setup: tuple[str, ...] = ()
    python: str | None = None
    name: str = "memento"
    idle: float = 60.0  # seconds
    extra: tuple[tuple[str, str | None], ...] = ()  # names and values of other options; None: it has no value


# submitit's names (and sbatch's own) for what has another name here.
ALIASES = {
    "slurm_partition": "partition",
    "slurm_account": "account",
    "slurm_qos": "qos",
    "slurm_constraint": "constraint",
    "slurm_reservation": "reservation",
    "slurm_nodelist": "nodelist",
    "slurm_exclude": "exclude",
    "slurm_time": "timeout_min",
    "slurm_setup": "setup",
    "slurm_job_name": "name",
    "job_name": "name",
    "slurm_array_parallelism": "max_jobs",
    "slurm_cpus_per_task": "cpus_per_task",
    "slurm_gpus_per_node": "gpus_per_task",
    "gpus_per_node": "gpus_per_task",
    "slurm_gpus_per_task": "gpus_per_task",
    "slurm_mem": "mem",
    "mem_gb": "mem",
    "slurm_additional_parameters": "extra",
    "additional_parameters": "extra",
    "slurm_python": "python",
}
# Of submitit: they go to sbatch under these names.
TO_EXTRA = {
    **{
        f"slurm_{name.replace('-', '_')}": name
        for name in "comment gres mem-per-cpu mem-per-gpu cpus-per-gpu dependency exclusive mail-type mail-user"
        " wckey".split()
    },
    "slurm_num_gpus": "gpus",
}
# Of submitit: what they ask for is so anyway.
WITHOUT_EFFECT = frozenset(
    "slurm_stderr_to_stdout stderr_to_stdout slurm_use_srun slurm_signal_delay_s slurm_srun_args".split()
)
ONE = frozenset({"nodes", "slurm_nodes", "tasks_per_node", "slurm_ntasks_per_node", "slurm_tasks_per_node"})
# Options of sbatch that are set by us, for what is told of jobs depends on them.
OURS = frozenset(
    "array job-name output error input open-mode requeue no-requeue parsable quiet wrap wait test-only signal ntasks"
    " ntasks-per-node nodes chdir het-group export export-file get-user-env kill-on-invalid-dep hold".split()
)
_WORDS = ("partition", "account", "qos", "constraint", "reservation", "nodelist", "exclude", "gpu_type")
_TIME = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?")  # Slurm's own: 1-12:00:00, 04:00:00
_SAFE = re.compile(r"[^\x00-\x1f\x7f\"'\\`$\u2028\u2029]*")  # of a value in a line of a script
_OPTION = re.compile(r"[a-z][a-z0-9-]*")


def read_options(given: Mapping[str, Any]) -> SlurmOptions:
    """Check what was given, by our names or submitit's.

    Raises
    ------
    TypeError
        There is no such option; the nearest is named.
    ValueError
        A value is not one that Slurm could take.

    Examples
    --------
    >>> told = read_options({"slurm_partition": "gpu", "timeout_min": 90})
    >>> told.partition, told.time
    ('gpu', 5400.0)
    """
    found: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for name, value in given.items():
        if value is None or name in WITHOUT_EFFECT:
            continue
        if name in ONE:
            if value != 1:
                raise ValueError(
                    f"{name}={value!r}: a job of Memento has one node, on which it runs tasks. Leave it out."
                )
        elif name in TO_EXTRA:
            extra[TO_EXTRA[name]] = value
        else:
            ours, value = _renamed(name, value)
            if ours in found:
                raise TypeError(f"{name} and another name for {ours} were both given: leave one out")
            found[ours] = value
    checked = {name: _CHECKS[name](name, value) for name, value in found.items() if name != "extra"}
    both = {**_mapping(found.get("extra") or {}), **extra}
    return SlurmOptions(**checked, extra=tuple(_extra(name, value) for name, value in both.items()))


def _renamed(name: str, value: Any) -> tuple[str, Any]:
    ours = ALIASES.get(name, name)
    if name == "mem_gb":
        return "mem", f"{value}GB"
    if ours == "timeout_min":
        if isinstance(value, str):
            return "time", value
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"{name} must be minutes, got {value!r}")
        return "time", value * MINUTE
    if ours == "time" and isinstance(value, (int, float)):
        raise ValueError(f"time={value!r} lacks a unit: write time='{value}min' or time='{value}h'")
    if ours not in SlurmOptions._fields:
        hint = did_you_mean(name, [*SlurmOptions._fields, *ALIASES, *TO_EXTRA, "timeout_min"], "Options")
        raise TypeError(
            f"Slurm has no option {name!r}. {hint} Any other option of sbatch goes into"
            f" extra={{{name.replace('_', '-')!r}: ...}}."
        )
    return ours, value


def _word(name: str, value: Any) -> str:
    if not isinstance(value, str) and isinstance(value, Sequence):
        value = ",".join(map(str, value))
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{name} must be a text, got {value!r}")
    return _safe(name, value.strip())


def _safe(name: str, value: str) -> str:
    if _SAFE.fullmatch(value) is None:
        raise ValueError(
            f"{name}={value!r}: it stands in a line of a script, and may have no quotes, backslash, `, $ or newline"
        )
    return value


def time_of(name: str, value: Any) -> float:
    """Read a time: "4h", a timedelta, or as Slurm writes it, "1-12:00:00".

    >>> time_of("time", "4h"), time_of("time", "1-12:00:00"), time_of("time", "00:30:00")
    (14400.0, 129600.0, 1800.0)
    """
    seconds = None
    if isinstance(value, str) and (":" in value or "-" in value):
        match = _TIME.fullmatch(value.strip())
        if match is not None:
            days, *rest = match.groups()
            parts = [int(part) for part in rest if part is not None]
            # As sbatch reads it: after days hours come first, else two parts are minutes and seconds.
            if days is None and len(parts) == 2:
                parts = [0, *parts]
            hours, minutes, whole = [*parts, 0, 0][:3]
            seconds = int(days or 0) * 86_400.0 + hours * 3600 + minutes * 60 + whole
    elif not (isinstance(value, str) and value.strip().isdecimal()):
        seconds = seconds_in(value, short=True)
    if seconds is None:
        raise ValueError(f"{name} must be a text like '4h', '90min' or '1-12:00:00', got {value!r}")
    if seconds < MINUTE:
        raise ValueError(f"{name}={value!r}: Slurm counts minutes, give 1min or more")
    return seconds


def _memory(name: str, value: Any) -> int:
    if isinstance(value, str) and value.strip().isdecimal():
        raise ValueError(f"{name}={value!r} lacks a unit: write {name}='{value.strip()}MB' or '...GB'")
    size = bytes_of(value, name)
    if size < 1_000_000:
        raise ValueError(f"{name}={value!r}: that is less than a megabyte a job; write it like '8GB'")
    return size


def _count(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a whole number, 1 or more, got {value!r}")
    return value


def _gpus(name: str, value: Any) -> float:
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or value < 0
        or (value > 1 and value != int(value))
    ):
        raise ValueError(
            f"{name} must be a whole number, or a fraction below 1 to share a GPU, got {value!r}"
        )
    return float(value)


def _setup(name: str, value: Any) -> tuple[str, ...]:
    lines = value.splitlines() if isinstance(value, str) else list(value)
    for line in lines:
        if not isinstance(line, str) or "\x00" in line:
            raise ValueError(f"{name} must be lines of shell, like ['module load python'], got {line!r}")
        if line.lstrip().startswith("#SBATCH"):
            raise ValueError(f"{name}: {line!r} has no effect there. Write extra={{'option': 'value'}}.")
    return tuple(lines)


def _python(name: str, value: Any) -> str:
    return _safe(name, str(value))


def _name(name: str, value: Any) -> str:
    if not isinstance(value, str) or re.fullmatch(r"[A-Za-z0-9_.:=-]{1,60}", value) is None:
        raise ValueError(f"{name} must be letters, digits and _ . : = -, got {value!r}")
    return value


def _idle(name: str, value: Any) -> float:
    seconds = seconds_in(value, short=True)
    if seconds is None:
        raise ValueError(f"{name} must be seconds or a text like '5min', got {value!r}")
    return seconds


def _mapping(extra: Any) -> Mapping[str, Any]:
    if not isinstance(extra, Mapping):
        raise ValueError(
            f"extra must be a dict of sbatch's options, like {{'mail-type': 'END'}}, got {extra!r}"
        )
    return extra


def _extra(name: Any, value: Any) -> tuple[str, str | None]:
    option = str(name).lstrip("-").replace("_", "-")
    ours = option.replace("-", "_")
    if _OPTION.fullmatch(option) is None:
        raise ValueError(f"extra: {name!r} is no option of sbatch; write its long name, like 'mail-type'")
    if option in OURS:
        raise ValueError(f"extra: Memento sets --{option} itself. Leave it out.")
    instead = {
        "mem": "mem",
        "time": "time",
        "cpus_per_task": "cpus_per_task",
        "gpus_per_task": "gpus_per_task",
    }
    instead |= {word: word for word in _WORDS}
    if ours in instead:
        raise ValueError(f"extra: {name!r} has a name of its own: write Slurm({instead[ours]}={value!r})")
    if value is True:
        return option, None
    if value is False or isinstance(value, (list, dict, tuple)):
        raise ValueError(
            f"extra: {name}={value!r} is no value of an option; True stands for one without a value"
        )
    return option, _safe(f"extra[{name!r}]", str(value))


_CHECKS: dict[str, Any] = {
    **dict.fromkeys(_WORDS, _word),
    "time": time_of,
    "max_jobs": _count,
    "tasks_per_job": _count,
    "cpus_per_task": _count,
    "gpus_per_task": _gpus,
    "mem": _memory,
    "setup": _setup,
    "python": _python,
    "name": _name,
    "idle": _idle,
}
