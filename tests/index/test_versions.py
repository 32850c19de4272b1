"""The store knows which version computed a result, which would now, and which ones people accepted."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from memento.index.versions import Versions, mixed
from memento.records import CodeVersion
from memento.store.store import Store
from memento.testing.index_rows import EXPERIMENT, info_of, row_of


def version(letter: str) -> CodeVersion:
    return CodeVersion(letter.encode() * 16, {f"exp:{letter}": (letter, f"def {letter}(): ...")})


A, B, C = version("a"), version("b"), version("c")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as store:
        store.begin(info_of())
        yield store


def see(store: Store, present: CodeVersion, *stale: int) -> int:
    """Note what a run sees whose tasks are all of one version, and whose rows are of others."""
    (number,) = store.versions(EXPERIMENT).note(
        [present.digest], [(code, 0) for code in stale], lambda _: present
    )
    return number


def versions(store: Store) -> Versions:
    return store.versions(EXPERIMENT)


def test_a_version_is_noted_once_and_what_is_known_writes_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = see(store, A)
    monkeypatch.setattr(store.index, "note_codes", None)
    assert see(store, A) == number


def test_a_change_is_pending_until_the_code_is_as_it_was(store: Store) -> None:
    a = see(store, A)
    b = see(store, B, a)
    assert versions(store).pending() == [(a, b)]
    see(store, A, b)
    assert versions(store).pending() == [(b, a)]


def test_what_was_adopted_counts_as_the_present_version_and_the_older_ones_as_well(store: Store) -> None:
    a = see(store, A)
    b = see(store, B, a)
    versions(store).adopt([(a, b)], "me", 3, 5)
    assert versions(store).counting_as(B.digest) == {a, b}
    assert versions(store).counting_as(A.digest) == {a}
    assert versions(store).pending() == []
    c = see(store, C, a, b)
    assert versions(store).pending() == [(a, c), (b, c)]
    versions(store).adopt([(b, c)], "me", 0, 5)
    assert versions(store).counting_as(C.digest) == {a, b, c}
    assert versions(store).last_adopted(a) == c
    assert versions(store).pending() == []


def test_versions_that_were_adopted_in_a_circle_count_as_each_other(store: Store) -> None:
    a = see(store, A)
    b = see(store, B, a)
    versions(store).adopt([(a, b), (b, a)], "me", 0, 1)
    assert versions(store).counting_as(A.digest) == versions(store).counting_as(B.digest) == {a, b}
    assert versions(store).last_adopted(a) == b


def test_an_adoption_is_kept_once_with_who_when_and_how_much_was_verified(store: Store) -> None:
    a = see(store, A)
    b = see(store, B, a)
    for _ in range(2):
        versions(store).adopt([(a, b)], "somebody@somewhere", 3, 5)
    (told,) = versions(store).adoptions()
    assert (told.code, told.present, told.who, told.verified, told.results) == (
        a, b, "somebody@somewhere", 3, 5,
    )  # fmt: skip
    assert told.adopted > 1e9


def test_what_one_experiment_adopts_no_other_does(store: Store) -> None:
    a = see(store, A)
    b = see(store, B, a)
    versions(store).adopt([(a, b)], "me", 0, 1)
    other = store.versions("another:experiment")
    other.note([B.digest], [(a, 0)], lambda _: B)
    assert store.versions("another:experiment").counting_as(B.digest) == {b}
    assert store.versions("another:experiment").pending() == [(a, b)]


def test_results_are_counted_by_version(store: Store) -> None:
    run = store.begin(info_of())
    a, b = see(store, A), see(store, B)
    run.commit([row_of(1, code=a), row_of(2, code=a), row_of(3, code=b), row_of(4, code=b, failed="no")])
    assert versions(store).results() == {a: 2, b: 1}


def test_a_version_knows_since_when_and_of_which_run_it_is(store: Store) -> None:
    run = store.begin(info_of())
    number, cached = run.code(A), see(store, B)
    seen = versions(store).seen([number, cached])
    assert seen[number][1] == run.id
    assert seen[cached][1] is None
    assert min(when for when, _ in seen.values()) > 1e9


def test_a_combination_is_read_with_the_functions_of_its_parts(store: Store) -> None:
    both = CodeVersion(b"u" * 16, {}, parts=(A, B._replace(unfollowed=("exp:b: getattr",))))
    number = see(store, both)
    found = store.index.codes([number])[number]
    assert found.functions == A.functions | B.functions
    assert found.unfollowed == ("exp:b: getattr",)
    assert see(store, A) < number  # a version of its own, kept once


def test_a_result_of_two_versions_is_of_neither_and_names_the_older_code(store: Store) -> None:
    run = store.begin(info_of())
    older = CodeVersion(A.digest, {"exp:f": ("1", "old")})
    present = CodeVersion(B.digest, {"exp:f": ("2", "new")})
    a, b = run.code(older), run.code(present)
    number = run.mixed_code(b, [A.digest])
    assert number not in (a, b)
    assert run.mixed_code(b, [A.digest]) == number
    assert store.index.codes([number])[number].functions == older.functions
    assert store.index.codes([number])[number].mixed


def test_the_order_of_a_mixture_makes_no_difference() -> None:
    assert mixed([A.digest, B.digest]).digest == mixed([B.digest, A.digest, B.digest]).digest


def test_two_runs_that_see_a_version_at_once_agree_on_its_id(store: Store, tmp_path: Path) -> None:
    found: list[int] = []

    def run() -> None:
        with Store.open(tmp_path / "store") as mine:
            found.append(see(mine, A))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
