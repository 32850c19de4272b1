"""The names that annotations use cost nothing at run time, and light named tuples are named tuples."""

from __future__ import annotations

import copy
import pickle
import typing

import pytest

from memento import hints
from memento.events import RunFinished, Said, Tick


class Heavy(typing.NamedTuple):
    text: str
    level: str = "info"


class Light(hints.NamedTuple):
    text: str
    level: str = "info"

    @property
    def loud(self) -> str:
        return self.text.upper()


def test_a_light_named_tuple_is_made_and_read_like_any_other() -> None:
    assert Light("a") == Light(text="a", level="info") == ("a", "info") == Heavy("a")
    assert (Light("a").text, Light("a", "warning").level, Light("a").loud) == ("a", "warning", "A")
    assert repr(Light("a")) == repr(Heavy("a")).replace("Heavy", "Light")
    assert hash(Light("a")) == hash(Heavy("a"))
    for name in ("_fields", "_field_defaults", "__match_args__"):
        assert getattr(Light, name) == getattr(Heavy, name)


def test_a_light_named_tuple_is_changed_copied_and_sent_like_any_other() -> None:
    assert Light("a")._replace(level="warning") == Light("a", "warning")
    assert Light("a")._asdict() == Heavy("a")._asdict()
    assert Light._make(["a", "b"]) == Light("a", "b")
    event = Said("a worker was replaced")
    for same in (copy.copy(event), copy.deepcopy(event), pickle.loads(pickle.dumps(event))):
        assert (type(same), same) == (Said, event)


def test_a_light_named_tuple_cannot_be_changed_in_place() -> None:
    with pytest.raises(AttributeError):
        Light("a").text = "b"  # type: ignore[misc]  # what is tested
    with pytest.raises(AttributeError):
        Light("a").other = "b"  # type: ignore[attr-defined]  # what is tested


@pytest.mark.parametrize(
    ("values", "named"),
    [((), {}), (("a", "b", "c"), {}), (("a",), {"text": "b"}), (("a",), {"other": "b"})],
)
def test_a_light_named_tuple_refuses_what_does_not_fit(
    values: tuple[str, ...], named: dict[str, str]
) -> None:
    for kind in (Light, Heavy):
        with pytest.raises(TypeError):
            kind(*values, **named)


class Heavier(Light):
    def __new__(cls, text: str, level: str = "error") -> Heavier:
        return super().__new__(cls, text.strip(), level)


def test_a_light_named_tuple_may_be_made_in_a_way_of_ones_own() -> None:
    for _ in range(2):  # the constructor is compiled when the first is made
        assert Heavier(" a ") == ("a", "error")
        assert (type(Heavier("a")), Heavier("a").loud, Light(" a ").text) == (Heavier, "A", " a ")
    assert Heavier("a")._replace(level="info") == ("a", "info")
    assert pickle.loads(pickle.dumps(Heavier("a"))) == Heavier("a")


def test_every_event_says_what_its_fields_are() -> None:
    for kind in (RunFinished, Said, Tick):
        assert list(kind.__annotations__) == list(kind._fields)
