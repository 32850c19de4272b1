from __future__ import annotations

import re
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memento.wording import duration, named, one_line, safe_text, seconds_of


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.0 s"),
        (0, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (60, "1 min"),
        (3599.6, "1 h"),
        (3661, "1 h 1 min"),
        (86_399.9, "1 d"),
        (90_000, "1 d 1 h"),
    ],
)
def test_a_time_is_said_in_two_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@given(st.text())
def test_safe_text_holds_nothing_that_steers_a_terminal(text: str) -> None:
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", safe_text(text))
    safe_text(text).encode()


@given(st.text(alphabet=st.sampled_from("ab \x1b[]0;m\x07\\\n"), max_size=40))
def test_escape_sequences_are_taken_out_whole_or_made_harmless(text: str) -> None:
    assert "\x1b" not in safe_text(text)


@given(st.text(), st.integers(min_value=1, max_value=50))
def test_one_line_is_one_line_and_short(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert len(line) <= limit
    assert len(line.splitlines()) <= 1


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90), ("10min", 600), ("10 minutes", 600), ("5m", 300), ("1h30m", 5400), ("1 h 30 min", 5400),
        ("1 day, 2 hours", 93_600), ("0.5h", 1800), (" 600 ", 600), ("250ms", 0.25), ("2w", 1_209_600), (7, 7),
        (timedelta(minutes=2), 120), (np.float32(0.5), 0.5), (np.int64(3), 3),
    ],
)  # fmt: skip
def test_times_are_read_as_people_write_them(text: object, seconds: float) -> None:
    assert seconds_of(text, "timeout", short=True) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "min",
        "10 parsecs",
        "1m30h",
        "1h2h",
        "h1",
        "-5s",
        "1e3",
        "1h 30",
        True,
        None,
        [1],
        -1,
        float("nan"),
        "inf",
    ],
)
def test_what_is_no_time_is_said_to_be_none(text: object) -> None:
    with pytest.raises(
        ValueError, match="timeout must be seconds or a text like '90s', '10min' or '1h30m', got"
    ):
        seconds_of(text, "timeout", short=True)


@pytest.mark.parametrize("age", ["6m", "3M"])
def test_an_age_that_may_be_meant_in_months_or_days_is_refused(age: str) -> None:
    with pytest.raises(ValueError, match="older_than must be seconds or a text like '30d'"):
        seconds_of(age, "older_than")


@pytest.mark.parametrize("age", ["30", " 1.5 "])
def test_an_age_without_a_unit_is_told_to_have_one(age: str) -> None:
    with pytest.raises(ValueError, match=r"older_than lacks a unit, got '.*': write 90s, 10min, 2h or 3d"):
        seconds_of(age, "older_than")


@given(st.lists(st.sampled_from(["w", "d", "h", "min", "s"]), unique=True, min_size=1), st.data())
def test_a_time_is_the_sum_of_its_parts(units: list[str], data: st.DataObject) -> None:
    sizes = {"w": 604_800, "d": 86_400, "h": 3600, "min": 60, "s": 1}
    units = [unit for unit in sizes if unit in units]
    amounts = [data.draw(st.integers(0, 99)) for _ in units]
    text = " ".join(f"{amount}{unit}" for amount, unit in zip(amounts, units, strict=True))
    assert seconds_of(text, "x") == sum(a * sizes[u] for a, u in zip(amounts, units, strict=True))


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("lab/train.py:fit", ["lab/train.py:fit"]),
        ("train.py:fit", ["lab/train.py:fit", "old/train.py:fit"]),
        ("train.py", ["lab/train.py:fit", "old/train.py:fit"]),
        ("lab/train.py", ["lab/train.py:fit"]),
        ("fit", ["lab/train.py:fit", "old/train.py:fit", "retrain.py:Model.fit"]),
        ("Model.fit", ["retrain.py:Model.fit"]),
        ("make#01234567", ["make.py:make#0123456789abcdef0123456789abcdef"]),
        ("make.py", ["make.py:make#0123456789abcdef0123456789abcdef"]),
        ("ain.py", []),
        ("", []),
    ],
)
def test_an_experiment_is_known_by_the_end_of_its_name_or_of_its_files(asked: str, meant: list[str]) -> None:
    names = ["lab/train.py:fit", "old/train.py:fit", "retrain.py:Model.fit"]
    assert named(asked, [*names, "make.py:make#0123456789abcdef0123456789abcdef"]) == meant
