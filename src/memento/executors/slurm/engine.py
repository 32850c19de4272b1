"""Run tasks in Slurm: a few jobs, each a pilot, more as long as tasks wait.

Knows: jobs, pilots, what is asked of Slurm. May not know: how commands are called, streams.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from memento.clock import SYSTEM_CLOCK, Clock
from memento.errors import MemoryLimitExceeded
from memento.executors.base import Lost, Message, Note, take_out
from memento.executors.gpus import devices_needed
from memento.executors.pilots.charter import pilot_command
from memento.executors.pilots.executor import PilotExecutor
from memento.executors.pilots.handle import PilotHandle
from memento.executors.slurm.asked_and_used import Usage
from memento.executors.slurm.fitting import Fitting, host_of
from memento.executors.slurm.hosts import Hosts
from memento.executors.slurm.jobs import Jobs
from memento.executors.slurm.runtimes import Runtimes, checkpoints
from memento.executors.slurm.script import JobRequest, asked, environment
from memento.executors.slurm.slurm_commands import Commands
from memento.executors.slurm.slurm_options import SlurmOptions, read_options
from memento.layout import Layout
from memento.records import LOST, MEMORY, Failure, Outcome
from memento.worker import failures
from memento.worker.task_runner import verdict
from memento.worker.work import Task, Work

_TASKS = 4  # at once in a job that has no GPU
_WAITING = 2  # jobs in Slurm's queue at most, as long as no more than that run
SILENT = 20.0  # seconds after which a pilot's job is looked for
_OWN_MEMORY = 300 << 20  # bytes of the pilot itself, beside what tasks may use
_LOOKED_AT = 50  # tasks, of the queue
_STAGGER = 0.05  # of a job's time: by so much pilots end one after the other


class Slurm(PilotExecutor):
    """Run tasks in jobs of Slurm, which are submitted, looked after, and cancelled by the run.

    Each job is one node's share: it runs some tasks at once, as this machine would, one after the other until its time
    ends or there are none left. Two jobs are submitted at first; more as long as tasks wait. submitit's names of
    options are understood, too (``slurm_partition``, ``timeout_min``, ``mem_gb``, ...).

    Parameters
    ----------
    num_workers : int, optional
        How many tasks run at once in all; by default as many as the run asks for, or as the jobs have room for.
    partition, account, qos, constraint, reservation, nodelist, exclude : str, optional
        As `sbatch` takes them; by default the site's.
    time : str, default "1h"
        How long a job may last: "4h", "90min", "1-12:00:00". A task starts only where it is expected to end in
        time, or saves checkpoints.
    max_jobs : int, default 10
        How many jobs there are at once, at most.
    tasks_per_job : int, optional
        How many tasks a job runs at once; by default 4, and 1 where a task has a GPU of its own.
    cpus_per_task : int, optional
        Cores of a task; by default what `Memento` was given.
    gpus_per_task : float, optional
        GPUs of a task; by default what `Memento` was given.
    gpu_type : str, optional
        Kind of these, like "a100".
    mem : str or int, optional
        Memory of a job, like "16GB"; by default `memory_limit` of each of its tasks, else what the site gives.
    setup : list of str, optional
        Lines of shell before Python starts, like ``["module load cuda"]``. One that fails fails the job.
    python : str, optional
        The interpreter in jobs; by default this one.
    name : str, default "memento"
        Begins the name of each job.
    idle : float or str, default "60s"
        After how long without a task a job ends.
    extra : dict, optional
        Other options of `sbatch`, like ``{"mail-type": "END", "exclusive": True}``.
    clock : Clock, optional
        Where time comes from; for tests.
    **others
        submitit's names.

    Raises
    ------
    TypeError
        There is no such option.
    ValueError
        An option's value is not one that Slurm could take.

    Examples
    --------
    >>> from memento.executors import Slurm
    >>> executor = Slurm(partition="gpu", time="4h", gpus_per_task=1, max_jobs=20, setup=["module load cuda"])
    >>> executor.options.time
    14400.0
    """

    name = "slurm"
    place_word = "job"
    grows = True
    beat = 5.0  # of 300 pilots, a sign of life costs the login node 20 ms
    silence = 90.0  # an attribute cache of a network file system may hide what was written for a minute

    def __init__(
        self,
        num_workers: int | None = None,
        *,
        partition: str | None = None,
        account: str | None = None,
        qos: str | None = None,
        constraint: str | None = None,
        reservation: str | None = None,
        nodelist: str | None = None,
        exclude: str | None = None,
        time: str | None = None,
        max_jobs: int | None = None,
        tasks_per_job: int | None = None,
        cpus_per_task: int | None = None,
        gpus_per_task: float | None = None,
        gpu_type: str | None = None,
        mem: str | int | None = None,
        setup: Sequence[str] | None = None,
        python: str | None = None,
        name: str | None = None,
        idle: float | str | None = None,
        extra: Mapping[str, Any] | None = None,
        clock: Clock = SYSTEM_CLOCK,
        **others: Any,
    ) -> None:
        super().__init__(num_workers, clock=clock)
        given = dict(locals())
        for other in ("self", "num_workers", "clock", "others", "__class__"):
            given.pop(other, None)
        self.options: SlurmOptions = read_options(
            {**{k: v for k, v in given.items() if v is not None}, **others}
        )
        self.idle = self.options.idle
        self.at_once = self.options.max_jobs * (self.options.tasks_per_job or _TASKS)

    def _begin(self) -> None:
        super()._begin()
        self.hosts = Hosts()
        self._struck: set[str] = set()  # pilots where tasks have failed for want of memory

    # -- what an engine writes

    def start(self, work: Work) -> None:
        options = self.options
        cpus = options.cpus_per_task or work.cpus_per_task
        gpus = work.gpus_per_task if options.gpus_per_task is None else options.gpus_per_task
        work = work._replace(cpus_per_task=cpus, gpus_per_task=gpus)
        self.width = options.tasks_per_job or (1 if gpus >= 1 else _TASKS)
        self.width = max(min(self.width, self.workers or work.num_workers), 1)
        self.limit = options.time
        self._memory = work.memory_limit
        self._cpus, self._gpus, self._gpu_memory = cpus, gpus, work.gpu_memory
        self._job_name = f"{options.name}-{work.run}"
        self.runtimes = Runtimes(checkpoints(work.function.here))
        self.fitting = Fitting(work.store, self.runtimes, self.hosts, self.limit, self.grace)
        self._begun: set[str] = set()  # pilots that have told where they run
        self.most_cost = self.fitting.most_cost
        self.usage = Usage(self._clock)
        layout = Layout(work.store)
        folder, logs = Path(layout.work(work.run), "jobs"), Path(layout.log(work.run), "jobs")
        folder.mkdir(parents=True, exist_ok=True)
        logs.mkdir(parents=True, exist_ok=True)
        self._run_folder = layout.work(work.run)
        commands = Commands(environment(os.environ, asked(options, self._request(["p"]))), self._clock)
        self.jobs = Jobs(options, self._request, folder, logs, self._job_name, commands, self._clock)
        self.jobs.check()
        # Of a job that asks for more than any node has, Slurm would say that it never takes it.
        most = self.jobs.largest_memory() if self._memory is not None else None
        self.most_memory = max((most - _OWN_MEMORY) // self.width, 0) if most else None
        super().start(work)

    def _request(self, pilots: Sequence[str]) -> JobRequest:
        limits = [limit for name in pilots if (limit := self.fitting.memory_of.get(name)) is not None]
        needed = max(limits) * self.width + _OWN_MEMORY if limits else None
        memory = max(filter(None, (self.options.mem, needed)), default=None)
        command = pilot_command(self._run_folder, "p", python=self.options.python or "")
        return JobRequest(
            name=self._job_name,
            command=command[:-1],
            pilots=pilots,
            cpus=self._cpus * self.width,
            gpus=devices_needed(self.width, self._gpus, self._gpu_memory),
            memory=memory,
            seconds=self.limit,
            exclude=tuple(self.jobs.excluded) if hasattr(self, "jobs") else (),
        )

    def can_adopt(self, place: str) -> bool:
        return place.partition("@")[0].isdecimal()

    def adopt(self, name: str, place: str) -> None:
        number, _, host = place.partition("@")
        self.jobs.adopt(name, number, host)

    def take_over(self, dead: Sequence[str], outdated: Mapping[str, Collection[int]]) -> None:
        self.jobs.know([f"{self.options.name}-{run}" for run in dead])
        super().take_over(dead, outdated)

    def wanted_at_start(self) -> int:
        return min(_WAITING, -(-self.count // self.width))

    def wanted(self) -> int:
        """As many as there are tasks for; of these at most as many wait in Slurm's queue as run."""
        running = sum(pilot.is_here for pilot in self.pilots.values())
        over = sum(pilot.dismissed or bool(pilot.has_left) for pilot in self.pilots.values())
        most = min(running + max(running, _WAITING), self.options.max_jobs - over)
        return min(super().wanted(), most)

    def ask(self, count: int) -> Collection[str]:
        names = [self.new_pilot() for _ in range(count)]
        self.fitting.ask(names, self._memory)
        self.jobs.ask(names)
        return names

    def seconds(self) -> float | None:
        """The time of a job, less a little for some: so that pilots do not end all at once."""
        stagger = (len(self.pilots) % 4) * _STAGGER * self.limit
        longest = max(map(self.runtimes.expected, islice(self.queue, _LOOKED_AT)), default=0.0)
        return max(self.limit - stagger, min(longest + 2 * self.grace, self.limit))

    def fits(self, task: Task, pilot: PilotHandle) -> bool:
        return not self.fitting.lack(task, pilot)

    def why_none_fits(self, task: Task, pilots: Sequence[PilotHandle]) -> str:
        return self.fitting.why_none(task, pilots)

    def place_name(self, pilot: PilotHandle) -> str:
        number, _, host = (pilot.here.place if pilot.here is not None else "").partition("@")
        return f"Slurm job {number} on {host}" if host else super().place_name(pilot)

    def gone(self) -> Mapping[str, str]:
        return self.jobs.gone()

    def is_known(self, name: str) -> bool:
        return self.jobs.is_known(name)

    def end(self, names: Collection[str]) -> None:
        if names:
            self.jobs.cancel(names)

    def _lose(self, pilot: PilotHandle, why: str, *, kept: bool = False) -> None:
        """Give back what a job had in hand; where Slurm ended it for want of memory, the task that it ran has failed.

        So that `on_oom` counts. Of several that ran none is proven to be the one, nor where the kernel had ended only a
        task before: then that state is what Slurm remembers of it.
        """
        job, first = self.jobs.queue.jobs.get(pilot.name), next(iter(pilot.tasks.values()), None)
        had_no_memory = job is not None and job.state == "OUT_OF_MEMORY" and pilot.name not in self._struck
        ran_one = not (kept or pilot.former) and (pilot.width == 1 or len(pilot.tasks) == 1)
        if had_no_memory and ran_one and first is not None and first.ends is None and not self._stopping:
            task = pilot.tasks.pop(first.task.number).task
            text = f"{why}: give tasks more, by memory_limit or executors.Slurm(mem=...)"
            failure = failures.without_exception(MEMORY, "OutOfMemory", text, "", MemoryLimitExceeded(text))
            self._inbox.append(verdict(task, failure, self._clock.now(), 0.0, pilot.name))
        super()._lose(pilot, why, kept=kept)

    # -- the loop

    def submit(self, tasks: Sequence[Task]) -> None:
        fitting = []
        for task in tasks:
            if self._memory is not None and task.memory_limit is not None:
                # Jobs that are asked for from now on have that.
                self._memory = max(self._memory, task.memory_limit)
            if self.fitting.fits_a_job(task):
                fitting.append(task)
            else:
                self._inbox.append(self._too_long(task))
        super().submit(fitting)

    def poll(self, timeout: float) -> list[Message]:
        self._tend()
        return super().poll(timeout)

    def close(self) -> None:
        super().close()
        if hasattr(self, "jobs"):
            self.jobs.finish()

    def cancel(self, numbers: Any = None, *, running: bool) -> None:
        if running and numbers is None:
            self._inbox += self.hosts.release()
        super().cancel(numbers, running=running)

    def judge(self, pilot: PilotHandle, task: Task, outcome: Outcome) -> list[Message]:
        """Learn from an outcome; hold a failure back where it may be the host's."""
        host = host_of(pilot)
        self.fitting.useful.add(pilot.name)
        self.usage.used(outcome.cpu_time, outcome.memory)
        if outcome.failure is None:
            self.runtimes.learn(task.cost, outcome.runtime)
            self.hosts.succeeded(host)
        elif outcome.failure.kind == MEMORY:
            self._struck.add(pilot.name)
        elif not self._stopping and self.hosts.failed(host, outcome, self._clock.monotonic()):
            return []
        return [outcome]

    def broken(self, pilot: PilotHandle, why: str, *, sudden: bool) -> None:
        """Take note of a pilot that can run nothing: it may be its host's fault."""
        host = host_of(pilot)
        self.hosts.ended_early(host)
        elsewhere = any(other.is_here and host_of(other) != host for other in self.pilots.values())
        if not elsewhere:
            super().broken(pilot, why, sudden=sudden)

    def _tend(self) -> None:
        """See to jobs, and to what they tell of hosts."""
        now, suspicious = self._clock.monotonic(), False
        for pilot in self.pilots.values():
            if pilot.here is None:
                continue
            if pilot.name not in self._begun:
                self._begun.add(pilot.name)
                self.jobs.here(pilot.name)
                self.hosts.here(host_of(pilot))
                self.usage.began(pilot.name, self._cpus * self.width)
            silent = pilot.silent
            suspicious = suspicious or silent > SILENT
            if silent > self.silence:
                self.jobs.fall_silent(pilot.name)
        self.jobs.tend(suspicious=suspicious)
        self._note_ends()
        self._judge_hosts(now)
        self._dismiss_misfits()
        self._inbox += [Note(text) for text in self.jobs.notes]
        self.jobs.notes.clear()

    def _dismiss_misfits(self) -> None:
        """Have pilots leave that have nothing to do, and for which nothing is left: others take their places."""
        next_tasks = list(islice(self.queue, _LOOKED_AT))
        for pilot in self.pilots.values():
            # A doubtful one is judged in a moment.
            busy = pilot.tasks or pilot.dismissed or self.fitting.is_doubtful(pilot)
            if not pilot.is_here or busy:
                continue
            if next_tasks and not any(self.fits(task, pilot) for task in next_tasks):
                pilot.dismiss()
                given_up = self.fitting.hopeless(next_tasks, pilot, self.pilots.values())
                for task in take_out(self.queue, [task.number for task in given_up]):
                    self._inbox.append(self._too_long(task, pilot.here and pilot.here.left))

    def _note_ends(self) -> None:
        for job in self.jobs.newly_over():
            if job.pilot in self.pilots:
                self.pilots[job.pilot].output = self.jobs.output_file(job.pilot)
            if not job.here:
                self.hosts.ended_early(job.host)
                self.jobs.ended_early(job.pilot)
            if job.state == "NODE_FAIL" and job.host:
                self._exclude(job.host, "Slurm says that it failed")
        for name in self._begun - self.pilots.keys():
            self.usage.ended(name)
            self._begun.remove(name)

    def _judge_hosts(self, now: float) -> None:
        verdicts = self.hosts.judge(now)
        self._inbox += verdicts.told
        for host, why in verdicts.excluded:
            self._exclude(host, why)
        self._inbox += [
            Lost(one.number, one.attempt, "its host fails every task, and others do not", kept=True)
            for one in verdicts.elsewhere
        ]

    def _exclude(self, host: str, why: str) -> None:
        if host not in self.jobs.excluded:
            self.jobs.excluded[host] = why
            self._inbox.append(Note(f"{host} gets no more tasks of this run: {why}"))
        for pilot in self.pilots.values():
            if host_of(pilot) == host and not pilot.dismissed:
                pilot.dismiss()

    def _too_long(self, task: Task, left: float | None = None) -> Outcome:
        failure = Failure(LOST, "TooLong", self.fitting.too_long(task, left), "", "", None, "")
        return verdict(task, failure, self._clock.now(), 0.0, self.name)

    def waits(self) -> str:
        return self.jobs.standing()

    def closing_words(self) -> str:
        return self.usage.text(self._memory, self.limit)
