"""Azure and Google Cloud keep what S3 does, asked by the client that asks them in earnest."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from memento.context.step_leases import StepLease
from memento.context.task_space import TaskSpace
from memento.errors import StoreError
from memento.layout import STEP_LEASES
from memento.testing.place_contract import PlaceContract, read
from memento.values.choose_place import far_place
from memento.values.object_store import ObjectStore
from memento.values.places import Place
from tests.engines.other_object_stores import azure, google

pytestmark = pytest.mark.engine
KINDS = {"az": azure, "gs": google}


@pytest.fixture(scope="module", params=KINDS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, dict[str, str]]]:
    """A server of each kind: the scheme of its addresses, and what leads a program there."""
    if find_spec("obstore") is None:
        pytest.skip("no object store can be tested here: pip install 'memento-ml[object-store]'")
    with KINDS[request.param](tmp_path_factory.mktemp(request.param)) as environment:
        yield request.param, environment


@pytest.fixture
def address(server: tuple[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty prefix."""
    scheme, environment = server
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return f"{scheme}://grid/{os.urandom(4).hex()}"


@pytest.fixture
def place(address: str) -> Place:
    return far_place(address, "it's a room")


class TestAzureAndGoogle(PlaceContract):
    @pytest.fixture
    def place(self, place: Place) -> Place:
        return place

    def reopen(self, place: Place) -> Place:
        return far_place(place.where("x")[: -len("/x")])


def test_what_is_large_goes_in_parts(place: Place) -> None:
    content = os.urandom(1 << 20) * 20
    place.write("x", [content[:5], memoryview(content)[5:]])
    assert read(place, "x") == content


def test_who_claimed_a_name_may_write_it_anew_and_nobody_else(address: str) -> None:
    place = far_place(address)
    assert isinstance(place, ObjectStore)
    first = place.claim("lease", b"mine 1")
    assert first is not None
    assert place.claim("lease", b"theirs") is None
    second = place.claim("lease", b"mine 2", first)
    assert second is not None
    assert place.claim("lease", b"late", first) is None
    assert place.stamped("lease") == (b"mine 2", second)


def test_who_computes_a_shared_step_keeps_its_lease_there(address: str, tmp_path: Path) -> None:
    place = far_place(address)
    assert isinstance(place, ObjectStore)
    with StepLease(place, "aa", lapse=60.0, renewed=0.01).held(
        TaskSpace(str(tmp_path), "run", b"k" * 16), lambda: False
    ):
        stamps = {place.stamped(f"{STEP_LEASES}/aa")[1]}
        end = time.monotonic() + 300
        while len(stamps) < 4:
            assert time.monotonic() < end, "the lease is not renewed"
            stamps.add(place.stamped(f"{STEP_LEASES}/aa")[1])
    assert not place.exists(f"{STEP_LEASES}/aa")


def test_a_bucket_that_is_not_there_says_how_to_make_it(
    server: tuple[str, dict[str, str]], address: str
) -> None:
    scheme, _ = server
    if scheme == "gs":
        pytest.skip("the server of these tests has one bucket: only Azurite answers as the real one does")
    with pytest.raises(StoreError, match="az storage container create -n nowhere"):
        read(far_place("az://nowhere/x"), "x")
