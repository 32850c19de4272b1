"""Fresh workers see what the program sees, or no task is run."""

from __future__ import annotations

import functools
import importlib.util
import io
import logging
import logging.handlers
import re
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest

from memento import Memento, system
from memento.errors import WorkersDiffer, WorkerStartError
from memento.executors.processes import Processes
from memento.store.store import Store
from memento.testing.driving import Drive
from memento.worker import logging_state

# what a program sets -> what of it can be seen
PYTHON = {
    "logging.getLogger().setLevel(logging.INFO)": "logging.getLogger().level",
    "logging.basicConfig(format='MINE %(message)s')": (
        "[(type(h).__name__, h.formatter._fmt) for h in logging.getLogger().handlers]"
    ),
    "logging.getLogger('mine').addHandler(logging.StreamHandler(sys.stdout))": (
        "len(logging.getLogger('mine').handlers)"
    ),
    "logging.getLogger('own').addHandler(Handler('red'))": (
        "[(type(h) is Handler, h.color, h.stream.fileno()) for h in logging.getLogger('own').handlers]"
    ),
    "logging.getLogger('mine').propagate = False": "logging.getLogger('mine').propagate",
    "logging.getLogger('quiet').disabled = True": "logging.getLogger('quiet').disabled",
    "logging.getLogger('filtered').addFilter(Only())": "len(logging.getLogger('filtered').filters)",
    "logging.addLevelName(25, 'LOUD')": "logging.getLevelName(25)",
    "logging.disable(5)": "logging.root.manager.disable",
    "logging.captureWarnings(True)": "logging._warnings_showwarning is None",
    "warnings.filterwarnings('ignore', message='quiet please')": "[f[0] for f in warnings.filters if f[1]]",
    "warnings.simplefilter('error', Own)": "[f[0] for f in warnings.filters if f[2].__name__ == 'Own']",
    "decimal.getcontext().prec = 5": "decimal.getcontext().prec",
    "sys.setrecursionlimit(4321)": "sys.getrecursionlimit()",
    "sys.setswitchinterval(0.25)": "sys.getswitchinterval()",
    "sys.argv.append('--mine')": "sys.argv[1:]",
    "os.umask(0o27)": "os.umask(0o27)",
    "os.environ['MINE'] = '1'": "os.environ.get('MINE')",
    "sys.path.insert(0, '/nowhere/mine')": "'/nowhere/mine' in sys.path",
    "multiprocessing.set_start_method('spawn')": "multiprocessing.get_start_method()",
}
LIBRARIES = {
    "numpy": {
        "numpy.seterr(divide='raise')": "numpy.geterr()['divide']",
        "numpy.set_printoptions(precision=2)": "str(numpy.array([1 / 3]))",
    },
    "pandas": {"pandas.set_option('display.max_rows', 7)": "pandas.get_option('display.max_rows')"},
    "sklearn": {"sklearn.set_config(transform_output='pandas')": "sklearn.get_config()['transform_output']"},
    "xarray": {
        "xarray.set_options(display_max_rows=3)": "xarray.get_options()['display_max_rows']",
    },
    "matplotlib": {
        "matplotlib.use('svg')": "matplotlib.get_backend().lower()",
        "matplotlib.rcParams['figure.dpi'] = 33": "matplotlib.rcParams['figure.dpi']",
    },
    "torch": {
        "torch.set_default_dtype(torch.float64)": "str(torch.get_default_dtype())",
        "torch.use_deterministic_algorithms(True, warn_only=True)": (
            "torch.are_deterministic_algorithms_enabled(),"
            " torch.is_deterministic_algorithms_warn_only_enabled()"
        ),
        "torch.backends.cudnn.benchmark = True": "torch.backends.cudnn.benchmark",
        "torch.set_float32_matmul_precision('high')": "torch.get_float32_matmul_precision()",
        "torch.set_grad_enabled(False)": "torch.is_grad_enabled()",
    },
}

PROGRAM = """
import sys
{imports}
from memento import Memento
from memento.executors import Processes

import logging

class Own(Warning): pass
class Handler(logging.StreamHandler):
    def __init__(self, color):
        super().__init__()
        self.color = color
class Only:
    def filter(self, record): return True

{settings}

def see():
    return {{text: repr(eval(text, {names})) for text in {texts!r}}}

def experiment(context, config):
    {late}
    return see()

here = see()
runs = Memento(experiment, executor={executor}, store="store", progress=False)
(result,) = runs.run({{"parameters": {{"n": [1]}}}})
print({{text: (seen, result.inner[text]) for text, seen in here.items() if seen != result.inner[text]}})
"""


def differing(
    folder: Path,
    imports: str,
    kinds: dict[str, str],
    executor: str = "Processes(1, copy=False)",
    late: str = "pass",
) -> str:
    program = folder / "program.py"
    names = "{**globals(), **sys.modules}"
    program.write_text(
        PROGRAM.format(
            imports=imports, settings="\n".join(kinds), texts=list(kinds.values()), executor=executor, names=names,
            late=late,
        )
    )  # fmt: skip
    ran = subprocess.run(
        [sys.executable, str(program)], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["Processes(1, copy=False)", "Processes(1)", "'threads'"])
def test_workers_have_what_the_program_has_set_of_python(tmp_path: Path, executor: str) -> None:
    imports = "import decimal, logging, multiprocessing, os, warnings"
    assert differing(tmp_path, imports, PYTHON, executor) == "{}\n"


@pytest.mark.slow
@pytest.mark.parametrize("name", LIBRARIES)
def test_workers_have_the_options_that_the_program_has_set_of_libraries(tmp_path: Path, name: str) -> None:
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"needs {name}")
    late = f"assert '{name}' not in sys.modules or {name == 'numpy'}; import {name}"
    assert differing(tmp_path, f"import {name}", LIBRARIES[name], late=late) == "{}\n"


@pytest.mark.slow
def test_threads_have_the_options_that_the_program_has_set_of_numpy(tmp_path: Path) -> None:
    assert differing(tmp_path, "import numpy", LIBRARIES["numpy"], "'threads'") == "{}\n"


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["Processes(1, copy=False)", "Processes(1)"])
def test_what_tasks_log_is_in_their_log_and_in_the_programs_file(tmp_path: Path, executor: str) -> None:
    (tmp_path / "program.py").write_text(
        textwrap.dedent(f"""
        import logging
        from memento import Memento
        from memento.executors import Processes

        logging.basicConfig(level=logging.INFO, format="MINE %(message)s")
        logging.getLogger().addHandler(logging.FileHandler("mine.log"))

        def experiment(context, config):
            logging.info("task %d", config.n)
            return config.n

        results = Memento(experiment, executor={executor}, store="store", progress=False).run(
            {{"parameters": {{"n": [1, 2]}}}}
        )
        print(sorted(line for result in results for line in result.log.splitlines()))
        """)
    )
    ran = subprocess.run(
        [sys.executable, "program.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.stdout == "['MINE task 1', 'MINE task 2']\n", ran.stderr
    assert sorted((tmp_path / "mine.log").read_text().splitlines()) == ["task 1", "task 2"]


# -- globals of the project's modules

SETTINGS = """
LR = 0.1
LAYERS = [1, 2]
class Model:
    size = 3
def scale(x): return x
REGISTRY = {}
UNREAD = 1
import random
GENERATOR = random.Random()
from pkg import deeper
"""
DEEPER = "DEPTH = 1\n"
SCRIPT = """
import pathlib, sys
from memento import Memento
from memento.errors import WorkersDiffer
from memento.executors import Processes
from pkg import settings

OWN = 1

def initializer():
    {initializer}

def experiment(context, config):
    pathlib.Path("ran").touch()
    return repr({reads})

def louder(x): return 2 * x

def run(executor):
    runs = Memento(experiment, executor=executor, store="store", progress=False, initializer=initializer)
    return runs.run({{"parameters": {{"n": [1]}}}}, force_run=True)[0].inner

{change}
try:
    print("same" if run(Processes(1, copy=False)) == repr({reads}) else "another result")
except WorkersDiffer as exc:
    assert not pathlib.Path("ran").exists(), "a task was run"
    print([name for name, _, _ in exc.found], exc)
print("copy", run(Processes(1)) == repr({reads}), "threads", run("threads") == repr({reads}))
"""


def run_script(folder: Path, reads: str, change: str, initializer: str = "pass") -> list[str]:
    (folder / "pkg").mkdir()
    (folder / "pkg" / "__init__.py").touch()
    (folder / "pkg" / "settings.py").write_text(SETTINGS)
    (folder / "pkg" / "deeper.py").write_text(DEEPER)
    (folder / "script.py").write_text(SCRIPT.format(reads=reads, change=change, initializer=initializer))
    ran = subprocess.run(
        [sys.executable, "script.py"], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split("copy ")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reads", "change", "named"),
    [
        ("settings.LR", "settings.LR = 0.5", "LR = 0.5 in the program, LR = 0.1 in workers"),
        ("settings.LR", "if __name__ == '__main__': settings.LR += 1", "LR = 1.1 in the program"),
        ("settings.LAYERS", "settings.LAYERS.append(3)", "LAYERS = [1, 2, 3] in the program"),
        ("settings.REGISTRY", "settings.REGISTRY['a'] = 1", "REGISTRY"),
        ("settings.DEVICE", "settings.DEVICE = 'cuda'", "nothing in workers"),
        ("settings.scale(3)", "settings.scale = louder", "scale"),
        ("settings.Model.size", "settings.Model.size = 5", "Model.size"),
        ("settings.deeper.DEPTH", "settings.deeper.DEPTH = 2", "DEPTH = 2 in the program"),
    ],
    ids=["set", "set under a guard", "appended", "registered", "added", "patched", "attribute", "deeper"],
)
def test_a_run_whose_fresh_workers_would_see_other_globals_ends_before_any_task(
    tmp_path: Path, reads: str, change: str, named: str
) -> None:
    fresh, others = run_script(tmp_path, reads, change)
    assert named in fresh
    assert "no task was run" in fresh
    assert "initializer=" in fresh
    assert others == "True threads True\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reads", "change", "initializer"),
    [
        ("settings.LR", "", "pass"),
        ("settings.LR", "settings.UNREAD = 2", "pass"),
        ("(OWN, settings.LR)", "OWN = 2", "pass"),
        ("settings.LAYERS", "settings.LAYERS = [1, 2]", "pass"),
        ("settings.LR", "settings.LR = 0.5", "settings.LR = 0.5"),
        ("type(settings.GENERATOR)", "settings.GENERATOR.random()", "pass"),
    ],
    ids=["nothing", "unread", "the script's own", "to the same", "by an initializer too", "a generator"],
)
def test_what_makes_no_difference_to_workers_stops_nothing(
    tmp_path: Path, reads: str, change: str, initializer: str
) -> None:
    fresh, others = run_script(tmp_path, reads, change, initializer)
    assert fresh == "same\n"
    assert others == "True threads True\n"


@pytest.mark.slow
def test_assertions_that_pytest_has_rewritten_are_the_same_code_in_workers(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text("""
from memento import Memento
from memento.executors import Processes

def double(x):
    assert x, "nothing"
    return 2 * x

def experiment(context, config):
    assert config.n
    return double(config.n)

def test_it(tmp_path):
    runs = Memento(experiment, executor=Processes(1, copy=False), store=tmp_path / "store", progress=False)
    assert runs.run({"parameters": {"n": [1]}})[0].inner == 2
""")
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout


def test_the_error_says_what_differs_and_the_ways_out() -> None:
    error = WorkersDiffer([("a.py:LR", "LR = 1", "LR = 2"), ("a.py:f", "", "")], "it has imported torch")
    assert "since it has imported torch" in str(error)
    assert "a.py:LR: LR = 1 in the program, LR = 2 in workers" in str(error)
    assert "a.py:f\n" in str(error)


# -- initializers, and what is said


def returns_its_parameter(context: Any, config: Any) -> int:
    return int(config.n)


def fails_to_begin() -> None:
    raise ValueError("no such device")


@pytest.mark.parametrize("executor", ["serial", "threads", pytest.param("processes", marks=pytest.mark.slow)])
def test_an_initializer_that_fails_ends_the_run_before_any_task(executor: str, tmp_path: Path) -> None:
    runs = Memento(
        returns_its_parameter,
        executor=executor,
        store=tmp_path / "store",
        progress=False,
        initializer=fails_to_begin,
    )
    with pytest.raises((ValueError, WorkerStartError), match="no such device") as caught:
        runs.run({"parameters": {"n": [1, 2]}})
    if executor == "processes":  # and no advice on imports
        assert str(caught.value).startswith("the initializer failed in a worker, so no task can run:\n")
        assert str(caught.value).endswith("ValueError: no such device")
    with Store.open(tmp_path / "store") as store:
        assert store.index.experiments() in ([], [(runs.name, 0, 0)])


def test_an_initializer_that_needs_arguments_is_refused_with_the_right_line() -> None:
    def begin(level: int) -> None: ...

    with pytest.raises(TypeError, match=r"'level'.*functools.partial\(begin, \.\.\.\)"):
        Memento(returns_its_parameter, initializer=begin)  # type: ignore[arg-type]  # what is tried
    Memento(returns_its_parameter, initializer=functools.partial(begin, 3))


@pytest.mark.parametrize("wrong", [1, "function"])
def test_what_cannot_be_called_is_no_initializer(wrong: Any) -> None:
    with pytest.raises(TypeError, match="initializer"):
        Memento(returns_its_parameter, initializer=wrong)


def test_that_workers_are_fresh_is_said_once_and_why(tmp_path: Path) -> None:
    stop = threading.Event()
    other = threading.Thread(target=stop.wait)
    other.start()
    try:
        drive = Drive(Processes(2), tmp_path)
        drive.start(returns_its_parameter)
        drive.take(drive.executor.poll(0.0))
        drive.executor.close()
    finally:
        stop.set()
        other.join()
    (fact,) = [fact for fact in drive.facts if "log" not in fact]  # pytest's handlers are named too
    assert "fresh processes" in fact
    if system.LINUX:
        assert re.search(r"several threads \(\w+.*\)", fact)


@pytest.mark.parametrize("why", ["a memory limit", "a notebook"])
def test_where_workers_are_always_fresh_it_is_not_said_at_each_run(
    why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"memory_limit": 2**40} if why == "a memory limit" else {}
    if why == "a notebook":
        monkeypatch.setitem(sys.modules, "ipykernel", sys)
    drive = Drive(Processes(2), tmp_path)
    drive.start(returns_its_parameter, **options)
    drive.take(drive.executor.poll(0.0))
    drive.executor.close()
    assert not [fact for fact in drive.facts if "fresh" in fact]


def test_a_handler_that_cannot_be_made_in_workers_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    handler = logging.handlers.MemoryHandler(10)
    monkeypatch.setattr(logging.getLogger("mine"), "handlers", [handler])
    _, left = logging_state.describe()
    assert "MemoryHandler of logger 'mine'" in left


def test_what_a_notebooks_kernel_logs_for_itself_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    config = pytest.importorskip("traitlets.config")
    handler = logging.StreamHandler(io.StringIO())  # as of a kernel, whose streams are its own
    handler.setFormatter(config.LevelFormatter("[%(name)s] %(message)s"))
    monkeypatch.setattr(logging.getLogger("IPKernelApp"), "handlers", [handler])
    _, left = logging_state.describe()
    assert not [name for name in left if "IPKernelApp" in name]


def test_a_filter_of_a_librarys_own_logger_is_left_to_its_import(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = type("Filter", (logging.Filter,), {"__module__": "somelib.filters"})
    logger = logging.getLogger("somelib.core")
    own, other = kind(), logging.Filter("x")
    monkeypatch.setattr(logger, "filters", [own, other])
    described, _ = logging_state.describe()
    assert [vars(one) for one in described.loggers["somelib.core"].filters] == [vars(other)]
    logging_state.set_up(described)
    assert logger.filters[0] is own
