"""What mail servers and webhooks took, and the events of a run."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage
from typing import Any, NamedTuple

from memento.events import FailureGroup, RunFinished, RunStarted, TaskFailed


class Mail(NamedTuple):
    encrypted: bool
    login: bool
    to: list[str]
    message: EmailMessage

    @property
    def subject(self) -> str:
        return str(self.message["subject"]).strip()  # Python folds a long header before its first word

    @property
    def body(self) -> str:
        return str(self.message.get_content())


class Mails:
    """aiosmtpd's handler."""

    def __init__(self) -> None:
        self.taken: list[Mail] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802  # aiosmtpd's name
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.taken.append(
            Mail(session.ssl is not None, bool(session.authenticated), envelope.rcpt_tos, message)
        )
        return "250 OK"


class MailServer(NamedTuple):
    host: str
    port: int
    mails: list[Mail]


class Webhook(NamedTuple):
    port: int
    posts: list[dict[str, Any]]


STARTED = RunStarted("experiment:experiment", "/data/memento-store", 105, 5, 100, 2)


def group(
    title: str = "ValueError: inconsistent numbers of samples (experiment.py:24)", count: int = 1
) -> FailureGroup:
    return FailureGroup(
        title=title,
        kind="raised",
        count=count,
        traceback=(
            "Traceback (most recent call last):\n"
            '  File "experiment.py", line 24, in experiment\n'
            "ValueError: inconsistent"
        ),
        config="dataset=load_wine_broken, model=SVC",
        key="ab12cd34" * 4,
        rule="all 5 have dataset=load_wine_broken, no success has it" if count == 5 else "",
        output="epoch 1\nepoch 2",
    )


def failed(one: FailureGroup, first: bool = True) -> TaskFailed:
    return TaskFailed(one.key, one.config, one, first)


FINISHED = RunFinished(
    "experiment:experiment", "/data/memento-store", 105, 95, 5, 5, 123.0, groups=(group(count=5),)
)
