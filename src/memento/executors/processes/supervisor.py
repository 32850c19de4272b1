"""Supervise worker processes on this machine.

Knows: tasks, outcomes, workers, limits. May not know: SQL, matrices, retry rules, displays.

One thread, the caller's, runs everything here, inside `poll`. Who owns what:

    supervisor   the queue, the table of workers, its ends of all pipes, the shared memory
    server       all worker processes (it starts them, waits for them, ends them); see `server`
    worker       its ends of two pipes, its log file, its slot's first two words

A worker has one batch in hand and one waiting; a batch lasts about 50 ms by what tasks cost so far. When a worker has
nothing to do and the queue is empty, what others have not begun is taken back from them (`slots` tells how, without
a message). When a worker ends, all that it wrote is read first; then the task at its slot's position is blamed if its
outcome has not arrived, the rest goes back to the front of the queue, and another worker is started.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from memento import system
from memento.clock import SYSTEM_CLOCK, Clock
from memento.errors import WorkerStartError
from memento.executors import failures
from memento.executors.base import Executor, Finished, Lost, Message, Note, Running, Task, Update, Work
from memento.executors.gpus import assign, visible_gpus
from memento.executors.processes import launch, server, wire
from memento.executors.processes.ends import Sentence, why_ended
from memento.executors.processes.link import Link, make_pipes
from memento.executors.processes.slots import SETTLE, Slots, make_file
from memento.executors.processes.worker import Place
from memento.executors.task import verdict
from memento.store.records import MEMORY, STOPPED, TIMEOUT, LogSlice, Outcome

_BATCH = 0.050  # seconds that a batch lasts
_WAITING = 2.0  # seconds; a longer task is sent only to a worker that has nothing else
_MOST = 4_000  # tasks in a batch
_QUIET = 0.003  # seconds that outcomes of short tasks gather
_WATCH = 0.1  # seconds between looks at memory
_INSIST = 2.0  # seconds between SIGTERM and SIGKILL, at most
_FRUITLESS = 3  # workers that end before any task, in a row
_ENDING = 5.0  # seconds that the server gets to end everything


class Processes(Executor):
    """Runs tasks in worker processes of this machine.

    Parameters
    ----------
    num_workers : int, optional
        How many; by default as many as the run asks for.

    Examples
    --------
    >>> Processes(2).name
    'processes'
    """

    name = "processes"
    isolates = True
    preempts = True

    def __init__(self, num_workers: int | None = None, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._asked, self._clock = num_workers, clock
        self._queue: deque[Task] = deque()
        self._links: dict[int, Link] = {}  # by slot
        self._inbox: list[Message] = []
        self._pace = 1.0  # seconds a task, lately
        self._seen = 0  # outcomes
        self._growth = 1  # size of the last batch of tasks whose cost nobody knows
        self._fruitless = 0
        self._made = 0
        self._noted: set[str] = set()
        self._stopping, self._deadline = False, float("inf")
        self._giving_back = False  # what is taken back goes to the runner, not to the queue
        self._next_look = 0.0
        self._work: Work | None = None
        self._process: subprocess.Popen[bytes] | None = None

    # -- life

    def start(self, work: Work) -> None:
        if sys.platform == "win32":
            raise WorkerStartError(
                "worker processes need Linux or macOS: use executor='threads', or a ProcessPool"
            )
        self._work = work
        self._count = max(self._asked or work.num_workers, 1)
        self._gpus: list[tuple[str, ...]] = [()] * self._count
        if work.gpus_per_task:
            self._gpus = assign(visible_gpus(os.environ), work.gpus_per_task, self._count)
            if len(self._gpus) < self._count:
                self._note(f"{len(self._gpus)} workers, not {self._count}: there are no more GPUs")
                self._count = len(self._gpus)
        self._logs = Path(work.store) / "logs" / work.run
        if work.log_output:
            self._logs.mkdir(parents=True, exist_ok=True)
        self._selector = selectors.DefaultSelector()
        self._quiet = selectors.DefaultSelector()
        self._waker, self._woken = socket.socketpair()
        self._waker.setblocking(False)
        self._woken.setblocking(False)
        for selector in (self._selector, self._quiet):
            selector.register(self._woken, selectors.EVENT_READ, None)
        slots_file = make_file("memento-slots", Slots.size(self._count))
        self._slots = Slots(slots_file, self._count)
        try:
            self._start_server(work, slots_file)
        finally:
            os.close(slots_file)

    def _start_server(self, work: Work, slots_file: int) -> None:
        self._control, theirs = socket.socketpair()
        work_file = launch.write_work(work)
        descriptors = (theirs.fileno(), slots_file, work_file)
        told = {
            "control": descriptors[0],
            "slots": slots_file,
            "work": work_file,
            "parent": os.getpid(),
            "values": [value.hex() for value in self._first_values(work)],
        }
        self._server_log = tempfile.TemporaryFile() if work.log_output else None  # noqa: SIM115  # closed in `close`
        output = {"stdout": self._server_log, "stderr": self._server_log} if self._server_log else {}
        try:
            self._process = launch.start_python(
                "memento.executors.processes.server",
                json.dumps(told),
                work.sys_path,
                descriptors,
                env=launch.environment(work),
                cwd=work.cwd,
                **output,
            )
        except OSError as exc:
            raise WorkerStartError(f"cannot start {sys.executable!r} in {work.cwd!r}: {exc}") from exc
        finally:
            theirs.close()
            os.close(work_file)
        self._control.setblocking(False)
        self._heard = bytearray()
        for selector in (self._selector, self._quiet):
            selector.register(self._control, selectors.EVENT_READ, None)

    @staticmethod
    def _first_values(work: Work) -> list[bytes]:
        """Return a few small values, so that what they import is imported once, before the server copies itself."""
        found, size = [], 0
        for number in range(min(len(work.values), 64)):
            data = work.values[number]
            if len(data) <= 1_024 and size + len(data) <= 32_768:  # they travel as an argument
                found.append(data)
                size += len(data)
        return found

    @property
    def server_pid(self) -> int:
        """Return the process from which all workers come; 0 before `start` and after `close`."""
        return self._process.pid if self._process is not None else 0

    def close(self) -> None:
        self._queue.clear()
        process, self._process = self._process, None
        if process is None:
            return
        if any(link.pid for link in self._links.values()):
            with contextlib.suppress(OSError):
                self._control.setblocking(True)
                server.send(self._control, ("close",))
        else:
            # It may be importing for seconds, deaf; as far as we know it has nothing to clean up.
            system.kill_tree(process.pid, signal.SIGKILL)
        try:
            process.wait(_ENDING)
        except subprocess.TimeoutExpired:
            for link in self._links.values():
                if link.pid:
                    system.kill_tree(link.pid, signal.SIGKILL)
            process.kill()
            process.wait()
        for link in self._links.values():
            link.close()
            self._drop_empty_log(link)
        self._links.clear()
        self._selector.close()
        self._quiet.close()
        for end in (self._control, self._waker, self._woken):
            end.close()
        self._slots.close()
        if self._server_log is not None:
            self._server_log.close()

    def _drop_empty_log(self, link: Link) -> None:
        with contextlib.suppress(OSError):
            if link.place.log and Path(link.place.log).stat().st_size == 0:
                Path(link.place.log).unlink()

    # -- what the runner says

    def want(self) -> int:
        if self._stopping or self._work is None:
            return 0
        second = min(max(int(self._count / max(self._pace, 1e-5)), 2 * self._count), 20_000)
        return max(second - len(self._queue) - sum(len(link.in_flight) for link in self._links.values()), 0)

    def submit(self, tasks: Sequence[Task]) -> None:
        if self._stopping:
            self._inbox.append(Lost(tuple(task.number for task in tasks)))
            return
        self._giving_back = False
        self._queue.extend(tasks)
        self._feed()

    def running(self) -> list[Running]:
        now, found = self._clock.monotonic(), []
        for link in self._links.values():
            position = self._slots.position(link.place.slot)
            entry = link.in_flight.get(position)
            if entry is not None:
                since = max(now - self._slots.start(link.place.slot), 0.0)
                found.append(Running(self._worker_name(link), entry[0].number, since))
        return found

    def cancel(self, *, running: bool) -> None:
        if self._queue:
            self._inbox.append(Lost(tuple(task.number for task in self._queue)))
            self._queue.clear()
        self._giving_back = True
        for link in self._links.values():
            self._revoke(link)
        if running and not self._stopping and self._work is not None:
            self._stopping = True
            self._deadline = self._clock.monotonic() + self._work.grace
            self._slots.stop()

    def wake(self) -> None:
        with contextlib.suppress(OSError):  # full: it will wake up anyway; closed: nobody sleeps
            self._waker.send(b"\0")

    # -- the loop

    def poll(self, timeout: float) -> list[Message]:
        if self._process is None or self._work is None:
            return self._hand_over()
        self._feed()
        now = self._clock.monotonic()
        wait = 0.0 if self._inbox else max(min(timeout, self._next_deadline(now) - now), 0.0)
        if wait > _QUIET and self._pace < 0.001 and all(link.load > _QUIET for link in self._links.values()):
            # Short tasks and busy workers: one look for many outcomes, so that looking takes no core from them.
            self._quiet.select(_QUIET)
            wait = 0.0
        for key, events in self._selector.select(wait):
            if key.fileobj is self._woken:
                with contextlib.suppress(BlockingIOError):
                    self._woken.recv(4096)
            elif key.fileobj is self._control:
                self._hear()
            else:
                link: Link = key.data
                if link.read >= 0 and events & selectors.EVENT_READ and key.fd == link.read:
                    self._collect(link)
                elif link.write >= 0 and key.fd == link.write and link.flush():
                    self._selector.unregister(link.write)
        self._keep_limits()
        self._feed()
        return self._hand_over()

    def _hand_over(self) -> list[Message]:
        messages, self._inbox = self._inbox, []
        return messages

    def _next_deadline(self, now: float) -> float:
        """Return when something has to be looked at though nothing arrives."""
        work, ends = self._work, [float("inf")]
        assert work is not None
        for link in self._links.values():
            if link.revoked is not None and not link.drained:
                ends.append(link.settles)
            if link.kill_at is not None:
                ends.append(link.kill_at)
            if link.in_flight and link.sentence is None:
                if work.timeout is not None:
                    begun = self._slots.position(link.place.slot) in link.in_flight
                    ends.append((self._slots.start(link.place.slot) if begun else now) + work.timeout)
                if work.memory_limit is not None:
                    ends.append(max(self._next_look, now + 0.001))
                if self._stopping:
                    ends.append(self._deadline)
        return min(ends)

    # -- feeding

    def _feed(self) -> None:
        """Send tasks to those who need some; start workers; take back what waits in vain."""
        if self._process is None or self._work is None:
            return
        now = self._clock.monotonic()
        for link in list(self._links.values()):
            if link.revoked is not None and not link.drained and now >= link.settles:
                self._take_back(link)
        self._start_workers()
        # Whoever has nothing comes first.
        links = sorted(self._links.values(), key=lambda link: link.load)
        for link in links:
            if self._queue and not link.in_flight and self._may_send(link):
                link.queue_batch(self._work, self._next_batch(link))
        for link in links:
            while self._queue and self._may_send(link):
                link.queue_batch(self._work, self._next_batch(link))
            if link.out and not link.flush():
                with contextlib.suppress(KeyError):
                    self._selector.register(link.write, selectors.EVENT_WRITE, link)
        if not self._queue and not self._giving_back:
            self._steal(now)

    def _start_workers(self) -> None:
        idle = sum(not link.in_flight and not link.leaving for link in self._links.values())
        for slot in range(self._count):
            if slot not in self._links and len(self._queue) > idle:
                self._spawn(slot)
                idle += 1

    def _spawn(self, slot: int) -> None:
        assert self._work is not None
        self._made += 1
        name = f"{self._work.run}/{self._made:04d}.log"
        log = str(self._logs / f"{self._made:04d}.log") if self._work.log_output else ""
        place = Place(slot, self._count, log, name, self._gpus[slot])
        self._slots.clear(slot)
        theirs_in, ours_out, ours_in, theirs_out = make_pipes()
        try:
            message = ("spawn", (place.slot, place.slots, place.log, place.log_name, place.gpus))
            self._say(message, (theirs_in, theirs_out))
        finally:
            os.close(theirs_in)
            os.close(theirs_out)
        link = self._links[slot] = Link(place, ours_in, ours_out)
        self._selector.register(ours_in, selectors.EVENT_READ, link)

    def _may_send(self, link: Link) -> bool:
        if link.leaving or link.sentence is not None or link.revoked is not None or link.write < 0:
            return False
        if self._left_of(link) <= 0:
            return False
        if not link.in_flight or link.load < _BATCH:
            return True
        return len(link.in_flight) == 1 and self._cost(self._queue[0]) < _WAITING and link.load < _WAITING

    def _left_of(self, link: Link) -> int:
        """Return how many more tasks this worker may get before it is replaced."""
        most = self._work.max_tasks_per_worker if self._work is not None else None
        return _MOST if most is None else most - link.sent

    def _cost(self, task: Task) -> float:
        return task.cost if task.cost > 0 else self._pace

    def _next_batch(self, link: Link) -> list[tuple[Task, float]]:
        """Take tasks for about 50 ms off the queue; fewer towards its end, so that all workers end together."""
        share = max(len(self._queue) // (2 * self._count), 1)
        most = min(share, _MOST, self._left_of(link), 2 * self._growth)
        batch: list[tuple[Task, float]] = []
        total = 0.0
        while self._queue and len(batch) < most:
            cost = self._cost(self._queue[0])
            if batch and total + cost > _BATCH:
                break
            batch.append((self._queue.popleft(), cost))
            total += cost
        self._growth = max(len(batch), self._growth if len(batch) < most else 1)
        return batch

    def _steal(self, now: float) -> None:
        """Take back what busy workers have not begun, when others have nothing to do."""
        idle = self._count - sum(bool(link.in_flight) for link in self._links.values())
        if idle == 0:
            return
        for link in self._links.values():
            slot = link.place.slot
            waiting = [position for position in link.in_flight if position > self._slots.position(slot)]
            if not waiting or link.revoked is not None or link.sentence is not None:
                continue
            ran = now - self._slots.start(slot) if len(waiting) < len(link.in_flight) else 0.0
            if ran > _BATCH / 10 or link.load > _BATCH / 5:
                self._revoke(link)

    def _revoke(self, link: Link) -> None:
        """Let a worker begin nothing new; what that leaves is known a moment later."""
        if link.revoked is None and link.in_flight:
            link.revoked = self._slots.position(link.place.slot) + 1
            link.settles = self._clock.monotonic() + SETTLE
            link.drained = False
            self._slots.set_limit(link.place.slot, link.revoked)

    def _take_back(self, link: Link) -> None:
        """Take back what was revoked: the worker's position tells what it had begun by then."""
        assert link.revoked is not None
        slot = link.place.slot
        # What it reached while it was being told, it runs; unless it says that it skipped that.
        first = min(max(link.revoked, self._slots.position(slot) + 1), self._slots.skipped(slot))
        tasks = link.take_back(first)
        link.drained = True
        self._requeue(tasks)
        if first >= link.sent:  # it had begun all
            link.revoked = None
            self._slots.lift_limit(slot)

    # -- hearing

    def _say(self, message: tuple[object, ...], descriptors: tuple[int, ...] = ()) -> None:
        try:
            self._control.setblocking(True)
            server.send(self._control, message, descriptors)
        except OSError:
            self._server_ended()
        finally:
            self._control.setblocking(False)

    def _hear(self) -> None:
        try:
            data = self._control.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._server_ended()
        self._heard += data
        for message in server.split(self._heard):
            if message[0] == "started":
                self._links[message[1]].pid = message[2]
            elif message[0] == "exit":
                self._bury(self._links[message[1]], message[3])
            elif message[0] == "broken":
                raise WorkerStartError(self._cannot_start(message[1]))

    def _server_ended(self) -> None:
        for link in self._links.values():
            if link.pid:
                system.kill_tree(link.pid, signal.SIGKILL)
        code = self._process.wait(_ENDING) if self._process is not None else 0
        raise WorkerStartError(
            f"the process that starts workers ended with {failures.exit_name(code)} while it imported"
            f" what the experiment needs, or was killed.\n{self._server_output()}".rstrip()
        )

    def _cannot_start(self, text: str) -> str:
        output = self._server_output()
        return (
            "workers cannot load the experiment, so no task can run:\n"
            f"{text.rstrip()}\n"
            "Workers import what the function needs by name. Install the missing module, start from the folder"
            " it is in, or set PYTHONPATH; and keep what opens connections or devices inside the function."
            + (f"\nThey printed:\n{output}" if output else "")
        )

    def _server_output(self) -> str:
        if self._server_log is None:
            return ""
        self._server_log.seek(0)
        lines = self._server_log.read().decode("utf-8", "replace").splitlines()
        return "\n".join(lines[-20:])

    def _collect(self, link: Link) -> None:
        """Read what a worker wrote."""
        for kind, body in link.take():
            if kind in (wire.OUTCOME, wire.OUTCOME_PICKLED):
                self._finished(link, wire.unpack_outcome(kind, body))
            elif kind == wire.UPDATE:
                number, done, total, metrics = wire.unpack(body)
                self._inbox.append(Update(number, self._worker_name(link), done, total, metrics))
            elif kind == wire.PASSED:
                self._passed(link, wire.unpack(body))
            elif kind == wire.LEAVING:
                position, left = wire.unpack(body)
                self._leaves(link, position, left)
            elif kind == wire.BROKEN:
                raise WorkerStartError(self._cannot_start(str(wire.unpack(body))))

    def _finished(self, link: Link, outcome: Outcome) -> None:
        position = link.oldest()  # a worker keeps the order
        task = link.finish(position)
        if task is None or task.number != outcome.number:
            raise AssertionError((position, task, outcome.number))
        self._seen += 1
        self._fruitless = 0
        weight = 0.5 if self._seen < 10 else 0.05
        self._pace += weight * (max(outcome.runtime, 1e-5) - self._pace)
        if outcome.log is not None:
            link.logged = outcome.log.end
        self._inbox.append(Finished(outcome))
        if self._left_of(link) <= 0 and not link.in_flight:
            self._dismiss(link)

    def _passed(self, link: Link, position: int) -> None:
        # Outcomes of what it ran came before this: what is still open up to here was skipped.
        if position < link.sent - 1 and link.revoked is not None:
            return  # more of what was revoked is on its way to it
        self._requeue(link.take_back(0, position))
        link.revoked = None
        self._slots.lift_limit(link.place.slot)

    def _leaves(self, link: Link, position: int, left: str) -> None:
        """A task left something that only a new process is free of."""
        link.leaving = True
        self._requeue(link.take_back(position + 1))
        if left not in self._noted:
            self._noted.add(left)
            self._note(f"a task left {left} behind: they were ended, and its worker was replaced")

    def _requeue(self, tasks: list[Task]) -> None:
        if self._giving_back or self._stopping:
            if tasks:
                self._inbox.append(Lost(tuple(task.number for task in tasks)))
        else:
            self._queue.extendleft(reversed(tasks))

    def _dismiss(self, link: Link) -> None:
        """Let a worker end by itself: it reads the end of its pipe."""
        link.leaving = True
        if link.write >= 0:
            with contextlib.suppress(KeyError):
                self._selector.unregister(link.write)
            os.close(link.write)
            link.write = -1

    def _note(self, text: str) -> None:
        self._inbox.append(Note(text))

    def _worker_name(self, link: Link) -> str:
        return f"{system.hostname()}/{link.pid}"

    # -- ends

    def _bury(self, link: Link, code: int) -> None:
        """A worker's process has ended: blame the task it ran, requeue the rest, make room."""
        for _ in range(1_000):  # all that it wrote comes first
            before = link.frames.total
            self._collect(link)
            if link.frames.total == before:
                break
        slot = link.place.slot
        position = self._slots.position(slot)
        begun = position in link.in_flight and position < self._slots.skipped(slot)
        if begun:
            task = link.finish(position)
            assert task is not None
            self._inbox.append(Finished(self._last_words(link, task, code)))
            self._fruitless = 0
        elif not link.leaving and link.sentence is None and link.sent == len(link.in_flight):
            self._fruitless += 1
        self._requeue(link.take_back(0))
        self._selector.unregister(link.read)
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(link.write)
        link.close()
        del self._links[slot]
        output = failures.tail(link.place.log) if link.place.log else ""
        self._drop_empty_log(link)
        if self._fruitless >= _FRUITLESS:
            raise WorkerStartError(
                f"{_FRUITLESS} workers in a row ended before they ran anything, the last with"
                f" {failures.exit_name(code)}. {self._server_output()}\n{output}".rstrip()
            )

    def _last_words(self, link: Link, task: Task, code: int) -> Outcome:
        """Make the outcome of a task whose worker has ended."""
        runtime = max(self._clock.monotonic() - self._slots.start(link.place.slot), 0.0)
        log, output = None, ""
        if link.place.log:
            with contextlib.suppress(OSError):
                end = Path(link.place.log).stat().st_size
                if end > link.logged:
                    log = LogSlice(link.place.log_name, link.logged, end)
                    output = failures.tail(link.place.log, link.logged, end)
        memory = link.peak if link.peak_position == self._slots.position(link.place.slot) else None
        assert self._work is not None
        sentence = link.sentence
        if sentence is not None and sentence.position != self._slots.position(link.place.slot):
            sentence = None
        failure = why_ended(self._work, sentence, code, output)
        name = self._worker_name(link)
        return verdict(task, failure, self._clock.now() - runtime, runtime, name, memory, log)

    # -- limits

    def _keep_limits(self) -> None:
        """End what runs too long, takes too much, or outlasts the run."""
        work, now = self._work, self._clock.monotonic()
        assert work is not None
        look = work.memory_limit is not None and now >= self._next_look
        if look:
            self._next_look = now + _WATCH
        for link in list(self._links.values()):
            if link.kill_at is not None and now >= link.kill_at:
                link.kill_at = None
                self._say(("kill", link.pid, int(signal.SIGKILL)))
            slot = link.place.slot
            position = self._slots.position(slot)
            if link.sentence is not None or not link.pid:
                continue
            if position not in link.in_flight or position >= self._slots.skipped(slot):
                continue
            if work.timeout is not None and now - self._slots.start(slot) >= work.timeout:
                self._sentence(link, Sentence(TIMEOUT, position), min(work.grace, _INSIST))
            elif self._stopping and now >= self._deadline:
                self._sentence(link, Sentence(STOPPED, position), min(work.grace, _INSIST))
            elif look:
                self._look_at_memory(link, position, work.memory_limit or 0)

    def _look_at_memory(self, link: Link, position: int, limit: int) -> None:
        used = system.tree_memory(link.pid)
        if used > limit:
            # Pages that the tree's processes share were counted for each: ask again, exactly.
            used = system.tree_own_memory(link.pid) if system.descendants(link.pid) else used
        if link.peak_position != position:
            link.peak, link.peak_position = 0, position
        link.peak = max(link.peak or 0, used)
        if used > limit:
            self._sentence(link, Sentence(MEMORY, position, used), 0.0)

    def _sentence(self, link: Link, sentence: Sentence, grace: float) -> None:
        """End a worker because of the task it runs, unless that finished just now."""
        self._collect(link)
        if (
            sentence.position not in link.in_flight
            or self._slots.position(link.place.slot) != sentence.position
        ):
            return
        link.sentence = sentence
        number = signal.SIGTERM if grace > 0 else signal.SIGKILL
        link.kill_at = self._clock.monotonic() + grace if grace > 0 else None
        self._say(("kill", link.pid, int(number)))
