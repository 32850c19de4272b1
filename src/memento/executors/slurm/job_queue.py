"""What Slurm's queue says of our jobs: one look for all, seldom; what it does not say, and what that proves.

Knows: what squeue, sacct and scontrol print; states and reasons of jobs. May not know: pilots' streams, tasks.

A job is known by the name of its script and its number in the array, which stand before sbatch is called: so one whose
submission timed out is found again all the same. A look that fails, hangs or prints nonsense says nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from memento.wording import verb

FIRST_LOOK = 4.0  # seconds after the first submission: jobs that can never start are told at once
SHORT, LONG = 30.0, 180.0  # seconds between two looks: the first, and while nothing changes
_SLOWER = 1.5
_MISSED = 3  # looks that do not show a job, after which it is gone
_LISTED, _NAMED = 5, 3  # reasons for which jobs wait, and jobs of each
_FORMAT = "%F|%K|%A|%T|%r|%N|%o"

WAITING = frozenset("PENDING REQUEUED REQUEUE_HOLD REQUEUE_FED RESV_DEL_HOLD SPECIAL_EXIT".split())
OVER = frozenset(
    "BOOT_FAIL CANCELLED COMPLETED DEADLINE FAILED NODE_FAIL OUT_OF_MEMORY PREEMPTED REVOKED TIMEOUT LAUNCH_FAILED"
    " RECONFIG_FAIL".split()
)
_RUNNING = frozenset(
    "RUNNING COMPLETING CONFIGURING SUSPENDED STOPPED SIGNALING STAGE_OUT RESIZING POWER_UP_NODE".split()
)
_WORDS = {
    "CANCELLED": "its job was cancelled",
    "NODE_FAIL": "its node failed",
    "BOOT_FAIL": "its node could not be started",
    "OUT_OF_MEMORY": "its job had no memory left",
    "PREEMPTED": "its job was preempted",
    "TIMEOUT": "the time of its job was over",
    "DEADLINE": "the time of its job was over",
    "FAILED": "its job failed",
    "COMPLETED": "its job ended",
    "UNKNOWN": "Slurm does not know its job any more",
}
# Reasons for which a job waits for ever, unless somebody changes it or the site.
NEVER = {
    "PartitionTimeLimit": "its time is longer than the partition's longest: lower time=, or name another partition=",
    "PartitionConfig": "the partition has no node that offers so many cores, or so much memory",
    "PartitionNodeLimit": "the partition has no node that offers this",
    "BadConstraints": "no node has what constraint=, nodelist= or extra= asks for",
    "InvalidAccount": "the account is not valid: set account=",
    "InvalidQOS": "the QOS is not valid: set qos=",
    "AccountNotAllowed": "the account may not use this partition: set account= or partition=",
    "QOSNotAllowed": "the QOS may not be used in this partition: set qos= or partition=",
    "AssocMaxWallDurationPerJobLimit": "the account does not allow a job of so long a time: lower time=",
    "QOSMaxWallDurationPerJobLimit": "the QOS does not allow a job of so long a time: lower time=",
    "QOSMaxCpuPerJobLimit": "the QOS does not allow a job of so many cores: lower tasks_per_job=",
    "QOSMaxGRESPerJob": "the QOS does not allow a job of so many GPUs: lower tasks_per_job=",
    "QOSMaxMemoryPerJob": "the QOS does not allow a job of so much memory: lower tasks_per_job=",
    "MaxMemPerLimit": "the partition does not allow so much memory for a core: lower mem= or memory_limit=",
}
_PLAIN = {
    "Priority": "jobs of higher priority are before it",
    "Resources": "it is next, as soon as cores, memory or GPUs are free",
    "None": "Slurm has not looked at it yet",
    "BeginTime": "Slurm lets it start in a moment",
    "Dependency": "it waits for another job",
    "QOSMaxJobsPerUserLimit": "as many of your jobs run as the QOS allows",
    "QOSGrpJobsLimit": "as many jobs run as the QOS allows",
    "AssocMaxJobsLimit": "as many of your jobs run as your account allows",
    "AssocGrpJobsLimit": "as many jobs of your account run as it may have at once",
    "AssocGrpCpuLimit": "your account has as many cores as it may have",
    "ReqNodeNotAvail": "its nodes are down, drained or reserved",
    "JobHeldUser": "it is held: scontrol release it",
    "JobHeldAdmin": "it is held by an administrator",
}


class JobLine(NamedTuple):
    """One line of squeue."""

    script: str  # the name of its file, without the folder and the suffix
    element: int  # of its array; 0 where it is none
    id: str  # as scancel takes it
    number: str  # as the job itself knows it: SLURM_JOB_ID
    state: str
    reason: str
    host: str


@dataclass
class Job:
    """What is known of one job of ours."""

    pilot: str
    id: str  # as scancel takes it; "" where sbatch did not say
    submitted: float  # monotonic
    file: str = ""  # name of the file with what it prints, without its suffix
    state: str = ""  # as squeue said last; "" where it has said nothing yet
    reason: str = ""
    host: str = ""
    missed: int = 0  # looks in a row that did not show it
    adopted: bool = False  # it was submitted by a run that is dead
    here: bool = False  # its pilot has said that it runs
    told: bool = False  # that it has ended
    unwanted: bool = False  # it is to end by itself
    asked: bool = False  # sacct or scontrol was asked about it

    @property
    def is_over(self) -> bool:
        """Whether Slurm has said that it has ended, or knows it no more."""
        return self.state in OVER or self.state == "UNKNOWN"

    @property
    def waits(self) -> bool:
        """Whether it has not begun, as far as is known."""
        return not self.here and (self.state in WAITING or not self.state)

    def why_over(self) -> str:
        """Say how it ended, for people."""
        on = f" on {self.host}" if self.host else ""
        return f"{_WORDS.get(self.state, f'its job ended as {self.state}')}{on} (Slurm job {self.id or '?'})"

    def why_waiting(self) -> str:
        """Say why it waits, for people.

        >>> Job("p1", "17", 0.0, "p1", "PENDING", "Priority").why_waiting()
        'Priority: jobs of higher priority are before it'
        """
        word = self.reason.partition(",")[0].strip("() ")
        plain = NEVER.get(word) or _PLAIN.get(word, "")
        if not plain:
            return self.reason.strip("() ")
        return plain if word == "None" else f"{word}: {plain}"


def look_command(*runs: str) -> tuple[str, ...]:
    """Return the one command that asks for all jobs of these names; also those that ended lately, with their state."""
    return ("squeue", "-h", "-r", "-u", str(os.getuid()), "-n", ",".join(runs), "-t", "all", "-o", _FORMAT)


def read_look(out: str) -> list[JobLine] | None:
    """Read what squeue prints; None where that is not what it prints.

    >>> read_look("20|1|22|RUNNING|None|n1|/store/jobs/a.sh\\n")[0].id
    '20_1'
    >>> read_look("slurm_load_jobs error: Invalid job id specified")
    """
    found = []
    for line in out.splitlines():
        if not line.strip():
            continue
        parts = line.strip().split("|", 6)
        if len(parts) != 7 or not parts[0].isdecimal() or not parts[3].isupper():
            return None
        first, index, number, state, reason, host, command = parts
        script = os.path.basename(command).removesuffix(".sh")
        element = int(index) if index.isdecimal() else 0
        own = f"{first}_{element}" if index.isdecimal() else first
        found.append(JobLine(script, element, own, number, state, reason, host if host != "(null)" else ""))
    return found


class Queue:
    """Our jobs, as squeue tells of them."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.interval = SHORT  # seconds until the next look
        self._places: dict[tuple[str, int], str] = {}  # script and element -> pilot
        self._numbers: dict[str, str] = {}  # a job's own number -> pilot, of those that were adopted
        # Jobs that have not begun and are none of ours, as the last look showed.
        self.strangers: list[str] = []

    def add(self, script: str, pilots: Sequence[str], first_id: str, now: float) -> None:
        """Note jobs that were submitted by a script; more than one are an array, in the order of their numbers."""
        for element, name in enumerate(pilots):
            own = f"{first_id}_{element}" if first_id and len(pilots) > 1 else first_id
            file = f"{script}-{element}" if len(pilots) > 1 else script
            self.jobs[name] = Job(name, own, now, file)
            self._places[script, element] = name
        self.interval = SHORT

    def adopt(self, pilot: str, number: str, host: str, now: float) -> None:
        """Note a job that a dead run has submitted, and whose pilot lives."""
        self.jobs[pilot] = Job(pilot, number, now, pilot, "RUNNING", host=host, adopted=True, here=True)
        self._numbers[number] = pilot

    def take(self, lines: list[JobLine] | None) -> None:
        """Take a look's lines in; None: it said nothing, and nothing changes."""
        if lines is None:
            return
        changed, shown = False, set[str]()
        self.strangers = []
        for line in lines:
            own = self._numbers.get(line.number) or self._places.get((line.script, line.element), "")
            job = self.jobs.get(own)
            if job is None and line.state in WAITING and own not in self._places.values():
                self.strangers.append(line.id)
            if job is None or job.is_over:
                continue
            shown.add(job.pilot)
            changed = changed or (job.state, job.host) != (line.state, line.host or job.host)
            job.id, job.state, job.reason = line.id, line.state, line.reason
            job.host, job.missed = line.host or job.host, 0
        for job in self.jobs.values():
            if job.pilot not in shown and not job.is_over:
                job.missed += 1
        self.interval = SHORT if changed else min(self.interval * _SLOWER, LONG)

    def vanished(self) -> list[Job]:
        """Return jobs that looks do not show any more, and of which nobody was asked yet."""
        return [
            job for job in self.jobs.values() if job.missed and not job.is_over and not job.asked and job.id
        ]

    def settle(self, job: Job, state: str | None) -> None:
        """Take what sacct or scontrol said of a vanished job; None: nothing that is known."""
        job.asked = True
        if state in OVER:
            job.state = state

    def missing(self) -> list[Job]:
        """Return jobs that so many looks did not show that they are gone, unless something is heard of their pilots."""
        return [job for job in self.jobs.values() if job.missed >= _MISSED and not job.is_over]

    def hopeless(self) -> Job | None:
        """Return a job that waits for ever, where all of ours do."""
        left = [job for job in self.jobs.values() if not job.is_over]
        never = [job for job in left if job.waits and job.reason.strip("()") in NEVER]
        return never[0] if never and len(never) == len(left) else None

    def file_of(self, pilot: str) -> str:
        """Return the name of the file with what a job prints, without its suffix."""
        job = self.jobs.get(pilot)
        return job.file if job is not None else pilot

    def drop(self, pilots: Iterable[str]) -> None:
        """Forget jobs."""
        for pilot in pilots:
            self.jobs.pop(pilot, None)


def state_of(out: str, kind: str) -> str | None:
    """Read one job's state from what `sacct -n -P -o State` or `scontrol show job` prints.

    >>> state_of("CANCELLED by 0\\n", "sacct"), state_of("JobId=7 JobState=NODE_FAIL Reason=x", "scontrol")
    ('CANCELLED', 'NODE_FAIL')
    >>> state_of("nonsense", "sacct")
    """
    known = OVER | WAITING | _RUNNING
    if kind == "scontrol":
        word = next((part.partition("=")[2] for part in out.split() if part.startswith("JobState=")), "")
    else:
        first = next((line for line in out.splitlines() if line.strip()), "")
        word = next(iter(first.split()), "").rstrip("+")
    return word if word in known else None


def waiting_lines(jobs: Mapping[str, Job]) -> list[str]:
    """Say what jobs that have not begun wait for, in a line a reason."""
    ids: dict[str, list[str]] = {}
    for job in jobs.values():
        if not job.is_over and job.waits:
            ids.setdefault(job.why_waiting(), []).append(job.id or "?")
    lines = []
    for why, some in list(ids.items())[:_LISTED]:
        named = some if len(some) <= _NAMED else some[: _NAMED - 1]
        more = f" and {len(some) - len(named)} more" if len(named) < len(some) else ""
        told = f"Slurm job{'' if len(some) == 1 else 's'} {', '.join(named)}{more} {verb(len(some), 'wait')}"
        lines.append(f"{told} ({why})" if why else told)
    return lines
