"""A path into a store follows the store; any other path stays what it is."""

from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import pytest

import memento
from memento import Memento
from memento.values.checkpoints import CheckpointDir
from memento.values.encoding import decode, encode
from memento.values.payloads import PayloadDir


class Pair(NamedTuple):
    first: object
    second: object


SHAPES: dict[str, Any] = {
    "bare": lambda path: path,
    "pure": PurePath,
    "list": lambda path: [path, path.parent],
    "dict": lambda path: {"acc": 0.5, path: path},
    "class": lambda path: Pair(path, [PurePath(path)]),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("inline", [16_384, -1])
def test_a_path_into_the_store_follows_it(shape: str, inline: int, tmp_path: Path) -> None:
    old, new = tmp_path / "a store", tmp_path / "moved" / "store"
    (old / "payloads").mkdir(parents=True)
    make = SHAPES[shape]
    encoded = encode(make(old / "artifacts" / "00ff" / "m.bin"), PayloadDir(old / "payloads"), inline)
    assert decode(encoded, PayloadDir(old / "payloads")) == make(old / "artifacts" / "00ff" / "m.bin")
    shutil.copytree(old, new)
    back = decode(encoded, PayloadDir(new / "payloads"))
    assert back == make(new / "artifacts" / "00ff" / "m.bin")
    assert type(back) is type(make(new / "artifacts"))


@pytest.mark.parametrize(
    "path", ["/etc/x", "a/relative", "{store}-other/x", "{store}/../x", "{store}/artifacts/../../x", "."]
)
def test_any_other_path_stays(path: str, tmp_path: Path) -> None:
    store = tmp_path / "store"
    given = Path(path.format(store=store))
    encoded = encode(given, PayloadDir(store / "payloads"))
    assert decode(encoded, PayloadDir(tmp_path / "elsewhere" / "payloads")) == given


def test_the_store_itself_follows(tmp_path: Path) -> None:
    encoded = encode(tmp_path / "store", PayloadDir(tmp_path / "store" / "payloads"))
    assert decode(encoded, PayloadDir(tmp_path / "b" / "payloads")) == tmp_path / "b"


def test_a_store_behind_a_link_is_one(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to(real)
    given = [link / "artifacts" / "m", real / "artifacts" / "m"]
    encoded = encode(given, PayloadDir(link / "payloads"))
    assert decode(encoded, PayloadDir(tmp_path / "new" / "payloads")) == [tmp_path / "new/artifacts/m"] * 2


def test_elsewhere_it_is_relative(tmp_path: Path) -> None:
    encoded = encode(tmp_path / "store" / "artifacts" / "m", PayloadDir(tmp_path / "store" / "payloads"))
    assert encoded.data is not None
    assert pickle.loads(encoded.data) == Path("artifacts", "m")


def test_a_checkpoint_follows_too(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    CheckpointDir(old / "checkpoints", "00ff").save((old / "artifacts" / "m",))
    old.rename(new)
    assert CheckpointDir(new / "checkpoints", "00ff").load()[0] == (new / "artifacts" / "m",)


def write(context: Any, config: Any) -> Any:
    path = context.artifact("models/model.txt")
    path.write_text(f"model {config.n}")
    return {"acc": 0.5, "model": path, "filler": "x" * (100_000 if config.large else 1)}


def staged(context: Any, config: Any) -> Any:
    if "write" in config:
        return str(config.write["model"].read_text())
    return write(context, config)


@pytest.mark.parametrize("how", ["moved", "linked", "relative"])
def test_artifacts_in_results_are_found_where_the_store_is(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = Path("first") if how == "relative" else tmp_path / "first"
    matrix = {"parameters": {"n": [1, 2], "large": [True, False]}}
    Memento(write, store=first, executor="serial", progress=False, name="write").run(matrix)
    second = tmp_path / "second"
    second.symlink_to(first) if how == "linked" else os.rename(first, second)
    results = memento.load(second)
    for result in results:
        path = result.inner["model"]
        assert path.read_text() == f"model {result.config.n}"
        assert path == result.artifacts["models/model.txt"]
        assert path.is_relative_to(second)
    assert results.to_frame()["acc"].tolist() == [0.5] * 4


def test_a_downstream_task_reads_an_artifact_of_a_moved_store(tmp_path: Path) -> None:
    def run(store: Path, *more: dict[str, Any]) -> Any:
        made = Memento(staged, store=store, executor="serial", progress=False, name="staged")
        for matrix in ({"id": "write", "parameters": {"n": [1], "large": [True, False]}}, *more):
            made.add_matrix(matrix)
        return made.run_all()

    run(tmp_path / "first")
    (tmp_path / "first").rename(tmp_path / "second")
    results = run(tmp_path / "second", {"id": "read", "dependencies": ["write"], "parameters": {"k": [1]}})
    assert [result.was_cached for result in results["write"]] == [True, True]
    assert [result.inner for result in results["read"]] == ["model 1", "model 1"]


def step(path: Path) -> list[Path]:
    return [path]


def with_step(context: Any, config: Any) -> str:
    path = context.artifact("m.txt")
    path.write_text("step")
    (back,) = context.cached(step, path)
    assert back == path
    (again,) = context.cached(step, path)
    return str(again.read_text())


def test_a_step_has_paths_of_the_store(tmp_path: Path) -> None:
    made = Memento(with_step, store=tmp_path / "s", executor="serial", progress=False)
    results = made.run({"parameters": {"n": [1]}})
    assert results is not None
    assert results[0].inner == "step"
