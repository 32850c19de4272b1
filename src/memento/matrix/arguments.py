"""Say what to write where somebody gives a call an argument that it does not have.

Knows: the words that other tools have for things, and where they go here. May not know: what they do.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import ParamSpec, TypeVar

    P = ParamSpec("P")
    R = TypeVar("R")

KEYS = (
    "parameters", "settings", "exclude", "include", "when", "zip", "defaults", "volatile", "repeats", "id",
    "dependencies",
)  # fmt: skip  # of a matrix
OPTIONS = (
    "notification_provider", "num_workers", "name", "executor", "store", "payloads", "retries", "timeout",
    "memory_limit", "on_oom", "store_limit", "on_error", "fail_fast", "max_failures", "sample", "on_code_change",
    "order", "cpus_per_task", "gpus_per_task", "gpu_memory", "max_tasks_per_worker", "log_output", "initializer",
    "progress", "listeners",
)  # fmt: skip
FLAGS = (
    "dry_run", "force_run", "force_cache", "cache_path", "notify_on_complete", "sample", "until", "budget",
)  # fmt: skip

# Of these, what `memento run` has no option for.
ONLY_IN_PYTHON = frozenset(
    ("notification_provider", "on_error", "initializer", "listeners", "cache_path", "notify_on_complete")
)

# What to write -> words for it.
_OF_MEMENTO = {
    "num_workers={value}": "njobs workers nworkers maxworkers numjobs jobs processes nprocesses numprocesses nprocs"
    " numproc nproc procs nthreads numthreads threads concurrency parallelism parallel maxconcurrency",
    "executor='processes' (or 'threads', 'serial')": "backend launcher engine pool scheduler cluster"
    " parallelbackend client",
    "store={value}": "cache cachedir cachefolder directory dir folder path location storage output outputdir outdir"
    " savedir resultsdir workdir root db database logdir",
    "payloads={value}": "values valuesdir payload payloadsdir artifacts artifactdir artifactsdir blobs bucket",
    "progress={truth}": "verbose verbosity showprogress progressbar tqdm bar",
    "retries={value}": "retry maxretries nretries maxattempts attempts numretries",
    "timeout='10min' (or seconds)": "timelimit walltime maxtime timeoutmin timeoutmins timeoutminutes timeouts"
    " timeoutsec tasktimeout timeouthours",
    "memory_limit='4GB'": "memory mem memgb maxmemory memorygb memlimit ram",
    "on_oom='double' (or 'retry', 'fail')": "oom onoutofmemory onmemory onmemoryerror memoryfactor memgrowth oomretry",
    "store_limit='50GB'": "maxsize storesize maxstoresize sizelimit cachesize maxcachesize quota disklimit maxdisk",
    "on_error='return' (or 'raise')": "raiseonerror raiseonfailure raiseexceptions errors errorscore ignoreerrors"
    " continueonerror onfailure suppresserrors",
    "fail_fast={truth}": "stoponerror stoponfailure exitfirst failfirst abortonerror stopatfirstfailure",
    "max_failures={value}": "maxfail maxfails maxfailed maxerrors numfailures errorlimit",
    "on_code_change='rerun' (or 'warn', 'ignore')": "oncodechanged codechange invalidate",
    "notification_provider={value}": "notifier notify notification notifications provider callback callbacks",
    "cpus_per_task={value}": "cpus ncpus numcpus cores ncores cpusperworker threadsperworker cpuspertrial",
    "gpus_per_task={value}": "gpus ngpus numgpus gpusperworker gpuspertrial gpusperjob gpu",
    "gpu_memory='10GB'": "gpumem gpuram vram gpumemorylimit gpumemorypertask memorypergpu mempergpu",
    "initializer={value}": "setup init initfn workerinit workersetup onstart initializers",
    "max_tasks_per_worker={value}": "maxtasksperchild maxtasks",
    "log_output={truth}": "capture captureoutput logs logging redirectoutput",
    "listeners=[{value}]": "listener hook hooks observer observers subscribers",
    "name={value}": "experimentname title study studyname project task taskname experiment",
    "Memento(func).run({matrix})": "matrix grid paramgrid parameters params configs config configurations space"
    " searchspace paramdistributions hparams hyperparameters",
    "context.seed inside the experiment, which is the same at every re-run, or 'repeats': 5 in the matrix": "seed"
    " randomstate randomseed rng nseeds seeds",
}
_FUNCTIONS = {"func": "experiment function fn f target callable expfunc objective task train"}
_OF_RUN = {
    "force_run=True": "force rerun recompute overwrite forcererun refresh clear nocache ignorecache restart fresh"
    " reset",
    "dry_run=True": "dry plan preview test simulate",
    "force_cache=True": "cacheonly cachedonly onlycached onlycache readonly usecache",
    "notify_on_complete=False": "notify quiet silent",
    "sample={value}": "nsamples niter nsample samples numsamples subsample limit maxtasks ntrials subset fraction",
    "until='07:00'": "deadline stopat endat endtime end finishby",
    "budget='8h'": "timebudget walltime maxtime maxruntime totaltime duration timelimit timeleft",
    "run({matrix})": "parameters params grid paramgrid configs config configurations space",
}
_OF_LOAD = {
    "load({value})": "store storepath cache cachepath cachedir folder directory file root location",
    "load(..., experiment={value})": "name study experimentname func function",
    "load(...).filter(name=value)": "filter where parameters params config",
}
_NEEDS = {
    "func": "the experiment: Memento(func).run(matrix)",
    "matrix": "a matrix: run({'parameters': {'name': [value, ...]}})",
}
_WORDS = {"Memento": _OF_MEMENTO, "run": _OF_RUN, "run_all": _OF_RUN, "load": _OF_LOAD}


def explained(func: Callable[P, R]) -> Callable[P, R]:
    """Make a function say what to write instead of an argument that it does not have."""
    code: Any = func.__code__
    known = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    names = frozenset(known)
    needed = known[: code.co_argcount - len(func.__defaults__ or ())]

    def checked(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True  # IPython and pytest show the user's line, not this one
        if kwargs and not names.issuperset(kwargs):
            name = next(name for name in kwargs if name not in names)
            raise TypeError(no_such_argument(func, name, kwargs[name], known))
        extra = args[code.co_argcount] if len(args) > code.co_argcount else None
        if callable(extra) and func.__name__ == "add_matrix":
            raise TypeError(no_such_argument(func, "func", extra, known))
        if len(args) < len(needed) and not set(needed[len(args) :]).issubset(kwargs):
            raise TypeError(f"{_call(func)}() needs {_NEEDS.get(needed[-1], repr(needed[-1]))}.")
        return func(*args, **kwargs)

    for name in ("__module__", "__name__", "__qualname__", "__doc__"):
        setattr(checked, name, getattr(func, name))
    checked.__wrapped__ = func  # type: ignore[attr-defined]  # where `inspect.signature` looks
    return checked


def no_such_argument(func: Callable[..., Any], name: str, value: object, known: Collection[str]) -> str:
    """Say that a call has no argument of this name, and what to write instead."""
    call = _call(func)
    return (
        f"{call}() has no argument {name!r}. {_remedy(call, name, value, [n for n in known if n != 'self'])}"
    )


def _call(func: Callable[..., Any]) -> str:
    """Name what was called as one writes it: a method without its class, a class instead of its `__init__`."""
    *owners, name = func.__qualname__.split(".")
    return owners[-1] if name == "__init__" else name


def _remedy(call: str, name: str, value: object, known: list[str]) -> str:
    from memento.suggest import did_you_mean, in_other_words, nearest

    if call == "Memento" and callable(value) and in_other_words(name, _FUNCTIONS):
        return f"Give the experiment first: Memento({_short(value)})."
    if call == "add_matrix" and callable(value):
        step = f"{{'step': [{_short(value)}], ...}}"
        line = f"add_matrix({{'id': ..., 'parameters': {step}}})"
        return f"Each stage's function is a parameter, which the experiment calls: {line}."
    meant = _meant(_WORDS.get(call, {}), name, value)
    if meant is not None:
        return meant
    if call in ("run", "run_all"):
        said = f"{name}={_short(value)}" if name in OPTIONS else _line(_OF_MEMENTO, name, value)
        if said is not None and "=" in said:
            return f"It belongs to Memento: Memento(func, {said}).{'run(matrix)' if call == 'run' else 'run_all()'}."
    if call == "Memento":
        said = f"{name}={_short(value)}" if name in FLAGS else _line(_OF_RUN, name, value)
        if said is not None and "=" in said:
            return f"It belongs to run: Memento(func).run(matrix, {said})."
    if name in KEYS and call != "Matrix":
        shown = call if call == "add_matrix" else "run"
        return f"It is a key of the matrix: {shown}({{'parameters': {{...}}, {name!r}: {_short(value)}}})."
    if (
        not nearest(name, known)
        and call in ("Memento", "run", "Matrix")
        and isinstance(value, (list, tuple, range))
    ):
        matrix = f"{{'parameters': {{{name!r}: {_short(value)}}}}}"
        where = f"Memento(func).run({matrix})" if call == "Memento" else matrix
        return f"Values to try stand under 'parameters': {where}."
    return did_you_mean(name, known, "It has")


def _meant(words: dict[str, str], name: str, value: object) -> str | None:
    line = _line(words, name, value)
    if line is None:
        return None
    if line.startswith("num_workers=-"):
        return "Leave it out: by default all cores are used; num_workers=4 uses four."
    return f"Write {line}."


def _line(words: dict[str, str], name: str, value: object) -> str | None:
    from memento.suggest import in_other_words

    line = in_other_words(name, words)
    if line is None:
        return None
    line = line.replace("{value}", _short(value)).replace("{truth}", str(bool(value)))
    return line.replace("{matrix}", _matrix(value))


def _matrix(value: object) -> str:
    """Write the matrix that parameters were meant as."""
    if not isinstance(value, Mapping) or "parameters" in value:
        return "matrix"
    return f"{{'parameters': {_short(dict(value))}}}"


def _short(value: object) -> str:
    from memento.config import short_text

    text = repr(value) if isinstance(value, str) else short_text(value, 40)
    return text if len(text) <= 60 else "..."
