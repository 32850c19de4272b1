"""TensorBoard's own reader finds scalars and hyperparameters, once, however often they are written."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from memento import Memento
from memento.exchange.exported_tasks import ExportedTasks
from memento.exchange.write_tensorboard import safe_name, write_tensorboard
from memento.exchange.written import CannotExport, Written
from memento.store.store import Store
from tests.exchange.conftest import exported

pytest.importorskip("tensorboardX")


def write(place: Path, out: Path, **options: Any) -> Written:
    with Store.open(place, create=False, readonly=True, trusted=False) as store:
        return write_tensorboard(store, exported(store), out, **options)


def test_each_task_has_a_folder_that_names_it(trained: Path, tmp_path: Path) -> None:
    assert write(trained, tmp_path / "tb") == Written(4, 0, 0)
    (experiment,) = (tmp_path / "tb").iterdir()
    assert experiment.name == "train.py-train"
    assert sorted(one.name[:-13] for one in experiment.iterdir()) == [
        "lr=0.1, model=née - home", "lr=0.1, model=svc", "lr=1.0, model=née - home", "lr=1.0, model=svc",
    ]  # fmt: skip
    assert all(len(list(one.iterdir())) == 1 for one in experiment.iterdir())


def test_writing_again_adds_only_what_is_new(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "tb"
    with Store.open(trained, create=False, readonly=True, trusted=False) as store:
        some = ExportedTasks(store, "train.py:train", [one.record.id for one in exported(store)[0]][:1])
        assert write_tensorboard(store, [some], out) == Written(1, 0, 0)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*tfevents*")}
    assert write(trained, out) == Written(3, 1, 0)
    assert write(trained, out) == Written(0, 4, 0)
    assert before.items() <= {path: path.stat().st_mtime_ns for path in out.rglob("*tfevents*")}.items()
    assert write(trained, out, anew=True) == Written(0, 0, 4)


def test_a_task_that_was_computed_again_is_written_anew(tmp_path: Path) -> None:
    def one(n: int) -> int:
        return n

    memento = Memento(one, executor="serial", store=str(tmp_path / "s"), progress=False)
    memento.run({"parameters": {"n": [1, 2]}})
    assert write(tmp_path / "s", tmp_path / "tb") == Written(2, 0, 0)
    memento.run({"parameters": {"n": [1]}}, force_run=True)
    assert write(tmp_path / "s", tmp_path / "tb") == Written(0, 1, 1)
    assert len(list((tmp_path / "tb").rglob("*tfevents*"))) == 2


def test_what_was_left_halfway_is_written_anew(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from memento.exchange import write_tensorboard as module

    def broken(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(module._Events, "write", broken)
        with pytest.raises(CannotExport, match="No space left on device"):
            write(trained, tmp_path / "tb")
    assert list((tmp_path / "tb").rglob("*tfevents*")) == []
    assert sum(write(trained, tmp_path / "tb")) == 4
    assert len(list((tmp_path / "tb").rglob("*tfevents*"))) == 4


@pytest.mark.parametrize("name", ["../../etc", "a/b", "\x1b[2J", "x" * 500, "é" * 200, "..", "", "CON:"])
def test_no_name_leads_elsewhere(name: str) -> None:
    safe = safe_name(name)
    assert safe
    assert len(safe.encode()) <= 200
    assert not set(safe) & set("/\\:\x1b\n")
    assert safe not in (".", "..")


@pytest.mark.real
def test_tensorboards_reader_finds_what_was_written(trained: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    write(trained, tmp_path / "tb")
    (folder,) = (tmp_path / "tb").glob("*/lr=0.1, model=svc-*")
    read = EventAccumulator(str(folder))
    read.Reload()
    assert set(read.Tags()["scalars"]) == {"loss", "acc@1", "pace", "acc", "n", "ok", "deep.f1", "value.loss"}
    loss = read.Scalars("loss")
    assert [one.step for one in loss] == [1, 2, 3]
    assert [one.value for one in loss] == pytest.approx([0.1, 0.05, 0.1 / 3])
    with Store.open(trained, create=False, readonly=True, trusted=False) as store:
        record = next(iter(exported(store)[0])).record
    times = [one.wall_time for one in loss]
    assert times == sorted(times)
    assert record.started <= times[0] <= times[-1] <= record.started + record.runtime + 1e-3
    assert math.isnan(read.Scalars("acc@1")[0].value)
    assert read.Scalars("acc")[0].value == 0.25


@pytest.mark.real
def test_the_tab_of_hyperparameters_lists_every_task(trained: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.context import RequestContext
    from tensorboard.plugins import base_plugin
    from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups

    write(trained, tmp_path / "tb")
    multiplexer = EventMultiplexer()
    multiplexer.AddRunsFromDirectory(str(tmp_path / "tb"))
    multiplexer.Reload()
    provider = MultiplexerDataProvider(multiplexer, str(tmp_path / "tb"))
    context = backend_context.Context(base_plugin.TBContext(data_provider=provider))
    request = RequestContext()
    found = context.experiment_from_metadata(
        request,
        "",
        True,
        context.hparams_metadata(request, ""),
        context.hparams_from_data_provider(request, "", None),
    )
    assert {one.name for one in found.hparam_infos} == {"lr", "model", "settings.folds", "settings.big"}
    assert {one.name.tag for one in found.metric_infos} >= {"loss", "acc", "value.loss"}
    asked = api_pb2.ListSessionGroupsRequest(
        start_index=0, slice_size=10, allowed_statuses=[api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE]
    )
    told = list_session_groups.Handler(request, context, "", asked).run()
    groups = {
        (one.hparams["lr"].number_value, one.hparams["model"].string_value) for one in told.session_groups
    }
    assert groups == {(lr, model) for lr in (0.1, 1.0) for model in ("svc", "née @ home")}
    statuses = sorted(session.status for one in told.session_groups for session in one.sessions)
    assert statuses == [api_pb2.STATUS_SUCCESS] * 3 + [api_pb2.STATUS_FAILURE]
