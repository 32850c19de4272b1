"""Tasks of several runs in one process know of each other, and of none that is not there."""

from __future__ import annotations

import contextlib
import os
import threading

import pytest

from memento.worker.at_work import AtWork


def test_two_tasks_at_once_are_company_and_one_after_the_other_are_none() -> None:
    with AtWork() as first:
        pass
    with AtWork() as second, AtWork() as inner:
        assert not inner.has_company
        thread = threading.Thread(target=lambda: AtWork().__enter__().give_up())
        thread.start()
        thread.join()
    assert [one.has_company for one in (first, second, inner)] == [False, True, True]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="copies are made by fork")
@pytest.mark.filterwarnings(
    "ignore:.*fork:DeprecationWarning"
)  # of a fork beside a thread, which is what is tried
def test_a_copy_of_a_process_has_no_company_in_tasks_of_the_original() -> None:
    begun, may_end = threading.Event(), threading.Event()

    def work() -> None:
        with AtWork():
            begun.set()
            may_end.wait(60)

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait(60)
    child = os.fork()
    if not child:
        code = 1
        with contextlib.suppress(BaseException), AtWork() as own:
            code = 2 if own.has_company else 0
        os._exit(code)
    may_end.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
