"""Hydra's jobs: what they were run with, what was given for each, what they left."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from memento.exchange.read_hydra import read_hydra
from memento.exchange.source_rows import CannotImport

HYDRA = "hydra:\n  runtime:\n    choices:\n      model: svc\n      hydra/launcher: basic\n"


def job(folder: Path, number: int, config: str, overrides: list[str], **files: str) -> Path:
    place = folder / str(number)
    (place / ".hydra").mkdir(parents=True)
    (place / ".hydra" / "config.yaml").write_text(config, encoding="utf-8")
    (place / ".hydra" / "hydra.yaml").write_text(HYDRA, encoding="utf-8")
    (place / ".hydra" / "overrides.yaml").write_text(json.dumps(overrides), encoding="utf-8")
    for name, text in files.items():
        (place / name.replace("_", ".")).write_text(text, encoding="utf-8")
    return place


CONFIG = """
model: {name: svc, kernel: rbf}
optimizer: {lr: 1e-3, betas: [0.9, 0.99], decay: "${optimizer.lr}", other: "${now:%Y}", when: 2026-01-02}
seed: 3
"""


def test_a_job_is_its_config_by_dots_and_its_parameters_are_what_was_given(tmp_path: Path) -> None:
    overrides = ["model=svc", "+optimizer.lr=1e-3", "hydra.job.name=x", "~gone", "seed=3"]
    job(tmp_path, 0, CONFIG, overrides, result_json='{"accuracy": 0.5, "loss": {"val": 1}}')
    source = read_hydra(tmp_path, "result.json")
    (row,) = source.rows
    assert source.parameters == ("model", "optimizer.lr", "seed")
    assert source.results == ("accuracy", "loss")
    assert (row.where, row.status) == ("job 0", "done")
    assert row.cells == {
        "model": "svc",
        "model.name": "svc",
        "model.kernel": "rbf",
        "optimizer.lr": 0.001,
        "optimizer.betas": [0.9, 0.99],
        "optimizer.decay": 0.001,
        "optimizer.when": "2026-01-02",
        "seed": 3,
        "accuracy": 0.5,
        "loss": {"val": 1},
    }


@pytest.mark.parametrize(
    ("name", "text", "wanted", "found"),
    [
        ("r.json", '{"a": {"b": 0.5}}', "r.json:a.b", {"value": 0.5}),
        ("r.json", '{"a": {"b": 0.5}}', "r.json:a", {"b": 0.5}),
        ("r.yaml", "a: 1e-2\n", "r.yaml", {"a": 0.01}),
        ("r.csv", "step,loss,acc\n1,0.5,\n2,0.25,0.9\n3,,0.8\n", "r.csv:loss", {"value": 0.25}),
        ("r.txt", "0.75\n", "r.txt", {"value": 0.75}),
        ("score", "good enough", "score", {"value": "good enough"}),
    ],
)
def test_the_result_is_a_file_or_a_field_of_it(
    tmp_path: Path, name: str, text: str, wanted: str, found: dict[str, Any]
) -> None:
    (job(tmp_path, 0, "a: 1\nb: 2\nloss: 3\n", []) / name).write_text(text, encoding="utf-8")
    source = read_hydra(tmp_path, wanted)
    (row,) = source.rows
    assert {name.removeprefix("result."): row.cells[name] for name in source.results} == found


@pytest.mark.parametrize(
    ("files", "wanted", "status"),
    [
        ({}, "r.json", "no r.json"),
        ({"r_json": "{"}, "r.json", "r.json cannot be read"),
        ({"r_json": "{}"}, "r.json:acc", "no acc in r.json"),
        ({"r_yaml": "!!python/object/apply:os.system ['touch bomb']"}, "r.yaml", "r.yaml cannot be read"),
    ],
)
def test_a_job_without_its_result_is_not_done(
    tmp_path: Path, files: dict[str, str], wanted: str, status: str
) -> None:
    job(tmp_path, 0, "a: 1\n", ["a=1"], **files)
    (row,) = read_hydra(tmp_path, wanted).rows
    assert row.status == status
    assert not list(tmp_path.rglob("bomb"))


def test_no_config_builds_objects_or_grows_beyond_measure(tmp_path: Path) -> None:
    bomb = "a0: &a0 {x: 1, y: 2}\n"
    bomb += "".join(f"a{i}: &a{i} {{x: *a{i - 1}, y: *a{i - 1}}}\n" for i in range(1, 30))
    job(tmp_path, 0, "a: !!python/object/apply:os.system ['touch bomb']\n", [], r_txt="1")
    job(tmp_path, 1, bomb, [], r_txt="1")
    job(tmp_path, 10, "a: 1\n", [], r_txt="1")
    job(tmp_path, 2, "a: 1\n", [], r_txt="1")
    rows = read_hydra(tmp_path, "r.txt").rows
    broken = "its .hydra/config.yaml cannot be read"
    assert [(row.where, row.status) for row in rows] == [
        ("job 0", broken), ("job 1", broken), ("job 2", "done"), ("job 10", "done"),
    ]  # fmt: skip


def test_the_file_with_the_result_must_be_named(tmp_path: Path) -> None:
    job(tmp_path, 0, "a: 1\n", [], score_json="1", train_log="x")
    with pytest.raises(CannotImport, match=r"Its jobs left score\.json\. Name the file .* --result"):
        read_hydra(tmp_path, None)
    with pytest.raises(CannotImport, match=r"has no \.hydra folder"):
        read_hydra(tmp_path / "0" / ".hydra", "score.json")


APP = """
import json, hydra
from hydra.core.hydra_config import HydraConfig

@hydra.main(version_base=None, config_path=None, config_name="base")
def main(config):
    if config.optimizer.lr > 1:
        raise ValueError("too much")
    folder = HydraConfig.get().runtime.output_dir
    with open(f"{folder}/result.json", "w") as stream:
        json.dump({"accuracy": config.optimizer.lr * config.width}, stream)

from hydra.core.config_store import ConfigStore
ConfigStore.instance().store(name="base", node={"optimizer": {"lr": 0.1}, "width": 4})
main()
"""


@pytest.mark.real
def test_a_real_multirun_is_read(tmp_path: Path) -> None:
    pytest.importorskip("hydra")
    (tmp_path / "app.py").write_text(APP, encoding="utf-8")
    line = [sys.executable, "app.py", "-m", "optimizer.lr=1e-3,0.1,7", "+note=a,b"]
    subprocess.run(line, cwd=tmp_path, capture_output=True, timeout=300, check=False)
    # The launcher of a sweep ends with the first failure, which is one of the last two jobs.
    source = read_hydra(tmp_path / "multirun", "result.json:accuracy")
    done = [row for row in source.rows if row.status == "done"]
    assert source.parameters == ("optimizer.lr", "note")
    assert [(row.cells["optimizer.lr"], row.cells["note"], row.cells["value"]) for row in done] == [
        (0.001, "a", 0.004), (0.001, "b", 0.004), (0.1, "a", 0.4), (0.1, "b", 0.4),
    ]  # fmt: skip
    assert {row.status for row in source.rows} == {"done", "no result.json"}
