"""Tell people about a run: by console, file, mail, and everything that Apprise reaches.

Knows: events. May not know: the runner, the store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from memento.notify.base import (
    ConsoleNotificationProvider,
    DefaultNotificationProvider,
    FileSystemNotificationProvider,
    NotificationProvider,
)
from memento.notify.notifier import Notifier

if TYPE_CHECKING:
    from memento.notify.apprise import AppriseNotificationProvider
    from memento.notify.email import EmailNotificationProvider, SmtpConfiguration

__all__ = [
    "AppriseNotificationProvider",
    "ConsoleNotificationProvider",
    "DefaultNotificationProvider",
    "EmailNotificationProvider",
    "FileSystemNotificationProvider",
    "NotificationProvider",
    "Notifier",
    "SmtpConfiguration",
]

# Mail brings smtplib and ssl with it, 15 ms that few runs need.
_LATER = {
    "AppriseNotificationProvider": "memento.notify.apprise",
    "EmailNotificationProvider": "memento.notify.email",
    "SmtpConfiguration": "memento.notify.email",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_LATER[name]), name)
