"""The module of this name in 1.2.0, for scripts that import from it; everything stands in `memento`."""

from __future__ import annotations

from memento.notify.base import (
    ConsoleNotificationProvider,
    DefaultNotificationProvider,
    FileSystemNotificationProvider,
    NotificationProvider,
)
from memento.notify.email import EmailNotificationProvider, SmtpConfiguration

__all__ = [
    "ConsoleNotificationProvider",
    "DefaultNotificationProvider",
    "EmailNotificationProvider",
    "FileSystemNotificationProvider",
    "NotificationProvider",
    "SmtpConfiguration",
]
