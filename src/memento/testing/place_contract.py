"""What every place must do, as tests that a place's author runs.

Knows: the public face of a place. May not know: how a place keeps anything.

Subclass `PlaceContract` in a test module and override the fixture `place`, and `reopen`, which stands for another
process.
"""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import pytest

from memento import faultpoints
from memento.errors import PayloadDamaged
from memento.values.checkpoints import CheckpointDir
from memento.values.encoding import decode, encode
from memento.values.payloads import PayloadDir
from memento.values.places import Place

HOSTILE = ["", "/", "/etc/passwd", "..", "../x", "a/../../x", "a//b", "a/./b", "a\\b", "a\0b", "C:/x"]


class _Crash(BaseException):
    """The process ends here."""


class PlaceContract:
    """The tests."""

    @pytest.fixture
    def place(self) -> Place:
        """Return an empty place."""
        raise NotImplementedError("override `place`")

    def reopen(self, place: Place) -> Place:
        """Return the same place as another process finds it."""
        raise NotImplementedError("override `reopen`")

    def test_what_is_written_is_read_by_anybody(self, place: Place) -> None:
        content = bytes(range(256)) * 20_000
        place.write("ab/it's.bin", [content[:7], content[7:100_000], b"", content[100_000:]])
        for who in (place, self.reopen(place)):
            assert read(who, "ab/it's.bin") == content
            with who.open("ab/it's.bin") as found:
                assert bytes(found.map()) == content
            assert who.exists("ab/it's.bin")

    def test_pieces_have_the_lengths_that_are_asked_for_and_every_part_is_seen(self, place: Place) -> None:
        place.write("x", [b"0123456789"])
        seen: list[bytes] = []
        with place.open("x") as content:
            pieces = content.read([3, 0, 7], lambda part: seen.append(bytes(part)))
            assert content.between(8, 20) == b"89"
        assert [bytes(piece) for piece in pieces] == [b"012", b"", b"3456789"]
        assert b"".join(seen) == b"0123456789"
        pieces[0][0] = 65  # memory of its own
        assert read(place, "x") == b"0123456789"

    def test_an_empty_content_is_one(self, place: Place) -> None:
        place.write("empty", [])
        assert place.exists("empty")
        with place.open("empty") as content:
            assert read(place, "empty") == bytes(content.map()) == b""

    def test_what_is_not_there_is_told(self, place: Place) -> None:
        assert not place.exists("a/b")
        assert list(place.names()) == []
        assert place.quarantine("a/b") is None
        place.remove("a/b")
        place.clear("a")
        for use in (lambda: read(place, "a/b"), lambda: place.rename("a/b", "c")):
            with pytest.raises(FileNotFoundError):
                use()

    @pytest.mark.parametrize("way", ["write", "overwrite"])
    def test_writing_again_replaces_all_of_it(self, place: Place, way: str) -> None:
        getattr(place, way)("x", [b"long and old"])
        getattr(place, way)("x", [b"new"])
        assert read(self.reopen(place), "x") == b"new"

    def test_a_reader_never_sees_half(self, place: Place) -> None:
        contents = [bytes([n]) * 100_000 for n in range(20)]
        place.write("x", [contents[0]])
        wrong: list[bytes] = []
        done = threading.Event()

        def look() -> None:
            while not done.is_set():
                found = read(place, "x")
                if found not in contents:
                    wrong.append(found[:10])

        reader = threading.Thread(target=look)
        reader.start()
        for content in contents:
            place.write("x", [content[:50_000], content[50_000:]])
        done.set()
        reader.join()
        assert wrong == []

    def test_what_is_open_stays_as_it_was(self, place: Place) -> None:
        place.write("x", [b"old"])
        with place.open("x") as content:
            place.write("x", [b"new!"])
            assert bytes(content.read()[0]) == b"old"

    def test_what_is_mapped_is_its_owners_alone_and_stays_when_the_content_goes(self, place: Place) -> None:
        written = b"some bytes" * 1_000
        place.write("x", [written])
        with place.open("x") as content:
            first, second = content.map(), content.map()
        first[:4] = b"mine"
        assert bytes(second) == read(place, "x") == written
        place.write("x", [b"other"])
        place.remove("x")
        assert bytes(first) == b"mine" + written[4:]
        assert bytes(second) == written

    def test_a_content_with_an_identity_shares_it_with_no_other_of_its_name(self, place: Place) -> None:
        def identity(who: Place) -> Any:
            with who.open("x") as content:
                return content.identity

        place.write("x", [b"one"])
        before = identity(place)
        assert before is None or before == identity(place) == identity(self.reopen(place))
        place.write("x", [b"two"])
        assert before is None or before != identity(place)

    def test_a_crash_leaves_the_old_or_the_new_and_nothing_else(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place.write("x", [b"old"])

        def crash(point: str) -> None:
            raise _Crash(point)

        with monkeypatch.context() as patched:
            patched.setattr(faultpoints, "at", crash)
            with contextlib.suppress(_Crash):
                place.write("x", [b"new"])
        assert read(self.reopen(place), "x") in (b"old", b"new")
        assert list(self.reopen(place).names()) == ["x"]

    def test_names_are_told_in_order_and_below_a_folder(self, place: Place) -> None:
        for name in ("b/2", "a", "b/1", "b/c/3", "bb/4"):
            place.write(name, [b"-"])
        assert list(place.names()) == ["a", "b/1", "b/2", "b/c/3", "bb/4"]
        assert list(place.names("b")) == ["b/1", "b/2", "b/c/3"]
        place.remove("b/1")
        assert list(place.names("b")) == ["b/2", "b/c/3"]
        place.clear("b")
        assert list(place.names()) == ["a", "bb/4"]

    @pytest.mark.parametrize("name", HOSTILE)
    def test_a_name_never_leads_elsewhere(self, place: Place, name: str) -> None:
        uses: list[Any] = [
            lambda: place.write(name, [b"x"]),
            lambda: place.overwrite(name, [b"x"]),
            lambda: read(place, name),
            lambda: place.exists(name),
            lambda: place.remove(name),
            lambda: place.quarantine(name),
        ]
        for use in uses:
            with pytest.raises(ValueError, match="is no name"):
                use()

    @pytest.mark.parametrize("name", ['it\'s "x".bin', "new\nline", "\x1b[31m", "naïve 🦉", "-rf", "%2e%2e"])
    def test_a_strange_name_is_a_name(self, place: Place, name: str) -> None:
        place.write(name, [b"x"])
        assert list(place.names()) == [name]
        assert read(place, name) == b"x"

    def test_what_is_damaged_is_told_set_aside_and_written_anew(self, place: Place) -> None:
        payloads = PayloadDir(place)
        encoded = encode("text " * 10_000, payloads)
        assert encoded.ref is not None
        damaged = bytearray(read(place, encoded.ref))
        damaged[1000] ^= 1
        place.remove(encoded.ref)
        place.write(encoded.ref, [damaged])
        with pytest.raises(PayloadDamaged):
            decode(encoded, payloads)
        payloads.set_aside(encoded.ref, "a bit has flipped")
        assert not place.exists(encoded.ref)
        assert list(payloads.refs()) == []
        assert encode("text " * 10_000, payloads) == encoded
        assert decode(encoded, PayloadDir(self.reopen(place))) == "text " * 10_000

    def test_checkpoints_go_on_from_the_one_that_is_whole(self, place: Place) -> None:
        def opened() -> CheckpointDir:
            there = self.reopen(place)
            return CheckpointDir(there, "00ff", payloads=PayloadDir(there))

        checkpoints = CheckpointDir(place, "00ff", payloads=PayloadDir(place))
        checkpoints.save((1, b"x" * 50_000))
        checkpoints.save((2, b"y" * 50_000))
        assert opened().load() == ((2, b"y" * 50_000), {})
        name = "00ff/b.checkpoint"
        place.overwrite(name, [read(place, name)[:30_000]])
        assert opened().load() == ((1, b"x" * 50_000), {})
        opened().drop()
        assert not opened().exists()


def read(place: Place, name: str) -> bytes:
    """Return a content."""
    with place.open(name) as content:
        return bytes(content.read()[0])
