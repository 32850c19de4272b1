"""Memory that files are written from and read into."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from memento import pages
from memento.values.memory import PIECE, flat, joined, new_memory


@given(
    st.lists(st.sampled_from([0, 1, 63, 5_000, PIECE // 16 - 1, PIECE // 16, PIECE, PIECE + 1]), max_size=40)
)
def test_joined_views_have_every_byte_in_order(sizes: list[int]) -> None:
    views = [flat(bytes([i % 251]) * size) for i, size in enumerate(sizes)]
    assert b"".join(bytes(v) for v in joined(views)) == b"".join(bytes(v) for v in views)


def test_small_neighbours_cost_few_calls_and_large_ones_are_not_copied() -> None:
    large = flat(bytearray(PIECE))
    views = [flat(bytes(100))] * 5_000 + [large] + [flat(bytes(100))] * 5_000
    given_out = list(map(id, joined(views)))
    assert len(given_out) == 3
    assert given_out[1] == id(large)


def test_memory_of_any_size_can_be_written_to() -> None:
    for size in (0, 1, 65_535, 65_536, 1 << 20, 3_000_001, (32 << 20) - 1, 32 << 20):
        view = new_memory(size)
        assert (view.nbytes, view.readonly) == (size, False)
        if size:
            view[-1] = 7
            assert view[-1] == 7


def test_memory_that_is_not_filled_is_an_ordinary_bytearray() -> None:
    room = pages.unfilled(1_000_000)
    room[:] = bytes(1_000_000)
    assert type(room) is bytearray
    assert room == bytes(1_000_000)
