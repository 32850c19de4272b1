from __future__ import annotations

import io
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from memento.events import TasksFinished
from memento.notify.base import (
    ConsoleNotificationProvider,
    DefaultNotificationProvider,
    FileSystemNotificationProvider,
    NotificationProvider,
    speaks_for_each_task,
)
from memento.notify.email import EmailNotificationProvider, SmtpConfiguration
from tests.notify.fakes import FINISHED, STARTED, failed, group


class Counting(DefaultNotificationProvider):
    def __init__(self) -> None:
        self.calls: list[str] = []

    def task_completed(self) -> None:
        self.calls.append("done")

    def task_failure(self) -> None:
        self.calls.append("failed")

    def all_tasks_completed(self) -> None:
        self.calls.append("all")


def test_the_base_class_cannot_be_made_without_its_three_methods() -> None:
    with pytest.raises(TypeError, match="abstract"):
        NotificationProvider()  # type: ignore[abstract]  # which is the point


def test_a_provider_of_1_2_0_is_called_once_for_each_task() -> None:
    provider = Counting()
    for event in (STARTED, TasksFinished(3, 1, 1.0), failed(group()), FINISHED):
        provider.on_event(event)
    assert provider.calls == ["done"] * 3 + ["failed", "all"]


def test_tasks_of_another_run_are_its_own_to_tell() -> None:
    provider = Counting()
    provider.on_event(TasksFinished(3, 0, 1.0, shared=2))
    assert provider.calls == ["done"]


@pytest.mark.parametrize(
    "ending", [{"interrupted": True}, {"notify": False}], ids=["interrupted", "unwanted"]
)
def test_all_is_not_told_complete_when_it_is_not_or_nobody_asked(ending: dict[str, bool]) -> None:
    provider = Counting()
    provider.on_event(FINISHED._replace(**ending))  # type: ignore[arg-type]  # the names are fields
    assert provider.calls == []


def test_the_console_provider_prints_what_1_2_0_printed(capsys: pytest.CaptureFixture[str]) -> None:
    provider = ConsoleNotificationProvider()
    provider.task_completed()
    provider.task_failure()
    provider.all_tasks_completed()
    assert capsys.readouterr().out == "Task completed\nTask failed\nAll tasks completed\n"


def test_the_file_provider_appends_to_a_path(tmp_path: Path) -> None:
    path = tmp_path / "a log.txt"
    path.write_text("before\n")
    provider = FileSystemNotificationProvider(str(path))
    provider.task_completed()
    provider.task_failure()
    assert path.read_text() == "before\nTask completed\nTask failed\n"


def test_the_file_provider_writes_to_logs_txt_by_default() -> None:
    FileSystemNotificationProvider().all_tasks_completed()
    assert Path("logs.txt").read_text() == "All tasks completed\n"


def test_the_file_provider_takes_an_open_file() -> None:
    file = io.StringIO()
    FileSystemNotificationProvider(file).task_completed()
    FileSystemNotificationProvider(filepath=file).task_failure()
    assert file.getvalue() == "Task completed\nTask failed\n"


def test_providers_can_be_pickled() -> None:
    smtp = SmtpConfiguration("localhost", 25, "u", "sesame")
    for provider in (
        ConsoleNotificationProvider(),
        FileSystemNotificationProvider("logs.txt"),
        EmailNotificationProvider(smtp, "a@example.org", ["b@example.org"]),
    ):
        again = pickle.loads(pickle.dumps(provider))
        assert vars(again).keys() == vars(provider).keys()


def test_a_helper_called_notify_in_a_provider_of_1_2_0_is_left_alone() -> None:
    class Chat(DefaultNotificationProvider):
        said = ""

        def notify(self, text: str) -> None:
            self.said += text

        def task_failure(self) -> None:
            self.notify("oh no")

    provider = Chat()
    provider.on_event(TasksFinished(0, 1, 1.0))
    assert provider.said == "oh no"


def test_a_mail_provider_that_a_script_of_1_2_0_changed_is_called_for_each_task() -> None:
    class Mine(EmailNotificationProvider):
        def task_completed(self) -> None:
            pass

    smtp = SmtpConfiguration("localhost", 25)
    assert speaks_for_each_task(Mine(smtp, "a@example.org", ["b@example.org"]))
    assert not speaks_for_each_task(EmailNotificationProvider(smtp, "a@example.org", ["b@example.org"]))


def test_importing_providers_brings_no_mail_and_no_apprise() -> None:
    heavy = ("smtplib", "ssl", "apprise", "rich")
    code = f"import sys, memento.notify.base; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    assert out.stdout.strip() == "[]"
