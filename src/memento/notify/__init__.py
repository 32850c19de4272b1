"""Tell people about a run: by console, file, mail, and everything that Apprise reaches.

Knows: events. May not know: the runner, the store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memento.lazily import on_first_use
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

__getattr__ = on_first_use(__name__, _LATER)
