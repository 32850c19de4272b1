"""Send notifications through Apprise, to everything that it reaches.

Knows: Apprise. May not know: the runner, threads. Addresses hold secrets: they are shown to nobody.
"""

from __future__ import annotations

from typing import Any

from memento.errors import MementoError, MissingExtra
from memento.notify.base import DigestNotificationProvider


class AppriseNotificationProvider(DigestNotificationProvider):
    """Sends messages to chats, phones and mailboxes: when something first fails, and when a run ends.

    Parameters
    ----------
    *urls : str
        Addresses as Apprise writes them, like ``"slack://..."`` or ``"mailto://..."``.
    every : float
        Seconds between messages while a run goes on; the one at its end does not wait.

    Raises
    ------
    MissingExtra
        Apprise is not installed.
    ValueError
        There is no address, or Apprise does not understand one.
    """

    def __init__(self, *urls: str, every: float = 900.0) -> None:
        super().__init__(every)
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

        sent = self._client().notify(title=subject, body=body, body_format=NotifyFormat.TEXT)
        if not sent:
            services = ", ".join(sorted({_scheme(url) for url in self._urls}))
            raise MessageNotSent(
                f"not every address took the message ({services}); Apprise's own log says more"
            )

    def _client(self) -> Any:
        try:
            from apprise import Apprise
        except ModuleNotFoundError as exc:
            if exc.name != "apprise":
                raise  # present but broken: show why
            raise MissingExtra("AppriseNotificationProvider", "apprise") from exc
        client = Apprise()
        for number, url in enumerate(self._urls, 1):
            if not client.add(url):
                raise ValueError(
                    f"Apprise does not understand address {number} of {len(self._urls)}"
                    f" ('{_scheme(url)}://...'); its pages list what each service wants"
                )
        return client


class MessageNotSent(MementoError):
    """A service did not take a message."""


def _scheme(url: str) -> str:
    return str(url).partition("://")[0][:20]
