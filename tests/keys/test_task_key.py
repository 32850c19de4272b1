"""What task keys promise."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from memento.keys.task_key import TaskKeys, part, renamed_keys, repeat_part, task_digest
from memento.keys.value_digest import digest

names = st.text(min_size=1, max_size=5)
row = st.dictionaries(names, st.integers(), max_size=4)


def key_of(experiment: str, settings: dict[str, int], parameters: dict[str, int], repeat: int = 0) -> bytes:
    task_keys = TaskKeys(experiment, [part("s", n, digest(v)) for n, v in settings.items()])
    return task_keys.key([part("p", n, digest(parameters[n])) for n in sorted(parameters)], repeat)


@given(st.tuples(names, row, row, st.integers(0, 3)), st.tuples(names, row, row, st.integers(0, 3)))
def test_two_tasks_share_a_key_only_if_they_are_the_same(
    a: tuple[str, dict[str, int], dict[str, int], int], b: tuple[str, dict[str, int], dict[str, int], int]
) -> None:
    assert (key_of(*a) == key_of(*b)) == (a == b)


@given(row)
def test_the_order_of_settings_does_not_count(settings: dict[str, int]) -> None:
    backwards = dict(reversed(settings.items()))
    assert key_of("exp", settings, {"a": 1}) == key_of("exp", backwards, {"a": 1})


def test_a_setting_and_a_parameter_of_one_name_differ() -> None:
    assert key_of("exp", {"a": 1}, {}) != key_of("exp", {}, {"a": 1})


def test_an_absent_part_leaves_the_key_as_it_was() -> None:
    keys = TaskKeys("exp")
    known = part("p", "lr", digest(0.1))
    assert keys.key([known, part("p", "new", None)]) == keys.key([known])


def test_the_first_repeat_has_the_key_from_before_there_were_repeats() -> None:
    assert key_of("exp", {}, {"a": 1}, repeat=0) == key_of("exp", {}, {"a": 1})
    assert len({key_of("exp", {}, {"a": 1}, repeat=r) for r in range(5)}) == 5


def test_many_keys_at_once_are_the_keys_one_by_one() -> None:
    keys = TaskKeys("exp", [part("s", "folds", digest(5))])
    rows = [
        (part("p", "a", digest(a)), part("p", "b", digest(b)), repeat_part(r))
        for a, b, r in itertools.product(range(3), "xy", range(2))
    ]
    assert keys.keys(rows) == b"".join(keys.key(r[:2], i % 2) for i, r in enumerate(rows))
    assert keys.keys([]) == b""


def test_an_upstream_task_stands_for_itself_and_for_no_plain_value() -> None:
    key = key_of("exp", {}, {"a": 1})
    assert task_digest(key, "exp") != digest(key)
    assert task_digest(key, "exp") != key


@given(row, row, st.integers(0, 3), names, names)
def test_a_rename_gives_every_task_the_key_that_it_would_have_had(
    settings: dict[str, int], parameters: dict[str, int], repeat: int, old: str, new: str
) -> None:
    before, after = (key_of(name, settings, parameters, repeat) for name in (old, new))
    assert renamed_keys(before * 3, old, new) == after * 3
    assert task_digest(before, old) == task_digest(after, new)
