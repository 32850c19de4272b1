"""What names a place: a folder's path, or an address in which no secret stands."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from memento.errors import MissingExtra, StoreError
from memento.layout import PAYLOADS
from memento.store.far import recorded
from memento.store.location import find_store
from memento.values.choose_place import checked_address, far_place, is_address, place_of
from memento.values.places import LocalFolder
from memento.values.store_answers import is_passing, no_bucket, reason, right_line


@pytest.mark.parametrize("address", ["s3://bucket", "s3://bucket/a/b c", "gs://b-1.x/ü", "az://container/x"])
def test_an_address_is_a_scheme_a_bucket_and_a_prefix(address: str) -> None:
    assert is_address(address)
    assert checked_address(address) == checked_address(f"{address}/") == address


@pytest.mark.parametrize(
    ("address", "right"),
    [
        ("s3a://bucket/x", "s3://bucket/x"),
        ("gcs://bucket/x", "gs://bucket/x"),
        ("file:///shared/x", "'/shared/x'"),
        ("https://minio.lab:9000/bucket", "AWS_ENDPOINT_URL"),
        ("s3://", "s3://BUCKET/PREFIX"),
        ("s3:///prefix", "s3://BUCKET/PREFIX"),
        ("s3://bucket/../other", "s3://BUCKET/PREFIX"),
        ("s3://bucket/a//b", "s3://BUCKET/PREFIX"),
        ("s3://bucket:9000/a", "s3://BUCKET/PREFIX"),
    ],
)
def test_what_is_none_is_told_with_the_line_that_would_be_right(address: str, right: str) -> None:
    with pytest.raises(ValueError, match="payloads=") as found:
        checked_address(address)
    assert right in str(found.value)


@pytest.mark.parametrize(
    "address",
    [
        "s3://KEY:SECRET@bucket/x",
        "s3://bucket/x?aws_secret_access_key=SECRET",
        "az://container/x?sig=SECRET",
        "https://KEY:SECRET@minio.lab/bucket",
        "s3://bucket/x#SECRET",
    ],
)
def test_credentials_in_an_address_are_refused_and_not_shown(address: str) -> None:
    with pytest.raises(ValueError, match="payloads=") as found:
        checked_address(address)
    assert "SECRET" not in str(found.value)


def test_a_room_without_an_address_is_a_folder(tmp_path: Path) -> None:
    place = place_of(str(tmp_path), PAYLOADS)
    assert isinstance(place, LocalFolder)
    assert place.root == str(tmp_path / PAYLOADS)


def test_the_package_is_asked_for_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(MissingExtra, match=r"pip install 'memento-ml\[object-store\]'"):
        far_place("s3://bucket/x")


def test_a_store_of_any_kind_may_have_its_values_elsewhere(tmp_path: Path) -> None:
    for named in (str(tmp_path), "postgresql://db.lab/grid"):
        for given, env in (("s3://b1/x", {}), (None, {"MEMENTO_PAYLOADS": "s3://b1/x"})):
            assert find_store(named, env, payloads=given).payloads == "s3://b1/x"
    assert (
        find_store(str(tmp_path), {"MEMENTO_PAYLOADS": "s3://b1/x"}, payloads="gs://b2/y").payloads
        == "gs://b2/y"
    )


@pytest.mark.parametrize(
    "told",
    [
        '{"address": "s3://b1/x?key=1", "number": "1"}',
        '{"address": "https://evil/x", "number": "1"}',
        "{",
        "[]",
    ],
)
def test_a_strangers_folder_leads_to_no_server_of_his(tmp_path: Path, told: str) -> None:
    (tmp_path / "payloads.address").write_text(told)
    with pytest.raises(StoreError, match=r"payloads\.address"):
        recorded(str(tmp_path))


class TestAnswers:
    SAID = "Error performing PUT http://h:1/b/x?X-Sig=SECRET in 3ms - Server returned non-2xx status code: "

    @pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504])
    def test_what_passes_is_tried_again(self, status: int) -> None:
        assert is_passing(Exception(f"{self.SAID}{status} X"))

    @pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 412, 416])
    def test_what_stays_is_not(self, status: int) -> None:
        assert not is_passing(Exception(f"{self.SAID}{status} X"))

    def test_no_part_of_a_request_is_shown_but_the_server(self) -> None:
        error = Exception(
            f"{self.SAID}403 Forbidden: <Code>AccessDenied</Code><Message>Access Denied.</Message>"
        )
        assert reason(error) == "http://h:1 answers 403 AccessDenied: Access Denied"
        assert "get, put and delete" in right_line(error, "s3://bucket/x")

    def test_a_wrong_region_is_told_with_the_right_one(self) -> None:
        body = (
            "<Code>AuthorizationHeaderMalformed</Code><Message>region wrong; expecting 'eu-west-1'</Message>"
        )
        assert "AWS_REGION=eu-west-1" in right_line(Exception(f"{self.SAID}400 Bad: {body}"), "s3://bucket")

    def test_missing_credentials_are_told_at_once(self) -> None:
        error = Exception(
            "Generic S3 error: Error performing PUT http://169.254.169.254/latest/api/token - HTTP error"
        )
        assert not is_passing(error)
        assert "AWS_ACCESS_KEY_ID" in right_line(error, "s3://bucket/x")
        assert "GOOGLE_APPLICATION_CREDENTIALS" in right_line(error, "gs://bucket/x")

    @pytest.mark.parametrize(
        ("code", "kind"),
        [("NoSuchBucket", "s3"), ("ContainerNotFound", "az"), ("The specified bucket does not exist", "gs")],
    )
    def test_a_bucket_that_is_missing_is_none_of_its_objects(self, code: str, kind: str) -> None:
        error = Exception(f"{self.SAID}404 Not Found: <Code>{code}</Code>")
        assert no_bucket(error)
        assert "b1" in right_line(error, f"{kind}://b1/x")
        assert not no_bucket(Exception(f"{self.SAID}404 Not Found: <Code>NoSuchKey</Code>"))
