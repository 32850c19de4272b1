"""A value that cannot be loaded here breaks nothing but itself, and says what it is and what wrote it."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import memento
from memento import Memento, Results
from memento.errors import MissingExtra, PayloadDamaged, UntrustedStore, ValueUnreadable

GONE = "a_library_that_goes"
library_that_goes: Any = (
    None  # its module; `sys.modules[GONE]` would be code that reads all that is loaded here
)


def experiment(context: Any, config: Any) -> Any:
    context.record({"acc": float(config.k)})
    if config.k == 1:
        return 0.5
    return MADE[config.what]()


def of_library() -> Any:
    return library_that_goes.Model()


def large() -> Any:
    return np.arange(50_000)


MADE: dict[str, Callable[[], Any]] = {
    "library": of_library,
    "large": large,
    "frame": lambda: pd.DataFrame({"a": [1, 2]}),
    "set": lambda: {1, 2},
}


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A module that the values' class comes from."""
    module = types.ModuleType(GONE)
    module.__file__ = str(Path(types.__file__).with_name("site-packages") / f"{GONE}.py")
    module.__spec__ = None
    exec("class Model:\n    pass", module.__dict__)
    monkeypatch.setitem(sys.modules, GONE, module)
    monkeypatch.setattr(sys.modules[__name__], "library_that_goes", module)
    monkeypatch.setattr("memento.values.definitions.is_importable", lambda name: True)
    return module


def run(store: Path, what: str) -> Results:
    matrix = {"parameters": {"k": [1, 2], "what": [what]}}
    results = Memento(experiment, store=store, executor="serial", progress=False, name="e").run(matrix)
    assert results is not None
    return results


def take_away(what: str, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if what == "library":
        monkeypatch.delitem(sys.modules, GONE)
    elif what == "frame":
        monkeypatch.setitem(sys.modules, "pyarrow.ipc", None)  # pandas itself may need the rest


@pytest.mark.parametrize(
    ("what", "error", "says"),
    [
        (
            "library",
            ValueUnreadable,
            rf"k=2.*No module named '{GONE}'.*It is a {GONE}:Model, was written by Python 3",
        ),
        ("frame", MissingExtra, r"pip install 'memento-ml\[arrow\]'"),
        ("set", UntrustedStore, "a pickle of builtins:set"),
    ],
)
def test_one_value_breaks_nothing_but_itself(
    what: str,
    error: type[Exception],
    says: str,
    tmp_path: Path,
    library: types.ModuleType,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if what == "frame":
        pytest.importorskip("pyarrow")
    store = tmp_path / "s"
    run(store, what)
    take_away(what, store, monkeypatch)
    results = memento.load(store, trusted=what != "set")
    assert "0.5" in repr(results)
    assert "k=2" in repr(results[1])
    assert "<td>2</td>" in results._repr_html_()
    values = results.to_frame()["value"].tolist()
    assert values[0] == 0.5
    assert repr(values[1]).startswith("<unreadable ")
    assert "; written by Python 3." in repr(values[1])
    assert results.best("acc").config.k == 2
    assert results.pivot("k", values="acc")["acc"].tolist() == [1.0, 2.0]
    assert [r.config.k for r in results.filter(k=2)] == [2]
    with pytest.warns(UserWarning, match="1 value cannot be loaded here"):
        assert results.best().inner == 0.5
    with pytest.raises(error, match=says):
        results[1].inner  # noqa: B018 - touching it is the point


def test_a_large_value_that_is_gone_is_noticed_when_it_is_touched(tmp_path: Path) -> None:
    store = tmp_path / "s"
    run(store, "large")
    (payload,) = store.glob("payloads/*/*.npy")
    payload.unlink()
    results = memento.load(store)
    assert results.to_frame()["value"].tolist() == [0.5, "array 50000 int64, 400 kB"]
    assert results.best("acc").config.k == 2
    with pytest.raises(PayloadDamaged, match=r"k=2.*is gone.*computed again"):
        results[1].inner  # noqa: B018 - touching it is the point


class Loud:
    loaded = 0

    def __setstate__(self, state: Any) -> None:
        Loud.loaded += 1


def loud(context: Any, config: Any) -> Any:
    made = Loud()
    made.__dict__["x"] = 1
    return made


def test_a_repr_unpickles_nothing(tmp_path: Path) -> None:
    made = Memento(loud, store=tmp_path / "s", executor="serial", progress=False, name="e")
    results = made.run({"parameters": {"k": [1]}})
    assert results is not None
    for shown in (repr(results), repr(results[0]), results._repr_html_(), repr(memento.load(tmp_path / "s"))):
        assert "Loud, " in shown
        assert "bytes" in shown
    assert Loud.loaded == 0
    results.to_frame()
    assert Loud.loaded == 1
