"""Start fresh Python processes that need nothing of the user's script, and make them see what the program sees.

Knows: interpreters, environments, descriptors, the work. May not know: tasks, queues.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from memento import system
from memento.errors import WorkersDiffer
from memento.executors.processes.slots import make_file
from memento.values import pickling
from memento.worker.source_texts import WORKER_MARK, edited_since, install
from memento.worker.work import Work

if TYPE_CHECKING:
    import subprocess

# What tells libraries that a task may call how many cores there are; without a bound each takes all, in every worker.
_POOLS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "GOTO_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
_CORES = (
    *_POOLS,
    "LOKY_MAX_CPU_COUNT",  # joblib, and with it scikit-learn's n_jobs=-1
    "NUMEXPR_NUM_THREADS",
    "NUMEXPR_MAX_THREADS",
    "NUMBA_NUM_THREADS",
    "RAYON_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "NPROC",  # JAX
    "JULIA_NUM_THREADS",
    "PYTHON_CPU_COUNT",  # Python from 3.13 on: its pools
)
_FIRST_VALUES = 64  # how many values are looked at
_FIRST_SMALL, _FIRST_ALL = 1_024, 32_768  # bytes
MARK = WORKER_MARK  # names the coordinator and its run in all processes below


def mark(work: Work) -> str:
    """Return the value of MARK in the environment of this run's workers."""
    return f"{os.getpid()}/{work.run}"


def shared_name(mark: str) -> str:
    """Return the name of the memory that all processes of a run map."""
    return "memento-slots-" + mark.replace("/", "-")


def environment(work: Work) -> dict[str, str]:
    """Return the environment of a run's workers: this process' own, with the cores of a task."""
    return {
        **system.environment(),
        **_cores(_CORES, work.cpus_per_task),
        **work.environment,
        MARK: mark(work),
    }


def pool_threads(work: Work) -> int:
    """Return to how many threads pools that exist already are held."""
    return min(map(int, _cores(_POOLS, work.cpus_per_task).values()))


def _cores(names: Sequence[str], cores: int) -> dict[str, str]:
    """Return how many threads each of these may use: the cores of a task, or fewer where the user has set that."""
    told = {name: os.environ.get(name, "").partition(",")[0].strip() for name in names}
    return {
        name: text if text.isdecimal() and 0 < int(text) < cores else str(cores)
        for name, text in told.items()
    }


def write_work(work: Work) -> int:
    """Write what workers need that are fresh processes into a nameless file; return its descriptor."""
    plain = work._replace(layouts=(), values=_first_values(work))
    if work.carried is None:
        plain = for_fresh(plain)
    data = pickle.dumps(plain, protocol=5)
    descriptor = make_file("memento-work", len(data))
    with open(os.dup(descriptor), "r+b") as file:
        file.write(data)
    return descriptor


def for_fresh(work: Work) -> Work:
    """Add what a copy of this process has, and a fresh one has not: what the program has set, and what it sees."""
    from memento.context.generators import kind_of
    from memento.keys.code_versions import seen_by
    from memento.worker.carrying import gather

    function = work.function.here
    # Tasks get children of the program's generators, wherever an import leaves those of the same names.
    seen = {} if function is None else seen_by(function, apart=kind_of)
    return work._replace(carried=gather(), seen=seen)


def _first_values(work: Work) -> list[bytes]:
    """Return a few small values, so that what they import is imported once, before the server copies itself."""
    found, size = [], 0
    for number in range(min(len(work.values), _FIRST_VALUES)):
        data = work.values[number]
        if len(data) <= _FIRST_SMALL and size + len(data) <= _FIRST_ALL:
            found.append(data)
            size += len(data)
    return found


def read_work(descriptor: int) -> Work:
    """Read what `write_work` wrote; several processes share the descriptor, so none moves its position."""
    size = os.fstat(descriptor).st_size
    data, done = bytearray(), 0
    while done < size:
        piece = os.pread(descriptor, min(size - done, 1 << 30), done)
        data += piece
        done += len(piece)
    work: Work = pickle.loads(data)
    return work


def _home() -> str:
    """Return the folder in which this package lies."""
    path = os.path.realpath(__file__)
    for _ in range(4):
        path = os.path.dirname(path)
    return path


def path_for(work: Work) -> list[str]:
    """Return the folders in which workers find modules: those of the program, and this package's own."""
    home = _home()
    return work.sys_path if home in work.sys_path else [*work.sys_path, home]


def hidden_by(work: Work) -> str:
    """Say which module of this process one that is started with the work's folders would find elsewhere; "" for none.

    The script's folder comes first: what lies there may have the name of a module that this process has already.
    """
    lies = {}
    for name, module in sys.modules.copy().items():
        spec = getattr(module, "__spec__", None)
        if "." not in name and spec is not None and spec.has_location:
            file = str(spec.origin)
            lies[name] = os.path.dirname(os.path.dirname(file) if spec.submodule_search_locations else file)
    for folder in path_for(work):
        here = os.path.realpath(folder)
        names = set[str]()
        with contextlib.suppress(OSError):  # it is an archive, or not there
            names.update(entry.partition(".")[0] for entry in os.listdir(here))
        for name in names & lies.keys():
            if os.path.realpath(lies.pop(name)) != here:
                return f"{name} of {folder} is hidden by another one"
    return ""


def start_python(module: str, argument: str, sys_path: list[str], descriptors: tuple[int, ...], **options: Any) -> (
    subprocess.Popen[bytes]
):  # fmt: skip
    """Start `module.main()` in a fresh interpreter and a session of its own."""
    import subprocess

    code = f"import sys; sys.path[:] = {sys_path!r}; from {module} import main; main()"
    # -O, -W, -X: as in this process. Private, but multiprocessing relies on it too, and nothing public tells.
    flags: list[str] = getattr(subprocess, "_args_from_interpreter_flags", list)()
    return subprocess.Popen(
        [sys.executable, *flags, "-c", code, argument],
        stdin=subprocess.DEVNULL,
        pass_fds=descriptors,
        start_new_session=True,
        **options,
    )


# -- in the fresh process


def arrive(work: Work) -> Callable[..., Any]:
    """Import what the function needs, set what the program has set, and return the function."""
    if work.snapshot:
        from memento.worker import code_snapshot  # which workers of this machine do without

        code_snapshot.install(work.snapshot, work.script)
    install(work.sources)  # before anything of the user's is imported
    pickling.install_main(work.script)
    if work.carried is None:
        function: Callable[..., Any] = work.function.load()
        return function
    from memento.worker import carrying

    carrying.set_first(work.carried)
    function = work.function.load()
    carrying.set_rest(work.carried)
    return function


def compare(work: Work, function: Callable[..., Any]) -> None:
    """Raise WorkersDiffer where the experiment reads something of the project that is not as the program has it."""
    if work.seen:
        from memento.keys.code_versions import differences

        found = differences(work.seen, function)
        edited = edited_since(work.sources) if found else set()
        if edited:  # it has the code of the start, but what that reads cannot be told from the files any more
            found = [one for one in found if one[2] != "nothing" and one[0].partition(":")[0] not in edited]
        if found:
            raise WorkersDiffer(found)
