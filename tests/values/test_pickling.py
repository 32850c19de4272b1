"""An instance of a class of the script is an instance of that very class: in real processes."""

from __future__ import annotations

import pickle
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from memento.values import pickling

SCRIPT = '''
import abc, dataclasses, enum, os, pickle, subprocess, sys, typing
from memento.values import pickling
from memento.values.encoding import decode, encode
from memento.values.payloads import PayloadDir

class Meta(type):
    pass

class A(metaclass=Meta):
    class Inner:
        pass
    def own(self):
        return A
    def other(self):
        return B

class B(A):
    def base(self):
        return A

class Color(enum.Enum):
    RED = 1

@dataclasses.dataclass
class Point:
    x: int
    color: Color = Color.RED

class Pair(typing.NamedTuple):
    a: int
    b: object = None

class Base(abc.ABC):
    @abc.abstractmethod
    def run(self): ...

class Impl(Base):
    def run(self):
        return count()

COUNT = 0
FACTOR = 10

def count():
    global COUNT
    COUNT += 1
    return COUNT

class Trouble(Exception):
    def __init__(self, code):
        super().__init__(code)
        self.code = code

def experiment(v):
    main = sys.modules["__main__"]
    assert type(v["a"]) is A is main.A
    assert type(v["b"]) is B and isinstance(v["b"], A)
    assert v["b"].base() is A and v["a"].other() is B and v["a"].own() is A
    assert type(v["inner"]) is A.Inner
    assert v["color"] is Color.RED and v["point"] == Point(1)
    assert type(v["pair"]) is Pair and isinstance(v["impl"], Base)
    assert type(pickle.loads(pickle.dumps(v["a"]))) is A
    v["impl"].run()
    assert count() == main.COUNT == COUNT
    assert v["scale"](2) == 20
    return {"point": Point(7), "kind": B, "inner": A.Inner(), "color": Color.RED, "pair": Pair(1),
            "lam": lambda x: x * FACTOR}

def values():
    return {"a": A(), "b": B(), "inner": A.Inner(), "color": Color.RED, "point": Point(1), "pair": Pair(1, Pair(2)),
            "impl": Impl(), "scale": lambda x: x * FACTOR}

WORKER = """
import pickle, sys
from memento.values import pickling
from memento.values.encoding import encode
from memento.values.payloads import PayloadDir
script, function, values, root = pickle.load(sys.stdin.buffer)
pickling.install_main(script)
function = pickling.loads(function)
for _ in range(3):
    result = function(pickling.loads(values))
assert function.__globals__["COUNT"] == 6  # state of the script's module lives on between tasks
A = sys.modules["__main__"].A
A.mark = "set by a task"
assert type(pickling.loads(values)["a"]).mark == "set by a task"
error = pickling.dumps_value(sys.modules["__main__"].Trouble(3)) if hasattr(sys.modules["__main__"], "Trouble") else b""
sys.stdout.buffer.write(pickle.dumps((tuple(encode(result, PayloadDir(root))), error)))
"""

def check(result):
    assert type(result["point"]) is Point and result["point"] == Point(7), type(result["point"])
    assert result["kind"] is B and type(result["inner"]) is A.Inner
    assert result["color"] is Color.RED and type(result["pair"]) is Pair
    assert result["lam"](3) == 30

if __name__ == "__main__":
    from memento.keys.project_files import script
    from memento.records import Encoded
    root = sys.argv[1]
    kept = os.path.join(root, "encoded")
    payloads = PayloadDir(os.path.join(root, "payloads"))
    if not os.path.exists(kept):
        data = pickle.dumps((script(), pickling.dumps(experiment), pickling.dumps(values()), payloads.root))
        out = subprocess.run([sys.executable, "-c", WORKER], input=data, stdout=subprocess.PIPE, check=True).stdout
        open(kept, "wb").write(out)
    encoded, error = pickle.loads(open(kept, "rb").read())
    check(decode(Encoded(*encoded), payloads))
    if error:
        assert type(pickling.loads_value(error)) is Trouble
    serial = encode(experiment(values()), payloads)
    check(decode(serial, payloads))
    assert pickling.loads(pickling.dumps(experiment)) is experiment
    assert type(pickling.loads(pickling.dumps(A()))) is A
    print("ok", script().place)
'''

ELSEWHERE = """
import pickle, sys
from memento.values.encoding import decode
from memento.values.payloads import PayloadDir
from memento.records import Encoded
root = sys.argv[1]
encoded, error = pickle.loads(open(root + "/encoded", "rb").read())
payloads = PayloadDir(root + "/payloads")
one, two = (decode(Encoded(*encoded), payloads) for _ in range(2))
assert one["point"].x == 7 and type(one["point"]).__name__ == "Point"
assert type(one["point"]) is type(two["point"]) and one["kind"] is two["kind"]
assert one["lam"](3) == 30
assert "exp" not in sys.modules, "a loose script was imported"
print("ok")
"""


def run(*args: str, cwd: Path, code: str | None = None) -> str:
    done = subprocess.run(
        [sys.executable, *args], cwd=cwd, input=code, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A script that has run once: its results are kept in `store`."""
    folder = tmp_path_factory.mktemp("it's a folder")
    (folder / "exp.py").write_text(SCRIPT)
    (folder / "store").mkdir()
    assert run("exp.py", "store", cwd=folder) == "ok exp.py"
    return folder


@pytest.mark.slow
def test_a_result_is_of_the_scripts_own_class_in_the_next_run(script: Path) -> None:
    assert run("exp.py", "store", cwd=script) == "ok exp.py"


def test_a_result_is_of_the_modules_own_class_where_the_script_was_imported(script: Path) -> None:
    code = """
        import pickle, exp
        from memento.values.encoding import decode
        from memento.values.payloads import PayloadDir
        from memento.records import Encoded
        encoded, _ = pickle.loads(open("store/encoded", "rb").read())
        exp.check(decode(Encoded(*encoded), PayloadDir("store/payloads")))
        print("ok")
    """
    assert run("-c", textwrap.dedent(code), cwd=script) == "ok"


def test_a_result_can_be_read_where_the_script_is_not_running(script: Path) -> None:
    assert run("-c", ELSEWHERE, "store", cwd=script) == "ok"


@pytest.mark.slow
def test_a_module_run_with_m_finds_its_own_classes(tmp_path: Path) -> None:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").touch()
    (tmp_path / "pkg" / "exp.py").write_text(SCRIPT)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "store").mkdir()
    assert run("-m", "pkg.exp", "store", cwd=tmp_path) == "ok pkg/exp.py"
    assert run("-m", "pkg.exp", "store", cwd=tmp_path) == "ok pkg/exp.py"


@pytest.mark.slow
def test_a_module_of_a_package_is_imported_to_read_its_results(tmp_path: Path) -> None:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").touch()
    (tmp_path / "pkg" / "exp.py").write_text(SCRIPT)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "store").mkdir()
    run("-m", "pkg.exp", "store", cwd=tmp_path)
    code = ELSEWHERE + "\nimport pkg.exp; assert type(one['point']) is pkg.exp.Point"
    assert run("-c", code, "store", cwd=tmp_path) == "ok"


def test_a_script_from_standard_input_finds_its_own_classes(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    assert run("-", "store", cwd=tmp_path, code=SCRIPT).startswith("ok")


def test_a_class_that_a_notebook_defines_anew_is_the_new_one_and_old_instances_keep_theirs(
    tmp_path: Path,
) -> None:
    code = """
        import pickle, subprocess, sys
        from memento.values import pickling
        class A:
            version = 1
        old = A()
        class A:
            version = 2
        data = pickle.dumps((pickling.dumps(A()), pickling.dumps(old), pickling.dumps(lambda: A.version)))
        worker = (
            "import pickle, sys; from memento.keys.project_files import Script; from memento.values import pickling;"
            "pickling.install_main(Script('notebook', 'notebook', ('/',), ''));"
            "new, old, f = map(pickling.loads, pickle.load(sys.stdin.buffer));"
            "print(new.version, old.version, f(), sys.modules['__main__'].A is type(new))"
        )
        subprocess.run([sys.executable, "-c", worker], input=data, check=True)
    """
    assert run("-", cwd=tmp_path, code=textwrap.dedent(code)) == "2 1 2 True"


def test_a_module_loaded_from_a_path_travels_by_value(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "loose.py").write_text(
        "class A:\n    def me(self):\n        return A\ndef make():\n    return A()\n"
    )
    code = """
        import importlib.util, pickle, subprocess, sys
        from memento.values import pickling
        spec = importlib.util.spec_from_file_location("loose", "lib/loose.py")
        loose = importlib.util.module_from_spec(spec)
        sys.modules["loose"] = loose
        spec.loader.exec_module(loose)
        data = pickle.dumps((pickling.dumps(loose.make), pickling.dumps(loose.A())))
        worker = (
            "import pickle, sys; from memento.keys.project_files import Script; from memento.values import pickling;"
            "pickling.install_main(Script('x.py', 'x', ('/',), ''));"
            "make, a = map(pickling.loads, pickle.load(sys.stdin.buffer));"
            "assert type(make()) is type(a) is a.me(); sys.stdout.buffer.write(pickling.dumps_value(a))"
        )
        back = subprocess.run([sys.executable, "-c", worker], input=data, check=True, stdout=subprocess.PIPE).stdout
        assert type(pickling.loads_value(back)) is loose.A
        print("ok")
    """
    assert run("-", cwd=tmp_path, code=textwrap.dedent(code)) == "ok"


def test_a_function_of_an_importable_module_travels_by_name() -> None:
    assert pickling.dumps(textwrap.dedent) == pickling.dumps(textwrap.dedent)
    assert len(pickling.dumps(textwrap.dedent)) < 100


def test_a_class_that_is_nowhere_to_be_found_is_named_in_the_error(tmp_path: Path) -> None:
    data = b"\x93memento-kept\x00" + pickle.dumps(("gone", b"", b"\x80\x05c__main__\nLost\n."))
    with pytest.raises(pickle.UnpicklingError, match=r"Lost of gone is not defined here"):
        pickling.loads_value(data)


def test_an_open_file_cannot_be_saved(tmp_path: Path) -> None:
    with (
        open(tmp_path / "notes", "w+", encoding="utf-8") as file,
        pytest.raises(TypeError, match="open file"),
    ):
        pickling.dumps_value({"notes": file, "by": lambda: 1})


def test_closures_and_local_classes_are_kept() -> None:
    class Local:
        def __init__(self, n: int) -> None:
            self.n = n

    n = 3
    add, local = pickling.loads_value(pickling.dumps_value((lambda x: x + n, Local(4))))
    assert (add(1), local.n) == (4, 4)
