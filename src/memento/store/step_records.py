"""Read and write what is known of shared steps: one file a step, ``steps/keys/<key>.json``.

Knows: the form of these files. May not know: what a step is to its tasks, who computes or frees it.

A file is JSON, so that anybody can read it and nothing is unpickled: the fields of `Encoded`, small values as text or
base64 among them, and who made it when, of which arguments.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from memento.layout import STEP_KEYS, Layout, is_key
from memento.records import Encoded, StepRecord
from memento.values.payloads import checksum
from memento.values.places import LocalFolder, Place, open_file

ENDING = ".json"
_SUM = ', "sum": '  # before the checksum of all that stands before it


def record_path(store: str, key: bytes) -> str:
    """Return where the record of a step stands."""
    return os.path.join(Layout(store).step_keys, key.hex() + ENDING)


def record_name(key: bytes) -> str:
    """Return the name of a step's record in the place of steps."""
    return f"{STEP_KEYS}/{key.hex()}{ENDING}"


def write_record(store: str, record: StepRecord, place: Place | None = None) -> None:
    """Write a step's record, after its value; durable on return. `place` is that of steps, by default the folder."""
    told = {**record._asdict(), **record.value._asdict()}
    del told["value"], told["key"]
    data = record.value.data
    if data is not None:
        del told["data"]
        told |= {"data": data.decode()} if data.isascii() else {"base64": base64.b64encode(data).decode()}
    told["task"], told["steps"] = record.task.hex(), [key.hex() for key in record.steps]
    body = json.dumps(told)
    content = f'{body[:-1]}{_SUM}"{checksum([body.encode()]).hex()}"}}'.encode()
    (place or LocalFolder(Layout(store).steps)).write(record_name(record.key), [content])


def step_text(record: StepRecord) -> str:
    """Name a step for people: "load(path='x')"."""
    return f"{record.name.rpartition(':')[2]}({record.arguments})"


def read_record(store: str, key: bytes) -> StepRecord | None:
    """Return the record of a step; None where there is none, or it is damaged."""
    try:
        with open_file(record_path(store, key)) as file:
            return parsed(key, file.read())
    except OSError:
        return None


def bring_record(key: bytes, place: Place) -> None:
    """Copy a step's record from far, where this machine has none yet."""
    with suppress(FileNotFoundError), place.open(record_name(key)):
        pass


def records(store: str) -> Iterator[StepRecord]:
    """Yield the record of each step that a store has, in the order of their keys."""
    for name in sorted(names(store)):
        record = read_record(store, bytes.fromhex(name))
        if record is not None:
            yield record


def names(store: str) -> list[str]:
    """Return the keys of all steps that have a record, in hexadecimal."""
    try:
        found = os.listdir(Layout(store).step_keys)
    except OSError:
        return []
    stems = [name.removesuffix(ENDING) for name in found if name.endswith(ENDING)]
    return [stem for stem in stems if is_key(stem)]


def parsed(key: bytes, content: bytes) -> StepRecord | None:
    """Return the record that a file holds; None where it is damaged."""
    try:
        head, _, told_sum = content.decode().rpartition(_SUM)
        if told_sum != f'"{checksum([head.encode(), b"}"]).hex()}"}}':
            return None
        told = json.loads(content)
        data, ref = _data(told), told["ref"]
        if (data is None) == (ref is None) or not isinstance(told["format"], str):
            return None
        value = Encoded(told["format"], data, ref, int(told["size"]), str(told["type"]))
        steps = tuple(bytes.fromhex(step) for step in told["steps"])
        task, made, runtime = bytes.fromhex(told["task"]), float(told["made"]), float(told["runtime"])
        name, arguments, run = (str(told[name]) for name in ("name", "arguments", "run"))
        return StepRecord(key, value, name, arguments, made, runtime, run, task, steps)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _data(told: dict[str, Any]) -> bytes | None:
    if "base64" in told:
        return base64.b64decode(told["base64"], validate=True)
    data = told.get("data")
    return None if data is None else data.encode()
