"""An object store keeps what places promise, waits for a server that is away, and tells what cannot be."""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
import time

import pytest

from memento.errors import StoreError, StoreUnwritable
from memento.testing.place_contract import PlaceContract, read
from memento.values.choose_place import far_place
from memento.values.far_files import Nearby
from memento.values.object_store import Stamp
from memento.values.payloads import PayloadDir
from memento.values.places import LocalFolder, Place
from tests.engines.object_store import ObjectServer, bucket, object_server  # noqa: F401  # fixtures

pytestmark = pytest.mark.engine


@pytest.fixture
def place(bucket: str) -> Place:  # noqa: F811
    return far_place(bucket, "it's a room")


class TestS3(PlaceContract):
    @pytest.fixture
    def place(self, place: Place) -> Place:
        return place

    def reopen(self, place: Place) -> Place:
        return far_place(place.where("x")[: -len("/x")])


class TestNearby(PlaceContract):
    @pytest.fixture
    def place(self, place: Place, tmp_path: object) -> Place:
        return Nearby(place, LocalFolder(f"{tmp_path}/copies"))

    def reopen(self, place: Place) -> Place:
        """Another process of this machine."""
        assert isinstance(place, Nearby)
        return Nearby(TestS3().reopen(place.far), LocalFolder(place.folder.root))


def test_what_is_large_goes_in_parts_and_comes_in_one_request(
    place: Place,
    object_server: ObjectServer,  # noqa: F811
) -> None:
    content = os.urandom(1 << 20) * 20
    before = len(object_server.requests())
    place.write("x", [content[:5], memoryview(content)[5:]])
    put = object_server.requests()[before:]
    assert read(place, "x") == content
    with place.open("x") as found:
        assert found.between(19 << 20, (19 << 20) + 10) == content[19 << 20 : (19 << 20) + 10]
    got = object_server.requests()[before + len(put) :]
    assert sum(one.startswith("PUT") for one in put) == 3
    assert len(got) == 3  # all of it; and once opened, a part


def test_a_value_is_one_request_to_write_and_one_to_read(bucket: str, object_server: ObjectServer) -> None:  # noqa: F811
    payloads = PayloadDir(far_place(bucket, "payloads"))
    before = len(object_server.requests())
    ref = payloads.write([b"x" * 3_000_000], ".bin")
    assert bytes(payloads.read(ref)) == b"x" * 3_000_000
    assert len(object_server.requests()) == before + 2


def test_a_server_that_comes_back_was_waited_for_and_that_is_said_once(
    bucket: str,  # noqa: F811
    object_server: ObjectServer,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    waited: list[float] = []
    place = far_place(bucket, "payloads", for_tasks=True, waited=waited.append)
    place.write("x", [b"old"])

    def come_back() -> None:
        end = time.monotonic() + 300
        while not (caplog.records and sum(waited) > 2) and time.monotonic() < end:
            time.sleep(0.02)
        object_server.door.open()

    object_server.door.shut()
    threading.Thread(target=come_back, daemon=True).start()
    with caplog.at_level(logging.WARNING, "memento.store"):
        place.write("x", [b"new"])
    assert read(place, "x") == b"new"
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert "cannot be reached; waiting for it, up to 5 min" in told[0]
    assert "answers again" in told[1]


@pytest.mark.parametrize("way", ["refuses", "is silent"])
def test_people_are_told_soon_that_a_server_is_gone(
    bucket: str,  # noqa: F811
    object_server: ObjectServer,  # noqa: F811
    way: str,
) -> None:
    place = far_place(bucket, "payloads")
    place.write("x", [b"content"])
    object_server.door.shut() if way == "refuses" else object_server.stall()
    begun = time.monotonic()
    with pytest.raises(OSError, match="cannot be reached" if way == "refuses" else "does not answer"):
        place.exists("x")
    assert time.monotonic() - begun < 100  # on any machine; it would be waited for five minutes


def test_a_bucket_that_is_not_there_is_no_value_that_is_gone(bucket: str) -> None:  # noqa: F811
    place = far_place("s3://no-such-bucket/x")
    with pytest.raises(StoreError, match="aws s3 mb s3://no-such-bucket"):
        read(place, "x")
    with pytest.raises(StoreError, match="NoSuchBucket"):
        place.write("x", [b"x"])


def test_no_answer_shows_a_key(bucket: str, object_server: ObjectServer) -> None:  # noqa: F811
    object_server.door.shut()
    with pytest.raises(StoreUnwritable) as found:
        far_place(bucket).write("x", [b"x"])
    assert "never-shown" not in f"{found.value!r} {found.value}"
    assert "Signature" not in str(found.value)


def test_of_many_that_claim_a_name_one_gets_it(bucket: str) -> None:  # noqa: F811
    for round_ in range(10):
        stamps: list[Stamp | None] = []
        name = f"claim-{round_}"
        threads = [
            threading.Thread(target=lambda n=n: stamps.append(far_place(bucket).claim(name, b"%d" % n)))  # noqa: B023
            for n in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        winner = [stamp for stamp in stamps if stamp is not None]
        assert len(winner) == 1
        place = far_place(bucket)
        _, stamp = place.stamped(name)
        assert stamp == winner[0]
        assert place.claim(name, b"mine", instead_of=stamp) is not None
        assert place.claim(name, b"late", instead_of=stamp) is None
        assert place.stamped(name)[0] == b"mine"


def _in_child(address: str, answer: multiprocessing.SimpleQueue[str]) -> None:
    try:
        far_place(address).exists("x")
    except StoreError as error:
        answer.put(str(error))


def test_a_forked_process_is_told_where_it_would_wait_for_ever(bucket: str) -> None:  # noqa: F811
    assert not far_place(bucket).exists("x")
    context = multiprocessing.get_context("fork")
    answer = context.SimpleQueue()
    child = context.Process(target=_in_child, args=(bucket, answer))
    child.start()
    child.join(300)
    assert child.exitcode == 0
    assert 'get_context("spawn")' in answer.get()
