"""What tasks are called in MLflow, and a server that is not there."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memento.errors import MementoError
from memento.exchange import write_mlflow as module
from memento.exchange.write_mlflow import entity_name, write_mlflow
from memento.store.store import Store
from tests.exchange.conftest import exported

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's use of its own libraries


@given(st.text(max_size=300), st.text(max_size=300))
def test_names_stay_apart(one: str, other: str) -> None:
    assert (entity_name(one) == entity_name(other)) == (one == other)
    assert 0 < len(entity_name(one)) <= 250
    assert entity_name(entity_name(one)) == entity_name(one)


@given(
    st.text(max_size=300) | st.sampled_from(["..", ".", "/", "a//b", "a/../b", "/a", "a/", "..a", "a\nb", ""])
)
def test_mlflow_takes_every_name(name: str) -> None:
    validation = pytest.importorskip("mlflow.utils.validation")
    validation._validate_metric_name(entity_name(name))
    validation._validate_param_name(entity_name(name))
    validation._validate_tag_name(entity_name(name))


def test_a_server_that_is_not_there_is_told_at_once_without_its_password(trained: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://ada:secret@127.0.0.1:{free.getsockname()[1]}"
    with (
        Store.open(trained, create=False, readonly=True, trusted=False) as store,
        pytest.raises(MementoError, match="nobody answers") as told,
    ):
        write_mlflow(store, exported(store), address)
    assert "secret" not in str(told.value)


def test_the_limits_are_those_of_mlflow() -> None:
    validation = pytest.importorskip("mlflow.utils.validation")
    assert module._PARAMS <= validation.MAX_PARAMS_TAGS_PER_BATCH
    assert module._METRICS <= validation.MAX_METRICS_PER_BATCH
    assert module._PARAM_TEXT <= validation.MAX_PARAM_VAL_LENGTH
    assert module._TAG_TEXT <= validation.MAX_TAG_VAL_LENGTH
