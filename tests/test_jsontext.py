"""What is written without `json` is what `json` writes."""

from __future__ import annotations

import enum
import json
from typing import Any

import pytest

from memento import jsontext


class Level(enum.IntEnum):
    LOW = 1


CYCLE: list[Any] = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize("ensure_ascii", [True, False])
@pytest.mark.parametrize(
    "value",
    [
        None, True, 1, -(10**30), 0.1, float("nan"), float("-inf"), "", 'é "\\\n\x00\u2028', [], (1, [2]), {},
        {"a": {"b": None}, 7: 2, None: 3, True: 4, 0.5: 5}, Level.LOW, [Level.LOW], "\ud800",
    ],
    ids=repr,
)  # fmt: skip
def test_the_text_is_that_of_json(value: object, ensure_ascii: bool) -> None:
    assert jsontext.dumps(value, ensure_ascii=ensure_ascii) == json.dumps(value, ensure_ascii=ensure_ascii)


@pytest.mark.parametrize(
    "value", [object(), {(1, 2): 3}, {1, 2}, CYCLE, 10**5000], ids=lambda v: type(v).__name__
)
def test_what_json_refuses_is_refused(value: object) -> None:
    def refusal(dumps: Any) -> tuple[type[Exception], str]:
        try:
            dumps(value)
        except Exception as exc:
            return type(exc), str(exc)
        return Exception, ""

    assert refusal(jsontext.dumps) == refusal(json.dumps)


def test_what_cannot_be_written_may_be_made_into_something_that_can() -> None:
    assert jsontext.dumps([Level, 1], default=str) == json.dumps([Level, 1], default=str)
