"""The result of a task, on its way to another: it takes along what the task's parameters were."""

from __future__ import annotations

import pickle
import threading
from typing import Any

import numpy as np
import pytest

from memento import Config
from memento.errors import UpstreamParameterMissing
from memento.records import Encoded
from memento.store.upstream import Origins, UpstreamValue
from memento.values import pickling

NOTHING = Encoded("json", b"1", None, 1, "builtins:int")


def result(**parameters: Any) -> UpstreamValue:
    return UpstreamValue(b"k" * 16, "", NOTHING, 3, (Origins(lambda _: parameters), 0))


def sent(value: UpstreamValue) -> UpstreamValue:
    found = pickling.loads(pickling.dumps(value))
    assert isinstance(found, UpstreamValue)
    assert (found, found.row) == (value, value.row)
    return found


class Model:
    depth = 3


def test_a_worker_gets_the_parameters_as_they_are() -> None:
    base = result(n=1)
    config = Config(up=sent(result(x=0.5, name="a" * 300, model=Model, rows=np.arange(3), base=base)))
    assert (config["up.x"], config["up.name"], config["up.model"]) == (0.5, "a" * 300, Model)
    assert config["up.rows"].tolist() == [0, 1, 2]
    assert config["up.base.n"] == 1
    assert repr(config).startswith("Config(up.x=0.5, up.name=aaa")
    assert "up.model=Model, up.rows=array([0, 1, 2]), up.base.n=1)" in repr(config)
    twice = Config(up=sent(sent(result(x=Model))))
    assert twice["up.x"] is Model


@pytest.mark.parametrize(
    "value", [np.zeros(100_000), list(range(100_000)), threading.Lock()], ids=["array", "list", "lock"]
)
def test_what_is_too_large_to_take_along_stays_and_is_told_where_it_is_asked_for(value: Any) -> None:
    message = pickling.dumps(result(x=1, large=value))
    assert len(message) < 5_000
    config = Config(up=pickling.loads(message))
    assert config["up.x"] == 1
    assert "up.large=" in repr(config)
    with pytest.raises(UpstreamParameterMissing, match="Return it from that task"):
        config["up.large"]


def test_what_many_tasks_share_is_pickled_once() -> None:
    class Counted:
        pickled = 0

        def __reduce__(self) -> Any:
            Counted.pickled += 1
            return int, (1,)

    one = Counted()
    origins = Origins(lambda number: {"n": number, "shared": one})
    for number in range(5):
        pickling.dumps(UpstreamValue(bytes([number]) * 16, "", NOTHING, 3, (origins, number)))
    assert Counted.pickled == 1


def test_the_error_travels() -> None:
    error = pickle.loads(pickle.dumps(UpstreamParameterMissing("array")))
    assert str(error) == str(UpstreamParameterMissing("array"))
