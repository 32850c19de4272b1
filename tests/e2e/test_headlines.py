"""What failed is told in one line by what really failed and at the user's line, whoever ran it."""

from __future__ import annotations

import pytest

from tests.e2e.workplace import Workplace

SCRIPT = """
import sys
import concurrent.futures, multiprocessing
import numpy as np
from memento import Memento

FORK = multiprocessing.get_context("fork")

def load(n):
    if n > 1:
        raise ValueError(f"corrupt image {n}: shape ({n}, 3)")
    return n

def experiment(context, config):
    if config.way == "here":
        load(config.n)
    elif config.way == "futures":
        with concurrent.futures.ProcessPoolExecutor(1, FORK) as pool:
            list(pool.map(load, [1, config.n]))
    elif config.way == "pool":
        with FORK.Pool(1) as pool:
            pool.map(load, [1, config.n])
    elif config.way == "compiled":
        np.random.seed("x" * config.n)
    elif config.way == "key":
        {}[f"thing {config.n}"]
    return config.n

results = Memento(experiment, num_workers=2, executor=sys.argv[1], on_error="return").run(
    {"parameters": {"way": ["here", "futures", "pool", "compiled", "key", "none"], "n": [2, 3, 4]}}
)
for group in results.failures:
    print(group.count, group.title)
"""


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["processes", "serial"])
def test_one_cause_is_one_line_whichever_process_it_was_raised_in(executor: str, place: Workplace) -> None:
    place.write("exp.py", SCRIPT)
    told = place.run("exp.py", executor)
    assert told.out.splitlines() == [
        "9 ValueError: corrupt image …: shape (…) (exp.py:11)",
        "3 TypeError: Cannot cast scalar from dtype(…) to dtype('int64') according to the rule 'safe' (exp.py:24)",
        "3 KeyError: … (3 different) (exp.py:26)",
    ]
    assert "15 failed" in told.err
