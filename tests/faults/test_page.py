"""The page of promises names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_test_that_the_page_names_exists() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page)
    assert len(named) > 40
    for path, test in named:
        assert f"def {test}(" in (ROOT / path).read_text(encoding="utf-8"), f"{path} has no {test}"


def test_every_test_of_this_folder_that_is_a_promise_stands_on_the_page() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    machinery = {  # these test the means, not the promise
        "test_points_cost_nothing_when_they_are_off",
        "test_a_point_that_is_not_there_is_refused",
        "test_the_disk_of_these_tests_does_forget",
        "test_a_name_with_a_zero_byte_is_no_place_for_a_store",
        "test_a_machine_that_was_booted_long_ago_counts_as_any_other",
    }
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        if path.name == Path(__file__).name:
            continue
        for test in re.findall(r"^def (test_\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE):
            assert test in machinery or f"::{test}`" in page, f"{path.name}: {test}"
