"""A million combinations and the rules that leave some out: what it takes until the number of tasks is known."""

from __future__ import annotations

import itertools
import json
import sys
import time
from typing import Any

TITLE = "1,000,000 combinations, 3 rules (1.2.0 and filter visit each)"
UNIT = "s"
BASE = "itertools.product + filter"
MUST = "dict rules <= 0.3 s"
CONTENDERS = {
    "memento, 3 dict rules": "ours",
    "memento, 2 dict rules and 1 callable": "ours",
    "itertools.product + filter": "ours",
    "memento-ml 1.2.0, 3 dict rules": "ancestor",
}
PARAMETERS = {name: list(range(10)) for name in "abcdef"}
RULES: list[Any] = [{"a": 1, "b": 2}, {"c": 3, "d": 4}, {"e": 5, "f": 6}]
LEFT = 970_299  # (100 - 1) ** 3


def product() -> int:
    names = list(PARAMETERS)
    kept = 0
    for values in itertools.product(*PARAMETERS.values()):
        config = dict(zip(names, values, strict=True))
        kept += not any(all(config[n] == v for n, v in rule.items()) for rule in RULES)
    return kept


def ours(rules: list[Any]) -> int:
    from memento import Matrix

    return len(Matrix.of({"parameters": PARAMETERS, "exclude": rules}).table().columns)


def ancestor() -> int:
    from memento.configurations import generate_configurations

    return len(list(generate_configurations({"parameters": PARAMETERS, "exclude": RULES})))


if __name__ == "__main__":
    contender = sys.argv[1]
    before = time.perf_counter()
    if contender == BASE:
        count = product()
    elif "1.2.0" in contender:
        count = ancestor()
    elif "callable" in contender:
        count = ours([*RULES[:2], lambda config: config.e == 5 and config.f == 6])
    else:
        count = ours(RULES)
    assert count == LEFT, count
    print(json.dumps(time.perf_counter() - before))
