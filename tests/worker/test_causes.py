"""A failure's headline is what really failed, whoever has carried it here."""

from __future__ import annotations

import concurrent.futures
import importlib
import multiprocessing
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from memento.records import Failure
from memento.worker import failures
from memento.worker.causes import printed

FORK = multiprocessing.get_context("fork")
LIBRARY = str(Path(pytest.__file__).parent / "library.py")  # where installed packages lie


def corrupt(number: int) -> int:
    if number == 7:
        raise ValueError(f"corrupt image {number}")  # here
    return number


def line(mark: str) -> str:
    source = Path(__file__).read_text().splitlines()
    return (
        f"{Path(__file__).name}:{next(n for n, text in enumerate(source, 1) if text.endswith(f'# {mark}'))}"
    )


def caught(call: Callable[[], object]) -> Failure:
    try:
        call()
    except BaseException as error:
        return failures.raised(error)
    raise AssertionError("it did not fail")


def in_futures() -> None:
    with concurrent.futures.ProcessPoolExecutor(1, FORK) as pool:
        list(pool.map(corrupt, [7]))


def in_a_pool() -> None:
    with FORK.Pool(1) as pool:
        pool.map(corrupt, [7])


def in_a_pool_in_a_pool() -> None:
    with concurrent.futures.ProcessPoolExecutor(1, FORK) as pool:
        pool.submit(in_a_pool).result()


def in_a_thread() -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(corrupt, 7).result()


def in_joblib() -> None:
    joblib = pytest.importorskip("joblib")
    joblib.Parallel(2, backend="multiprocessing")(joblib.delayed(corrupt)(n) for n in (1, 7))


@pytest.mark.slow
@pytest.mark.parametrize(
    "call", [lambda: corrupt(7), in_futures, in_a_pool, in_a_pool_in_a_pool, in_a_thread, in_joblib]
)
def test_an_exception_from_another_process_is_told_where_it_was_raised(call: Callable[[], object]) -> None:
    failure = caught(call)
    assert (failure.type, failure.message, failure.location) == (
        "ValueError",
        "corrupt image 7",
        line("here"),
    )


class Images:
    """A data set, as PyTorch takes it."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, number: int) -> int:
        return corrupt(number)


@pytest.mark.parametrize("workers", [0, 2])
def test_what_fails_in_a_data_loader_is_told_alike_with_and_without_workers(workers: int) -> None:
    data: Any = pytest.importorskip("torch.utils.data", reason="PyTorch is not installed: pip install torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of fork in a process with threads
        failure = caught(lambda: list(data.DataLoader(Images(), num_workers=workers)))
    assert (failure.type, failure.message, failure.location) == (
        "ValueError",
        "corrupt image 7",
        line("here"),
    )


def wrapped_by_the_user() -> None:
    try:
        in_futures()
    except ValueError as exc:
        raise RuntimeError("my own words") from exc  # own


def test_what_the_user_raises_from_another_exception_is_what_it_says() -> None:
    failure = caught(wrapped_by_the_user)
    assert (failure.type, failure.message, failure.location) == ("RuntimeError", "my own words", line("own"))
    assert "corrupt image 7" in failure.traceback


def test_a_module_that_cannot_be_parsed_is_told_with_the_line_that_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "halfwritten.py").write_text("x = 1\ny = (\n")
    monkeypatch.syspath_prepend(tmp_path)
    failure = caught(lambda: importlib.import_module("halfwritten"))
    assert (failure.type, failure.message, failure.location) == (
        "SyntaxError",
        "'(' was never closed",
        "halfwritten.py:2",
    )


@pytest.mark.parametrize("text", ["1 +", "f('"])
def test_text_that_cannot_be_parsed_is_told_where_it_was_given(text: str) -> None:
    failure = caught(lambda: eval(text))  # given
    assert (failure.type, failure.location) == ("SyntaxError", line("given"))


TRACE = f"""Traceback (most recent call last):
  File "{LIBRARY}", line 374, in _worker_loop
    data = fetcher.fetch(index)
           ^^^^^^^^^^^^^^^^^^^^
  File "{__file__}", line 30, in __getitem__
    raise ValueError("corrupt image 7")
"""
CHAINED = f"""Traceback (most recent call last):
  File "{__file__}", line 3, in f
KeyError: 3

During handling of the above exception, another exception occurred:

{TRACE}"""
REMOTE = f"""concurrent.futures.process._RemoteTraceback:
\"\"\"
{TRACE}ValueError: corrupt image 7
\"\"\"

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "{LIBRARY}", line 4, in result
ValueError: corrupt image 7
"""


@pytest.mark.parametrize(
    "message",
    [
        f"Caught ValueError in DataLoader worker process 0.\nOriginal {TRACE}ValueError: corrupt image 7\n",
        f"\n\n-- Process 3 terminated with the following error:\n{TRACE}ValueError: corrupt image 7\n",
        f"\nAll fits failed.\n{'-' * 80}\n{TRACE}ValueError: corrupt image 7\n\n{'-' * 80}\n{TRACE}TypeError: b\n",
        f"the job failed with trace:\n----------\n{TRACE}ValueError: corrupt image 7",
        "rank 1:\n" + "".join(f"    {text}\n" for text in f"{TRACE}ValueError: corrupt image 7".splitlines()),
        f"in a worker:\n{CHAINED}package.errors.ValueError: corrupt image 7",
        f"in a worker:\n{REMOTE}",
    ],
)
def test_a_traceback_in_a_message_is_what_failed(message: str) -> None:
    failure = caught(lambda: exec("raise RuntimeError(message)", {"message": message}))
    assert (failure.type, failure.message) == ("ValueError", "corrupt image 7")
    assert failure.location == f"{Path(__file__).name}:30"
    assert message.strip() in failure.traceback


@pytest.mark.parametrize(
    "message",
    ["Traceback (most recent call last):", "see Traceback (most recent call last):\n\n  nothing", TRACE],
)
def test_a_message_that_only_looks_like_a_traceback_stays_as_it_is(message: str) -> None:
    assert caught(lambda: exec("raise OSError(message)", {"message": message})).message == message


def test_a_message_of_several_lines_is_kept_whole() -> None:
    told = printed(f"{TRACE}ValueError: Found array with 0 samples:\n  [[1]]\n\nwhile 1 is required.\n")
    assert told is not None
    assert told.message == "Found array with 0 samples:\n  [[1]]\n\nwhile 1 is required."


def test_where_the_other_process_was_in_libraries_only_the_users_line_here_is_the_place() -> None:
    text = f'Original Traceback (most recent call last):\n  File "{LIBRARY}", line 3, in f\nKeyError: 3\n'

    def fail() -> None:
        raise KeyError(text)  # waits

    # A KeyError shows its argument as Python would write it; torch gives it a text that does not.
    failure = failures.raised(_with_text(fail, text))
    assert (failure.type, failure.message, failure.location) == ("KeyError", "3", line("waits"))


def _with_text(call: Callable[[], None], text: str) -> BaseException:
    class Shown(str):
        def __repr__(self) -> str:
            return str(self)

    try:
        call()
    except KeyError as error:
        error.args = (Shown(text),)
        return error
    raise AssertionError


def test_what_was_sent_by_value_is_found_in_the_script(tmp_path: Path) -> None:
    first = corrupt.__code__.co_firstlineno + 2
    text = f'Original Traceback (most recent call last):\n  File "<dynamic-code>", line {first}, in corrupt\nE: x\n'

    def fail() -> None:
        raise RuntimeError(text)

    assert caught(fail).location == line("here")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 has no exception groups")
class TestGroups:
    def test_the_first_of_a_group_is_told_and_how_many_there_are(self) -> None:
        def fail() -> None:
            group = _group("inner", [TypeError("b"), OSError("c")])
            raise _group("outer", [ValueError("a 1"), group])  # group

        failure = caught(fail)
        assert failure.type == "ValueError"
        assert failure.message == "a 1 (and 2 others in one ExceptionGroup)"
        assert failure.location == line("group")
        assert "OSError: c" in failure.traceback

    def test_a_group_of_one_is_that_one_where_it_was_raised(self) -> None:
        def fail() -> None:
            try:
                corrupt(7)
            except ValueError as exc:
                raise _group("tasks", [exc]) from None

        failure = caught(fail)
        assert (failure.message, failure.location) == ("corrupt image 7", line("here"))


def _group(text: str, errors: list[Exception]) -> Exception:
    group: Exception = __import__("builtins").ExceptionGroup(text, errors)
    return group
