"""Send notifications through Apprise, to everything that it reaches.

Knows: Apprise. May not know: the runner, threads. Addresses hold secrets: they are shown to nobody.
"""

from __future__ import annotations

import logging
import re
from typing import Any
from urllib.parse import unquote

from memento.errors import MementoError
from memento.notify.base import DigestNotificationProvider
from memento.notify.messages import redact
from memento.optional_packages import imported
from memento.wording import one_line

_PARTS = re.compile(r"[/:@?&=,]+")
_SHORTEST_SECRET = 3  # letters; a shorter one would tear words apart


class AppriseNotificationProvider(DigestNotificationProvider):
    """Sends messages to chats, phones and mailboxes: what is new while a run goes on, and its end.

    Parameters
    ----------
    *urls : str
        Addresses as Apprise writes them, like ``"slack://..."`` or ``"mailto://..."``.
    every : float
        Seconds between messages while a run goes on, twice as long after each further one; the one at its end does not
        wait.
    metric : str, optional
        The number by which the last one names the best configuration, as for `Results.best`; by default it names the
        highest and the lowest of what tasks returned or recorded.
    minimize : bool
        The best has the lowest `metric`.

    Raises
    ------
    MissingExtra
        Apprise is not installed.
    ValueError
        There is no address, or Apprise does not understand one.
    """

    def __init__(
        self, *urls: str, every: float = 900.0, metric: str | None = None, minimize: bool = False
    ) -> None:
        super().__init__(every, metric, minimize)
        if not urls:
            raise ValueError(
                "AppriseNotificationProvider got no address; pass at least one, like 'mailto://...'. "
                "Apprise's own pages list what each service wants."
            )
        self._urls = tuple(urls)
        self._client()  # an address that nobody understands is found now, not when the night is over

    def __repr__(self) -> str:
        schemes = ", ".join(f"'{_scheme(url)}://...'" for url in self._urls)
        return f"AppriseNotificationProvider({schemes})"

    def send(self, subject: str, body: str) -> None:
        """Send one message to every address."""
        from apprise import NotifyFormat

        log, said = logging.getLogger("apprise"), _Said()
        log.addHandler(said)
        try:
            sent = self._client().notify(title=subject, body=body, body_format=NotifyFormat.TEXT)
        finally:
            log.removeHandler(said)
        if not sent:
            services = ", ".join(sorted({_scheme(url) for url in self._urls}))
            reasons = "; ".join(one_line(self._without_secrets(text), 300) for text in said.texts[-3:])
            raise MessageNotSent(
                f"not every address took the message ({services}): {reasons or 'Apprise does not say why'}"
            )

    def _without_secrets(self, text: str) -> str:
        """Take all parts of the addresses out of a text: any may be a key to a channel."""
        parts = {part for url in self._urls for part in _PARTS.split(url.partition("://")[2])}
        every = sorted(parts | {unquote(part) for part in parts}, key=len, reverse=True)
        return redact(text, [part for part in every if len(part) >= _SHORTEST_SECRET])

    def _client(self) -> Any:
        client = imported("apprise", "AppriseNotificationProvider", "apprise").Apprise()
        for number, url in enumerate(self._urls, 1):
            if not client.add(url):
                raise ValueError(
                    f"Apprise does not understand address {number} of {len(self._urls)}"
                    f" ('{_scheme(url)}://...'); its pages list what each service wants"
                )
        return client


class _Said(logging.Handler):
    """Keeps what Apprise says of what goes wrong."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


class MessageNotSent(MementoError):
    """A service did not take a message."""


def _scheme(url: str) -> str:
    scheme, found, _ = str(url).partition("://")
    return one_line(scheme, 20) if found else "?"  # without a scheme all of it may be a secret
