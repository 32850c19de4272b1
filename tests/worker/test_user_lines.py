"""Where something failed is the user's own line, whatever lies below it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from memento.worker import failures
from memento.worker.user_lines import Printed, lines_of_stack, lines_of_text

PACKAGES = Path(np.__file__).parent.parent
HERE = Path(__file__).name


def place_of(code: str) -> str:
    try:
        exec(compile(f"\n\n{code}", __file__, "exec"), {"__name__": __name__, "__file__": __file__, "np": np})
    except Exception as error:
        return failures.raised(error).location
    raise AssertionError("it did not fail")


@pytest.mark.parametrize(
    "code",
    [
        "np.random.seed('x')",  # Cython, which calls its source "_mt19937.pyx"
        "np.random.default_rng(0).choice([], 3)",
        "np.random.RandomState(0).multinomial(1, [2, 3])",
        "np.linalg.inv(np.zeros((2, 2)))",  # Python in a library
        "np.zeros(3).reshape(7)",  # C
        "__import__('json').loads('{')",
        "__import__('importlib').import_module('no_such_module')",
        "__import__('dataclasses').make_dataclass('D', ['a'])()",
        "exec('1 / 0', {'__name__': 'made', '__file__': __import__('json').__file__})",
    ],
)
def test_below_the_users_line_nothing_counts(code: str) -> None:
    assert place_of(code) == f"{HERE}:3"


def run_as(file: str, module_file: str | None, name: str = "compiled") -> str:
    space = {"__name__": name} if module_file is None else {"__name__": name, "__file__": module_file}
    try:
        exec(compile("\n\n\n1 / 0", file, "exec"), space)
    except ZeroDivisionError as error:
        return failures.raised(error).location
    raise AssertionError


def test_compiled_code_of_the_user_is_the_users_own(tmp_path: Path) -> None:
    built = tmp_path / "fast.cpython-311.so"
    built.touch()
    assert run_as("fast.pyx", str(built)) == "fast.pyx:4"


@pytest.mark.parametrize("file", ["_mt19937.pyx", "numpy/random/mtrand.pyx", "black/linegen.py"])
def test_compiled_code_of_libraries_is_theirs(file: str) -> None:
    assert run_as(file, str(PACKAGES / "numpy" / "x.so")).startswith(HERE)


@pytest.mark.parametrize("file", ["<string>", "<attrs generated init D>", "<eval_with_key>.3"])
def test_code_that_libraries_make_is_theirs(file: str) -> None:
    assert run_as(file, None, "made").startswith(HERE)


@pytest.mark.parametrize("file", ["<stdin>", "<ipython-input-1-0a>", "<python-input-0>"])
def test_what_is_typed_at_a_prompt_is_the_users_own(file: str) -> None:
    assert run_as(file, None, "__main__") == f"{file}:4"


def test_a_notebooks_cell_is_the_users_own() -> None:
    cell = "/tmp/ipykernel_1/2.py"
    with pytest.raises(ValueError, match="Expecting") as caught:
        exec(compile("\n__import__('json').loads('{')", cell, "exec"), {"__name__": "__main__"})
    assert failures.raised(caught.value).location == "2.py:2"


def test_a_printed_traceback_is_read_by_the_same_rule() -> None:
    frames = [
        Printed(str(PACKAGES / "torch" / "worker.py"), 374, "loop"),
        Printed(__file__, 16, "__getitem__"),
        Printed(str(PACKAGES / "PIL" / "Image.py"), 9, "open"),
        Printed("numpy/random/mtrand.pyx", 3, "seed"),
        Printed("<__array_function__ internals>", 1, "mean"),
    ]
    assert lines_of_text(frames).own == f"{HERE}:16"
    assert lines_of_text(frames[-2:]) == ("", "<__array_function__ internals>:1")


def test_the_line_that_runs_now_is_found_from_the_stack() -> None:
    own = lines_of_stack(sys._getframe()).own
    assert own.startswith(f"{HERE}:")
