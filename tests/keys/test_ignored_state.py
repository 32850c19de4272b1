"""What never counts promises: locks, global states and caches leave a digest as it is, in every process."""

from __future__ import annotations

import random
import subprocess
import sys
import textwrap
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memento.keys.value_digest import digest

CACHE: dict[str, int] = {}
LIMIT = 3


class Counting:
    """A decorator that counts calls."""

    def __init__(self, func: Any) -> None:
        self.func, self.calls = func, 0

    def __call__(self) -> Any:
        self.calls += 1
        return self.func()


@Counting
def counted() -> int:
    return 1


def uses_counted() -> Any:
    return counted()


def remembers() -> int:
    CACHE["x"] = CACHE.get("x", 0) + 1
    return CACHE["x"]


class Holder:
    def __init__(self, part: Any) -> None:
        self.part = part


@pytest.mark.parametrize("func", [uses_counted, remembers])
def test_calling_a_function_changes_no_digest(func: Any) -> None:
    before = digest(func)
    func()
    assert digest(func) == before


@pytest.mark.parametrize(
    "make", [threading.Lock, threading.RLock, threading.Event, threading.local, threading.Condition]
)
def test_what_guards_an_object_is_no_difference_between_two(make: Any) -> None:
    assert digest(Holder(make())) == digest(Holder(make()))
    assert digest(Holder(make())) != digest(Holder(None))


def test_a_lock_that_is_held_is_the_same_lock() -> None:
    lock = threading.Lock()
    holder = Holder(lock)
    before = digest(holder)
    with lock:
        assert digest(holder) == before


def test_weak_references_lead_to_nothing_that_counts() -> None:
    one, two = Holder(1), Holder(2)
    assert digest(Holder(weakref.ref(one))) == digest(Holder(weakref.ref(two)))
    assert digest(Holder(weakref.WeakValueDictionary(a=one))) == digest(Holder(weakref.WeakValueDictionary()))


def test_a_generator_of_the_user_s_counts_by_its_state_and_the_process_s_own_does_not() -> None:
    mine = random.Random(3)
    before = digest(Holder(mine)), digest(random.gauss), digest(np.random.normal)
    mine.random()
    random.random()
    np.random.random()
    assert digest(Holder(mine)) != before[0]
    assert (digest(random.gauss), digest(np.random.normal)) == before[1:]
    assert digest(random.gauss) != digest(random.choice)


def test_a_constant_that_a_function_names_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    def limited() -> int:
        return LIMIT

    before = digest(limited)
    monkeypatch.setitem(globals(), "LIMIT", 4)
    assert digest(limited) != before


SCRIPT = """
import random
from random import choice
import numpy as np
from numpy.random import rand
from memento.keys.value_digest import digest
def one(): return choice([1, 2])
def two(): return rand(3)
values = [one, two, random.gauss, np.random.normal, random.Random(3)]
if {scipy}:
    from scipy.stats import norm, rv_continuous
    class Own(rv_continuous):
        def _pdf(self, x): return 3 * x**2
    values += [norm(0, 1), Own(a=0, b=1), norm]
    import pickle
    assert len({{digest(value) for value in (norm(0, 1), pickle.loads(pickle.dumps(norm(0, 1))))}}) == 1
    values[-1].rvs(2)
random.random(), np.random.random()
print([digest(value).hex() for value in values])
"""


@pytest.mark.slow
def test_the_next_process_gives_the_same_digests(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT.format(scipy=_has("scipy"))))
    told = {subprocess.check_output([sys.executable, str(script)], text=True, timeout=300) for _ in range(2)}
    assert len(told) == 1


def _has(library: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(library) is not None
