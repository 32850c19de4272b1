"""What this process was started for: some tasks of its script alone, with other options than the script gives.

Knows: plans, options, the environment. May not know: who asks, how tasks run.

`memento retry --run` and `run-one` start the script of the last run again, as it was started then. A variable of its
environment names a file that says which tasks are meant; each run of the script computes those of them that it has,
and no other. The script is a process of its own, since only there everything is as it was: its main module, its
arguments, its folder, its Python.

    the command line                      the script
    `request` writes the file,       -->  `asked_for` reads it at the first run
    starts the script
    reads the answer when it ends    <--  `AskedFor.answer` replaces it at each run's end

The variable is for the script and the programs that it starts, which are often what has its runs. While a run goes on
the process notes its number in it, so that its tasks, and the programs that they start, are what they would be in any
other run.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from memento.errors import MementoError

if TYPE_CHECKING:
    from memento.plan.plan import Plan
    from memento.runner.options import Options

# Its value is the file's path, with "NUMBER:" before it where a process has taken it.
VARIABLE = "MEMENTO_ASKED_FOR"
_REQUEST, _ANSWER = "request.json", "answer.json"
_LOCK = threading.RLock()


class NoSuchTasks(MementoError, ValueError):
    """No task of a matrix can be meant; says why."""


class Request(NamedTuple):
    """What a script is started again for."""

    store: str  # the folder of its values; over another store nothing is computed
    keys: tuple[str, ...]  # of the tasks, hexadecimal
    options: Mapping[str, Any] = {}  # instead of those that the script gives; as `Options` has them
    look: bool = False  # one task, in the script's own process; a result that is there stays, and is compared
    debug: bool = False  # with a debugger where it raises


class Answer(NamedTuple):
    """What a script has said by its last run; as JSON between two processes."""

    met: int = 0  # tasks of the request that its runs had
    left_out: int = 0  # other tasks that its last run had no results of
    ended: bool = False  # the script was ended after that run
    # Of a result that was there: "before" and "now"; {} where they are equal.
    compared: Mapping[str, str] | None = None


class AskedFor:
    """The tasks that the runs of this process compute."""

    def __init__(self, request: Request, folder: str = "") -> None:
        self.request, self._folder = request, folder
        self.answer = Answer()
        # Runs that go on: their thread; whether tasks are elsewhere.
        self._running: list[tuple[int, bool]] = []
        self._keys = {bytes.fromhex(key) for key in request.keys}
        self._met: set[bytes] = set()

    def choose(self, plan: Plan) -> list[int]:
        """Return the numbers of a plan's tasks that are asked for; none, once the script was ended."""
        keys = self._keys if not self.answer.ended else set()
        found = [number for number, key in enumerate(plan.tasks.each_key()) if key in keys]
        self._met.update(plan.tasks.keys_of(found))
        return found

    @property
    def is_over(self) -> bool:
        """Whether runs have had all tasks that are asked for."""
        return len(self._met) == len(self._keys)

    def begin(self, executor: object) -> None:
        """Note that a run goes on: what its tasks start is asked for nothing."""
        with _LOCK:
            self._running.append((threading.get_ident(), executor == "processes"))
            os.environ[VARIABLE] = f"{os.getpid()}:{self._folder}"

    def end(self) -> None:
        """Note that the run of this thread has ended."""
        with _LOCK:
            own = threading.get_ident()
            at = max(number for number, (thread, _) in enumerate(self._running) if thread == own)
            del self._running[at]
            if not self._running:
                os.environ[VARIABLE] = self._folder

    def is_of_a_task(self) -> bool:
        """Tell whether this thread is a task's, which computes all of a run that it starts."""
        here = threading.current_thread()
        running = list(self._running)
        if any(thread == here.ident for thread, _ in running):
            return True
        if not running or all(elsewhere for _, elsewhere in running):
            return False
        if here.name.startswith("memento-"):
            return True
        raise NoSuchTasks(
            "this run begins in a thread while another goes on in this process, so that nobody can tell whether a"
            " task has started it, and which of its tasks are asked for: let one begin after the other, or use"
            " executor='processes'."
        )

    def tell(self, answer: Answer) -> None:
        """Note how far it is, for who has started this process."""
        self.answer = answer._replace(met=len(self._met))
        if self._folder:
            _replace(os.path.join(self._folder, _ANSWER), self.answer._asdict())

    def applied(self, options: Options) -> Options:
        """Return options with those of the request instead of the script's."""
        given = dict(self.request.options)
        if "num_workers" in given:
            from memento.runner.options import workers_of

            executor = given.get("executor", options.executor)
            given["num_workers"], _ = workers_of(executor, given["num_workers"], options.cpus_per_task)
        return options._replace(**given)


def asked_for() -> AskedFor | Selection | None:
    """Return what this process is to compute; None where it is everything, as in a task."""
    told = os.environ.get(VARIABLE, "")
    if not told:
        return None
    owner, colon, folder = told.partition(":")
    if colon and owner.isdecimal():
        if owner != str(os.getpid()):
            return None
        if not folder:
            return _SELECTED[0] if _SELECTED else None
    else:
        folder = told
    with _LOCK:
        found = _read(folder)
    return None if found.is_of_a_task() else found


@lru_cache(maxsize=1)
def _read(folder: str) -> AskedFor:
    try:
        with open(os.path.join(folder, _REQUEST), encoding="utf-8") as file:
            told = json.load(file)
    except FileNotFoundError as error:  # a program that outlives who asked for it
        raise NoSuchTasks(
            "this program was started to compute some tasks alone, and who has asked for them has ended: nothing is"
            f" computed. Without {VARIABLE} in its environment it computes everything."
        ) from error
    return AskedFor(Request(**{**told, "keys": tuple(told["keys"])}), folder)


@contextmanager
def request(asked: Request) -> Iterator[tuple[dict[str, str], Callable[[], Answer]]]:
    """Write a request; give the environment for the process that it is for, and what reads its answer."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="memento-asked-") as folder:
        _replace(os.path.join(folder, _REQUEST), asked._asdict())

        def answer() -> Answer:
            try:
                with open(os.path.join(folder, _ANSWER), encoding="utf-8") as file:
                    return Answer(**json.load(file))
            except FileNotFoundError:  # it did not come to a run
                return Answer()

        yield {**os.environ, VARIABLE: folder}, answer


def _replace(path: str, told: Mapping[str, Any]) -> None:
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        json.dump(told, file)
    os.replace(f"{path}.new", path)


class Selection:
    """Tasks that are named as commands name them, by beginnings of keys and values of parameters.

    `keys` are those of the tasks that were found, hexadecimal, once a run has looked.
    """

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self._arguments = arguments
        self.keys: set[str] = set()

    def choose(self, plan: Plan) -> Iterable[int]:
        """Return the numbers of a plan's tasks that are named."""
        from memento.runner.commands import named

        try:
            found = list(named(plan, self._arguments))
        except ValueError as error:
            raise NoSuchTasks(str(error)) from error
        self.keys = {key.hex() for key in plan.tasks.keys_of(found)}
        return found


class RunOfItsOwn(MementoError, RuntimeError):
    """A file that is only imported for a function in it starts a run."""


class Nothing(Selection):
    """No run at all: a file is imported for a function in it."""

    def __init__(self) -> None:
        super().__init__({})

    def choose(self, plan: Plan | None = None) -> Iterable[int]:
        """Refuse."""
        raise RunOfItsOwn("a run begins while a file is only imported for a function in it")


_SELECTED: list[Selection] = []  # what `selecting` holds in this process


@contextmanager
def selecting(selection: Selection) -> Iterator[None]:
    """Have the runs of this process compute the tasks of a selection only."""
    if VARIABLE in os.environ:  # tasks of the run that is done again: they were among the selected
        yield
        return
    os.environ[VARIABLE] = f"{os.getpid()}:"
    _SELECTED.append(selection)
    try:
        yield
    finally:
        _SELECTED.clear()
        del os.environ[VARIABLE]
