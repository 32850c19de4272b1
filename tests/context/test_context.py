"""What a task can ask of its context."""

from __future__ import annotations

from typing import Any

import pytest

from memento.context.context import Context
from memento.context.task_space import Resources
from tests.context.making import context


class Ancestral:
    """A checkpoint provider, as 1.2.0 has them."""

    def __init__(self) -> None:
        self.items: dict[str, Any] = {}

    def get(self, key: str) -> Any:
        return self.items[key]

    def set(self, key: str, item: Any) -> None:
        self.items[key] = item

    def contains(self, key: str) -> bool:
        return key in self.items

    def remove(self, key: str) -> None:
        del self.items[key]


def test_the_constructor_of_1_2_0_works_alone() -> None:
    provider = Ancestral()
    old = Context("key", provider)
    old.checkpoint(1)
    assert (old.checkpoint_exist(), old.restore(), old.key) == (True, 1, "key")
    with pytest.raises(RuntimeError, match="belongs to no store"):
        _ = old.directory


def test_what_a_task_is_told_of_itself(store: str) -> None:
    told = context(store, 7, attempt=3, resources=Resources(2, ("0",)), stopping=lambda: True)
    assert (told.key, told.attempt, told.resources.gpus, told.stopping) == ("07" * 16, 3, ("0",), True)


def test_the_folder_of_a_task_is_kept_across_attempts(store: str) -> None:
    (context(store).directory / "notes").write_text("x")
    assert (context(store, attempt=2).directory / "notes").read_text() == "x"


def test_artifacts_that_were_written_are_named(store: str) -> None:
    told = context(store)
    told.artifact("plots/roc.png").write_text("x")
    told.artifact("never.txt")
    assert told.left_behind()[1] == ("plots/roc.png",)


def test_an_artifact_whose_name_no_disk_takes_was_not_written(store: str) -> None:
    told = context(store)
    told.artifact("x" * 400)
    assert told.left_behind()[1] == ()


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "", "a//b", "c:/x", "a\\..\\..\\b", "."])
def test_an_artifact_never_leaves_its_folder(name: str, store: str) -> None:
    with pytest.raises(ValueError, match="relative name"):
        context(store).artifact(name)


def test_what_is_logged_stands_on_standard_error(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    context(store).logger.info("epoch %d", 3)
    assert capsys.readouterr().err.endswith("INFO epoch 3\n")


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda context: context.record("loss", 1), "context.record({'loss': 1})."),
        (lambda context: context.record("loss", 1, 3), "context.record({'loss': 1}, step=3)."),
        (lambda context: context.record("loss", loss=1), "record takes a dict, or names. Write"),
        (lambda context: context.record({"loss": 1}, loss=2), "'loss' twice"),
        (lambda context: context.record({"loss": 1}, step="a"), "metric 'step' must be a number"),
        (lambda context: context.record(step=3), "context.record({'loss': 0.3}, step=3)."),
        (lambda context: context.record(3.0), "context.record({'loss': 0.3})."),
        (lambda context: context.record(), "context.record({'loss': 0.3})."),
        (lambda context: context.log_metric("loss", 1), "context.record({'loss': 0.3})."),
        (lambda context: context.save(1), "context.checkpoint(state)."),
        (lambda context: context.load(), "context.restore()"),
        (lambda context: context.config, "config.settings['name']"),
        (lambda context: context.epoch, "step=epoch"),
        (lambda context: context.device, "context.resources.gpus."),
        (lambda context: context.n_jobs, "context.resources.cpus."),
        (lambda context: context.log_artifact("a"), "context.artifact("),
        (lambda context: context.recrod({"a": 1}), "context.record."),
        (lambda context: context.something, "it has: artifact, attempt, cached"),
    ],
    ids=map(str, range(18)),
)
def test_what_other_tools_call_otherwise_is_answered_by_the_right_line(call: Any, line: str) -> None:
    with pytest.raises((TypeError, AttributeError)) as told:
        call(Context("key"))
    assert line in str(told.value)


def test_a_context_can_be_asked_whether_it_has_something() -> None:
    assert not hasattr(Context("key"), "save")
    assert getattr(Context("key"), "__wrapped__", None) is None
