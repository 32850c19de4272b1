"""A real MLflow: its runs are read, and it has a run for each task, once, however often they are written.

In one file, since it takes longer to start than all the tests take.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from memento.exchange.exported_tasks import ExportedTasks
from memento.exchange.open_source import Wanted, kind_of, open_source
from memento.exchange.source_rows import CannotImport
from memento.exchange.write_mlflow import write_mlflow
from memento.exchange.written import CannotExport, Written
from memento.store.store import Store
from tests.exchange.conftest import MATRIX, exported, make_store, train

NAME = "train.py:train"

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # MLflow's use of its own libraries
    pytest.mark.filterwarnings("ignore::FutureWarning"),  # MLflow's word on folders
]


@pytest.fixture(scope="module")
def new_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database without runs, to be copied: MLflow takes seconds to make one."""
    mlflow = pytest.importorskip("mlflow")
    path = tmp_path_factory.mktemp("mlflow") / "new.db"
    mlflow.MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def tracking(new_mlflow: Path, tmp_path: Path) -> str:
    """The address of a database of the test's own."""
    shutil.copy(new_mlflow, tmp_path / "ml.db")
    return f"sqlite:///{tmp_path / 'ml.db'}"


def log_runs(address: str) -> None:
    """Log as a program does: two experiments, of which the second has three runs and one that failed."""
    import mlflow

    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(address)
    try:
        for name, count in (("first", 2), ("second", 3)):
            mlflow.set_experiment(name)
            for i in range(count):
                with mlflow.start_run():
                    mlflow.log_params({"lr": 10.0**-i, "model": "svc"})
                    mlflow.log_metric("acc", 0.1, step=0)
                    mlflow.log_metric("acc", i / 2, step=1)
            with suppress(ValueError), mlflow.start_run():
                mlflow.log_param("lr", 7)
                raise ValueError
    finally:
        mlflow.set_tracking_uri(before)


@pytest.fixture(scope="module")
def logged(new_mlflow: Path) -> Path:
    """A database with runs that a program has logged; only read."""
    path = new_mlflow.with_name("logged.db")
    shutil.copy(new_mlflow, path)
    log_runs(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="module")
def server(logged: Path) -> Iterator[str]:
    """The address of a server that has these runs, too."""
    database = shutil.copy(logged, logged.with_name("served.db"))
    held = socket.socket()
    # Bound for as long as the server runs: nobody else is given the port in the seconds before it listens.
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    port = held.getsockname()[1]
    line = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{database}"]
    line += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    log = logged.with_name("server.log").open("wb")
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # which starts more processes
    process = subprocess.Popen(
        line, stdout=log, stderr=log, cwd=logged.parent, env=environment, start_new_session=True
    )
    try:
        end = time.monotonic() + 300
        while True:
            with socket.socket() as asked:
                if asked.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, logged.with_name("server.log").read_text()
            assert time.monotonic() < end
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, 9)  # a busy machine may take long to end it politely
        process.wait(300)
        log.close()
        held.close()


def write(place: Path, address: str, **options: Any) -> Written:
    with Store.open(place, create=False, readonly=True, trusted=False) as store:
        return write_mlflow(store, exported(store), address, **options)


# -- read ------------------------------------------------------------------------------------------------


def check(source: Any) -> None:
    assert [row.status for row in source.rows] == ["done", "done", "done", "FAILED"]
    told = [(row.cells["lr"], row.cells.get("acc")) for row in source.rows]
    assert told == [("1.0", 0.0), ("0.1", 0.5), ("0.01", 1.0), ("7", None)]
    assert all(row.started and row.runtime is not None for row in source.rows)


def test_a_real_database_is_read_by_its_file(logged: Path) -> None:
    assert kind_of(str(logged)) == kind_of(f"sqlite:///{logged}") == "mlflow"
    with pytest.raises(CannotImport, match=r"2 experiments with runs\. Name one with --study: "):
        open_source(str(logged), Wanted())
    with pytest.raises(CannotImport, match="no experiment 'third'"):
        open_source(str(logged), Wanted(study="third"))
    check(open_source(str(logged), Wanted(study="second")))


def test_a_real_server_is_read(server: str) -> None:
    check(open_source(server, Wanted(study="second")))
    check(open_source(server.replace("//", "//ada:secret@"), Wanted(study="second")))


def test_a_real_folder_is_read_and_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    log_runs((tmp_path / "mlruns").as_uri())
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    for folder in (tmp_path, tmp_path / "mlruns"):
        assert kind_of(str(folder)) == "mlflow"
        check(open_source(str(folder), Wanted(study="second")))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


# -- written ---------------------------------------------------------------------------------------------


def runs(address: str) -> list[Any]:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=address)
    experiment = client.get_experiment_by_name(NAME)
    return list(client.search_runs([experiment.experiment_id]))


def test_a_run_says_all_that_a_task_says(
    server: str, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from mlflow import MlflowClient

    assert write(trained, server, artifacts=True) == Written(4, 0, 0)
    assert capsys.readouterr().out == ""  # what a script reads is ours alone
    client = MlflowClient(tracking_uri=server)
    found = {(run.data.params["lr"], run.data.params["model"]): run for run in runs(server)}
    assert len(found) == 4
    run = found["0.1", "svc"]
    assert run.info.status == "FINISHED"
    assert run.data.params == {
        "lr": "0.1", "model": "svc", "settings.folds": "5", "settings.big": str(2**53 + 1),
    }  # fmt: skip
    assert {name: run.data.metrics[name] for name in ("acc", "n", "ok", "deep.f1", "value.loss")} == {
        "acc": 0.25, "n": 3, "ok": 1, "deep.f1": 0.5, "value.loss": 9,
    }  # fmt: skip
    history = sorted(client.get_metric_history(run.info.run_id, "loss"), key=lambda one: one.step)
    assert [(one.step, one.value) for one in history] == [(step, 0.1 / step) for step in (1, 2, 3)]
    with Store.open(trained, create=False, readonly=True, trusted=False) as store:
        record = next(iter(exported(store)[0])).record
    assert run.info.start_time == round(record.started * 1000)
    assert run.info.end_time == round((record.started + record.runtime) * 1000)
    tags = run.data.tags
    assert (tags["memento.key"], tags["memento.status"]) == (record.key.hex(), "done")
    assert tags["value.note"] == "good"
    assert tags["mlflow.runName"] == "lr=0.1, model=svc"
    assert len(tags["memento.code"]) == 32
    assert [one.path for one in client.list_artifacts(run.info.run_id)] == ["model.txt"]
    failed = found["1.0", "svc"]
    assert failed.info.status == "FAILED"
    assert failed.data.tags["memento.error"].startswith("ValueError: too fast")
    assert "acc" not in failed.data.metrics


def test_writing_again_adds_only_what_is_new_and_replaces_what_was_computed_again(
    tmp_path: Path, tracking: str
) -> None:
    from memento import Memento

    place = make_store(tmp_path)
    with Store.open(place, create=False, readonly=True, trusted=False) as store:
        ids = [one.record.id for one in exported(store)[0]]
        assert write_mlflow(store, [ExportedTasks(store, NAME, ids[:1])], tracking) == Written(1, 0, 0)
    assert write(place, tracking) == Written(3, 1, 0)
    assert write(place, tracking) == Written(0, 4, 0)
    matrix = {**MATRIX, "parameters": {"lr": [0.1], "model": ["svc"]}}
    Memento(train, name=NAME, executor="serial", store=str(place), progress=False).run(matrix, force_run=True)
    assert write(place, tracking) == Written(0, 3, 1)
    assert write(place, tracking, artifacts=True) == Written(0, 1, 3)  # the failed one has no files
    assert write(place, tracking) == Written(0, 4, 0)
    found = runs(tracking)
    assert len(found) == len({run.data.tags["memento.key"] for run in found}) == 4


def test_what_was_left_halfway_is_made_anew(
    tracking: str, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("the network is gone")

    for call in ("log_batch", "set_terminated"):
        with monkeypatch.context() as patched:
            patched.setattr(mlflow.MlflowClient, call, broken)
            with pytest.raises(CannotExport, match="the network is gone"):
                write(trained, tracking)
    done = write(trained, tracking)
    assert (sum(done), done.kept) == (4, 0)
    assert [run.info.status for run in runs(tracking)].count("RUNNING") == 0
    assert len(runs(tracking)) == 4


def test_many_points_and_parameters_go_in_batches(tmp_path: Path, tracking: str) -> None:
    from memento import Memento

    def many(context: Any, config: Any) -> None:
        for step in range(2_500):
            context.record({"loss": 1.0 / (step + 1)}, step=step)

    matrix = {"parameters": {f"p{n}": [n] for n in range(230)}}
    Memento(many, name=NAME, executor="serial", store=str(tmp_path / "s"), progress=False).run(matrix)
    assert write(tmp_path / "s", tracking) == Written(1, 0, 0)
    (run,) = runs(tracking)
    assert len(run.data.params) == 230
    from mlflow import MlflowClient

    history = MlflowClient(tracking_uri=tracking).get_metric_history(run.info.run_id, "loss")
    assert sorted(one.step for one in history) == list(range(2_500))


def test_an_experiment_that_was_deleted_in_mlflow_is_told(tracking: str, trained: Path) -> None:
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=tracking)
    client.delete_experiment(client.create_experiment(NAME))
    with pytest.raises(CannotExport, match="mlflow experiments restore"):
        write(trained, tracking)
