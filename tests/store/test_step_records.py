"""What is known of a step is kept in a file that anybody can read, and comes back as it was."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from memento.records import Encoded, StepRecord
from memento.store.step_records import names, read_record, record_path, records, write_record

KEY = bytes(range(16))


def record_of(key: bytes = KEY, data: bytes | None = b"1.5", steps: tuple[bytes, ...] = ()) -> StepRecord:
    ref = None if data is not None else "ab/" + "ab" * 16 + ".npy"
    value = Encoded("json", data, ref, 3, "builtins:float")
    return StepRecord(key, value, "prepare:load", "path='x', n=3", 1000.5, 2.25, "run-1", b"t" * 16, steps)


@settings(max_examples=50)
@given(
    st.one_of(st.none(), st.binary(max_size=50), st.text().map(str.encode)), st.lists(st.binary(max_size=20))
)
def test_a_record_comes_back_as_it_was(data: bytes | None, steps: list[bytes]) -> None:
    import tempfile

    record = record_of(data=data, steps=tuple(steps))
    with tempfile.TemporaryDirectory() as store:
        write_record(store, record)
        assert read_record(store, KEY) == record
        assert list(records(store)) == [record]


def test_a_record_can_be_read_by_anybody(tmp_path: Path) -> None:
    write_record(str(tmp_path), record_of())
    told = json.loads(Path(record_path(str(tmp_path), KEY)).read_text())
    assert (told["name"], told["arguments"], told["data"]) == ("prepare:load", "path='x', n=3", "1.5")


def test_what_is_no_record_is_none(tmp_path: Path) -> None:
    assert list(records(str(tmp_path))) == []
    assert read_record(str(tmp_path), KEY) is None
    write_record(str(tmp_path), record_of())
    path = Path(record_path(str(tmp_path), KEY))
    whole = path.read_bytes()
    for torn in (b"", b"[]", b"{}", whole[:-9], whole.replace(b'"1.5"', b"null")):
        path.write_bytes(torn)
        assert read_record(str(tmp_path), KEY) is None, torn
    path.with_name("notes.json").touch()
    assert names(str(tmp_path)) == [KEY.hex()]
