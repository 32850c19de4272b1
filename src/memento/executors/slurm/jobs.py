"""Our jobs in Slurm: submitted when Slurm takes them, looked at seldom, cancelled when they are not needed.

Knows: submissions, looks, cancellations, when each may be. May not know: pilots' streams, tasks.

    ask ──> those that wait to be submitted ──(sbatch)──> the queue ──(squeue)──> gone
    one command at a time, none waited for; each kind has its time, and ten minutes have few of them

What Slurm refuses for now is tried again later, ever more seldom. What it will never take ends the run with its own
words, and with the partitions that there are.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from memento.clock import Clock
from memento.errors import WorkerStartError
from memento.executors.slurm import job_queue as queues
from memento.executors.slurm.job_output import SETUP_FAILED, SHARE_IT, end_of, quoted
from memento.executors.slurm.job_queue import NEVER, Job, Queue
from memento.executors.slurm.script import JobRequest, batch_script
from memento.executors.slurm.slurm_commands import Answer, Call, Commands, job_id, largest_memory, partitions
from memento.executors.slurm.slurm_options import SlurmOptions
from memento.wording import number_of

MOST_CALLS = 24  # in ten minutes, but for cancellations ...
MOST_SUBMISSIONS = 20  # ... in which nothing more is submitted after so many calls
_GAP = 2.0  # seconds between two submissions, or two cancellations
LATER, _LATEST = 5.0, 300.0  # seconds until a refused submission is tried again: at first, and in the end
_AT_ONCE = 200  # elements of an array, ids of a scancel
_UNKNOWN = 5  # submissions in a row that failed for no reason that is known
_EARLY = 2  # jobs in a row that ended before their pilots had begun, where no pilot has ever begun
_NO_NODE = "node configuration is not available"
_READ_EVERY = 1.0  # seconds between two looks at what the first jobs print
_PATIENT = 20.0  # seconds that the end waits for scancel


class Pending(NamedTuple):
    """The command that runs, and what for."""

    call: Call
    kind: str
    script: str = ""
    pilots: tuple[str, ...] = ()


class Jobs:
    """The jobs of one run.

    `request` makes what is asked for of the names of pilots; `folder` is for scripts, `logs` for what jobs print.
    """

    def __init__(
        self,
        options: SlurmOptions,
        request: Callable[[Sequence[str]], JobRequest],
        folder: Path,
        logs: Path,
        run: str,
        commands: Commands,
        clock: Clock,
    ) -> None:
        self._options, self._request, self._run = options, request, run
        self._folder, self._logs = folder, logs
        self._commands, self._clock = commands, clock
        self.queue = Queue()
        self._former: tuple[str, ...] = ()  # names of jobs of dead runs
        self.notes: list[str] = []
        self.excluded: dict[str, str] = {}  # hosts that get no more jobs, each with why
        self._waiting: list[str] = []  # pilots whose jobs were not submitted yet
        self._cancelled: set[str] = set()  # pilots whose jobs are to be cancelled
        self._pending: Pending | None = None
        self._most_array = _AT_ONCE  # elements that the site allows
        self._most_now = _AT_ONCE  # jobs submitted together: fewer after a refusal
        self._refused = ""  # why the last submission was; "" where it was taken
        self._failures = 0  # submissions that failed in a row ...
        self._unknown = 0  # ... of these, for no reason that is known
        self._early = 0
        self._any_here = False
        now = clock.monotonic()
        self._may_submit = self._may_cancel = now
        self._next_look = now + queues.FIRST_LOOK
        self._next_read = now
        self._looked = now - queues.SHORT

    # -- before anything is submitted

    def check(self) -> None:
        """Ask Slurm whether it would take such a job; raises WorkerStartError where it never will."""
        script = self._write("check", ["check"])
        answer = self._commands.run("sbatch", "--test-only", str(script), limit=10.0)
        script.unlink(missing_ok=True)
        # That says so of nodes that are only drained, too; a submission says what is true.
        if answer.is_wrong and _NO_NODE not in answer.error.lower():
            raise WorkerStartError(self._never(answer.why))

    def largest_memory(self) -> int | None:
        """Ask for the bytes of the largest node; None where Slurm does not say."""
        where = ("-p", self._options.partition) if self._options.partition else ()
        answer = self._commands.run("sinfo", "-h", "-e", *where, "-o", "%m", limit=10.0)
        return largest_memory(answer.out) if answer.code == 0 else None

    # -- what is asked for

    def ask(self, pilots: Iterable[str]) -> None:
        """Have jobs submitted for pilots, as soon as Slurm takes them."""
        self._waiting += pilots
        self.tend(suspicious=False)

    def cancel(self, pilots: Iterable[str]) -> None:
        """Have jobs end: what has not begun is cancelled; else it ends by itself, or the next look shows it."""
        for pilot in pilots:
            job = self.queue.jobs.get(pilot)
            if pilot in self._waiting:
                self._waiting.remove(pilot)
            elif job is None:
                if self._pending is not None and pilot in self._pending.pilots:
                    self._cancelled.add(pilot)
            elif job.is_over:
                self.queue.drop([pilot])
            elif job.here:
                job.unwanted = True
                self._next_look = min(self._next_look, self._looked + queues.SHORT)
            else:
                self._cancelled.add(pilot)

    def know(self, former: Sequence[str]) -> None:
        """Look at jobs of dead runs too, by the names that these had."""
        self._former = tuple(former)

    def adopt(self, pilot: str, number: str, host: str) -> None:
        """Watch a job of a dead run from now on, by its number."""
        self.queue.adopt(pilot, number, host, self._clock.monotonic())
        self._any_here = True
        self._next_look = min(self._next_look, self._clock.monotonic() + queues.FIRST_LOOK)

    def here(self, pilot: str) -> None:
        """Note that a pilot has begun."""
        job = self.queue.jobs.get(pilot)
        if job is not None and not job.here:
            job.here, self._any_here, self._early = True, True, 0

    def is_known(self, pilot: str) -> bool:
        """Tell whether a job waits or runs as far as Slurm has said; one that has begun must not wait again."""
        job = self.queue.jobs.get(pilot)
        if job is None:
            return pilot in self._waiting
        return not job.is_over and job.missed < 3 and not (job.here and job.state in queues.WAITING)

    def gone(self) -> dict[str, str]:
        """Return pilots whose jobs have ended, each with how."""
        return {job.pilot: job.why_over() for job in self.queue.jobs.values() if job.is_over}

    def newly_over(self) -> list[Job]:
        """Return jobs that have ended and were not returned yet."""
        found = [job for job in self.queue.jobs.values() if job.is_over and not job.told]
        for job in found:
            job.told = True
        return found

    def standing(self) -> str:
        """Say what the jobs that have not begun wait for."""
        lines = queues.waiting_lines(self.queue.jobs)
        if self._waiting and self._refused:
            lines.append(f"{number_of(len(self._waiting), 'job')} not taken yet: {self._refused}")
        return "; ".join(lines)

    # -- what is done about it

    def tend(self, *, suspicious: bool) -> None:
        """Take what a command said; start the next that is due. `suspicious`: a pilot has not been heard of lately."""
        now = self._clock.monotonic()
        if not self._hear(now):
            return
        self._read_outputs()
        jobs = self.queue.jobs
        doomed = [name for name in sorted(self._cancelled) if name in jobs and jobs[name].id][:_AT_ONCE]
        if doomed and now >= self._may_cancel:
            self._start_cancelling(doomed, now)
        elif self._waiting and now >= self._may_submit and len(self._commands.calls) < MOST_SUBMISSIONS:
            self._start_submitting()
        elif len(self._commands.calls) < MOST_CALLS and jobs:
            vanished = self.queue.vanished()
            if vanished:
                self._ask_about(vanished[0])
            elif now >= self._next_look or (suspicious and now >= self._looked + queues.SHORT):
                self._looked = now
                self._start("look", *queues.look_command(self._run, *self._former))

    def _hear(self, now: float) -> bool:
        """Take what the command that runs has said; tell whether none runs."""
        pending = self._pending
        if pending is not None:
            answer = pending.call.answer()
            if answer is None:
                return False
            self._pending = None
            self._take(pending, answer, now)
        return self._pending is None

    def finish(self) -> None:
        """Cancel all jobs of the run, and wait until Slurm has heard it."""
        submitting = self._pending is not None and self._pending.kind == "submit"
        if self._pending is not None:
            end = self._clock.monotonic() + _PATIENT
            while submitting and self._pending.call.answer(0.2) is None and self._clock.monotonic() < end:
                pass
            self._pending.call.end()
            self._pending = None
        self._waiting.clear()
        living = [job for job in self.queue.jobs.values() if not job.is_over]
        if living or submitting:  # by name: those too of which sbatch could not tell the id
            self._commands.run("scancel", "-u", str(os.getuid()), "-n", self._run, limit=_PATIENT)
            for name in self._former:  # their numbers a store has told, which may be a stranger's
                ids = [job.id for job in living if job.adopted and name.endswith(job.pilot.partition("/")[0])]
                if ids:
                    self._commands.run("scancel", "-u", str(os.getuid()), "-n", name, *ids, limit=_PATIENT)
        self.queue.jobs.clear()
        self._cancelled.clear()

    # -- each command

    def _start(self, kind: str, *command: str, script: str = "", pilots: Sequence[str] = ()) -> None:
        self._pending = Pending(self._commands.start(*command), kind, script, tuple(pilots))

    def _start_cancelling(self, chosen: list[str], now: float) -> None:
        self._may_cancel = now + _GAP
        self._cancelled.difference_update(chosen)
        ids = [self.queue.jobs[name].id for name in chosen]
        self._start("cancel", "scancel", *ids, pilots=chosen)

    def _start_submitting(self) -> None:
        pilots = self._waiting[: min(self._most_array, self._most_now)]
        script = self._write(pilots[0], pilots)
        array = "-%a" if len(pilots) > 1 else ""
        # In a path, sbatch takes "%" for a pattern, and a backslash for "no pattern in what follows".
        path = str(self._logs / f"{pilots[0]}").replace("%", "%%")
        output = "/dev/null" if "\\" in path else f"{path}{array}.out"
        command = ("sbatch", "--parsable", f"--output={output}", str(script))
        self._start("submit", *command, script=script.stem, pilots=pilots)
        del self._waiting[: len(pilots)]

    def _write(self, name: str, pilots: Sequence[str]) -> Path:
        script = self._folder / f"{name}.sh"
        script.write_text(batch_script(self._options, self._request(pilots)))
        return script

    def _ask_about(self, job: Job) -> None:
        """Ask once what became of a job that the queue does not show: the accounting, else the controller."""
        job.asked = True
        command = ("sacct", "-n", "-X", "-P", "-j", job.id, "-o", "State")
        self._start("sacct", *command, pilots=[job.pilot])

    def _take(self, pending: Pending, answer: Answer, now: float) -> None:
        if pending.kind == "submit":
            self._submitted(pending, answer, now)
        elif pending.kind == "cancel":
            if answer.code is None:
                self._cancelled.update(pending.pilots)
            else:
                self.queue.drop(pending.pilots)
        elif pending.kind == "look":
            lines = queues.read_look(answer.out) if answer.code == 0 else None
            self.queue.take(lines)
            if self._former:
                self._end_what_nobody_began()
            self._next_look = now + self.queue.interval
            self._look_for_ends()
        else:
            state = queues.state_of(answer.out, pending.kind) if answer.code == 0 else None
            job = self.queue.jobs.get(pending.pilots[0])
            if job is not None and state is None and pending.kind == "sacct":
                self._start("scontrol", "scontrol", "show", "job", "-o", job.id, pilots=pending.pilots)
            elif job is not None:
                self.queue.settle(job, state)
                self._look_for_ends()

    def _submitted(self, pending: Pending, answer: Answer, now: float) -> None:
        pilots, first = list(pending.pilots), job_id(answer.out)
        if answer.code == 0 and first:
            self._failures = self._unknown = 0
            self._most_now = min(2 * self._most_now, _AT_ONCE)
            self._refused, self._may_submit = "", now + _GAP
            self.queue.add(pending.script, pilots, first, now)
            soon = queues.SHORT if self._any_here else queues.FIRST_LOOK
            self._next_look = min(self._next_look, now + soon)
            return
        self._refused = answer.why
        if len(pilots) > 1 and "array" in answer.error.lower() and answer.code is not None:
            self._most_array = max(len(pilots) // 2, 1)
            self._give_back(pilots)
            return
        if answer.is_wrong and self.excluded:  # too little may be left
            self.notes.append(
                f"jobs go to all hosts again, since without {', '.join(self.excluded)} there are too few"
            )
            self.excluded.clear()
            self._give_back(pilots)
            return
        if answer.is_wrong:
            raise WorkerStartError(self._never(answer.why))
        self._unknown = 0 if answer.is_busy else self._unknown + 1
        # Of an array, Slurm takes all or none: fewer may be within the limit.
        if answer.is_limit and len(pilots) > 1:
            self._most_now = len(pilots) // 2
            self._may_submit = now + _GAP
            self._give_back(pilots)
            return
        if self._unknown >= _UNKNOWN:
            raise WorkerStartError(
                f"Slurm takes no job: sbatch said {self._unknown} times in a row: {answer.why}"
            )
        self._failures += 1
        self._may_submit = now + min(LATER * 2 ** (self._failures - 1), _LATEST)
        if self._failures == 3:
            self.notes.append(
                f"Slurm takes no more jobs for now ({answer.why}); it is asked again, ever more seldom"
            )
        if answer.code is None or "timed out" in answer.error.lower():
            # It may have been taken all the same: then the queue shows it, and else it is gone after some looks.
            self.queue.add(pending.script, pilots, "", now)
        else:
            self._give_back(pilots)

    def _give_back(self, pilots: Sequence[str]) -> None:
        """Have pilots wait for their jobs to be submitted again, but for those that nobody wants any more."""
        self._waiting[:0] = [pilot for pilot in pilots if pilot not in self._cancelled]
        self._cancelled.difference_update(pilots)

    # -- what looks tell

    def _end_what_nobody_began(self) -> None:
        """Cancel jobs of dead runs that have not begun: nobody would give them anything to do."""
        ids = self.queue.strangers
        self.queue.strangers = []
        if ids and self._pending is None:
            self._start("cancel", "scancel", *ids[:_AT_ONCE])

    def _look_for_ends(self) -> None:
        for job in self.queue.missing():
            if not job.id:  # sbatch did not say whether it was taken, and it was not
                self.queue.drop([job.pilot])
                if job.pilot not in self._cancelled:
                    self._waiting.append(job.pilot)
                self._cancelled.discard(job.pilot)
        unwanted = [job for job in self.queue.jobs.values() if job.unwanted]
        self.queue.drop(job.pilot for job in unwanted if job.is_over or job.missed)
        self._cancelled.update(job.pilot for job in unwanted if not job.is_over and not job.missed)
        never = self.queue.hopeless()
        if never is not None and not self._any_here:
            word = never.reason.strip("()")
            raise WorkerStartError(self._never(f"its jobs would wait for ever ({word}): {NEVER[word]}"))

    def fall_silent(self, pilot: str) -> None:
        """Take as gone whose job looks do not show, since nothing is heard of it either."""
        job = self.queue.jobs.get(pilot)
        if job is not None and job.missed >= 3:
            job.state = "UNKNOWN"

    def ended_early(self, pilot: str) -> None:
        """Note a job whose pilot never began; raises WorkerStartError, with what it printed, where all end so."""
        self._early += 1
        if not self._any_here and self._early >= _EARLY:
            job = self.queue.jobs.get(pilot)
            how = job.why_over() if job is not None else "its job ended"
            file = self.output_file(pilot)
            text = f"{self._early} jobs ended before their pilots had begun: {how}.{quoted(end_of(file))}"
            if not file.exists():  # Slurm makes it before the script begins
                text += f" The host seems not to see {self._logs}: {SHARE_IT}"
            raise WorkerStartError(text)

    def _read_outputs(self) -> None:
        """Find a setup that fails as soon as it is printed: Slurm would tell it half a minute later."""
        now = self._clock.monotonic()
        if self._any_here or now < self._next_read:
            return
        self._next_read = now + _READ_EVERY
        for job in list(self.queue.jobs.values())[:_EARLY]:
            output = end_of(self.output_file(job.pilot))
            if SETUP_FAILED in output:
                raise WorkerStartError(
                    f"the setup of a job failed, so no task can run (Slurm job {job.id}). What may fail ends with"
                    f" '|| true'.{quoted(output)}"
                )

    def output_file(self, pilot: str) -> Path:
        """Return the file with what a job prints."""
        return self._logs / f"{self.queue.file_of(pilot)}.out"

    def _never(self, why: str) -> str:
        listed = self._commands.run("sinfo", "-h", "-o", "%R|%l|%a", limit=10.0)
        there = partitions(listed.out) if listed.code == 0 else []
        known = f" Partitions here: {', '.join(there)}." if there else ""
        return f"Slurm takes no such job: {why}.{known} Look at `sinfo` and `sacctmgr show assoc user=$USER`."
