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
from memento.wording import duration, named, one_line, safe_text, seconds_of
