"""Send messages to addresses that are written as one line each, on a command line or in the environment.

Knows: how an address of a mail server is written; all else is Apprise's. May not know: the runner, where addresses
come from. Addresses hold secrets: only their beginnings are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import parse_qs, unquote, urlsplit

from memento.errors import MementoError
from memento.notify.base import DigestNotificationProvider
from memento.notify.messages import redact
from memento.wording import one_line

SMTP_PORT = 587  # where a server takes mail of its own users (RFC 6409)
MAIL = "smtp://USER:PASSWORD@HOST:PORT?to=ADDRESS"


class WrongAddress(MementoError, ValueError):
    """An address cannot be used as it is written; the text holds nothing of its secrets."""


class AddressesNotificationProvider(DigestNotificationProvider):
    """Sends each message to several addresses; one that does not take it keeps it from none of the others.

    An address is ``smtp://user:password@host:587?to=me@example.org`` for a mail server, with ``from=`` where that is
    not the user or the receiver, and ``tls=no`` for a server without encryption; or whatever Apprise understands. Of
    runs that take less than `shortest` seconds nothing is told.
    """

    def __init__(self, addresses: Sequence[str], shortest: float = 0.0) -> None:
        super().__init__(shortest=shortest)
        self.shortest = shortest
        if not addresses:
            raise WrongAddress(f"there is no address: give one, like {MAIL}")
        numbers = range(1, len(addresses) + 1)
        self.parts = [_provider(address, number) for address, number in zip(addresses, numbers, strict=True)]

    def __repr__(self) -> str:
        return f"AddressesNotificationProvider({[shown for shown, _ in self.parts]})"

    def send(self, subject: str, body: str) -> None:
        """Send one message to all addresses."""
        problems = [f"{shown}: {why}" for shown, why in self.try_each(subject, body) if why]
        if problems:
            raise MessageNotTaken("; ".join(problems))

    def try_each(self, subject: str, body: str) -> list[tuple[str, str]]:
        """Send one message to all addresses; return of each how it is shown, and why it did not take it, or ""."""
        told = []
        for shown, provider in self.parts:
            try:
                provider.send(subject, body)
            except Exception as exc:  # the others are to hear it
                told.append((shown, one_line(redact(str(exc)), 500) or type(exc).__name__))
            else:
                told.append((shown, ""))
        return told


class MessageNotTaken(MementoError):
    """At least one address did not take a message."""


def _provider(address: str, number: int) -> tuple[str, DigestNotificationProvider]:
    """Return how an address is shown, and who sends to it."""
    scheme, found, _ = address.partition("://")
    if not found:  # all of it may be a secret
        raise WrongAddress(f"address {number} does not begin with a service and '://', like {MAIL}")
    if scheme.lower() == "smtp":
        return _mail(address, number)
    from memento.notify.apprise import AppriseNotificationProvider

    try:
        return f"{one_line(scheme, 20)}://...", AppriseNotificationProvider(address)
    except ValueError:
        raise WrongAddress(
            f"address {number} is none that Apprise understands ('{one_line(scheme, 20)}://...'); its pages list what"
            f" each service wants. For a mail server: {MAIL}"
        ) from None


def _mail(address: str, number: int) -> tuple[str, DigestNotificationProvider]:
    from memento.notify.email import EmailNotificationProvider, SmtpConfiguration

    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port or SMTP_PORT
        asked = parse_qs(parts.query, strict_parsing=True) if parts.query else {}  # Python 3.10 refuses none
        options = {name: texts[-1] for name, texts in asked.items()}
    except ValueError:  # its text may hold the address
        raise WrongAddress(f"address {number} is not written like {MAIL}") from None
    unknown = sorted(set(options) - {"to", "from", "tls"})
    if unknown or not host or options.get("tls", "yes") not in ("yes", "no"):
        raise WrongAddress(
            f"address {number} is not written like {MAIL}, with &from=ADDRESS and &tls=no where needed"
        )
    user = unquote(parts.username) if parts.username else None
    password = unquote(parts.password) if parts.password else None
    to = [one for one in options.get("to", user or "").split(",") if "@" in one]
    if not to:
        raise WrongAddress(f"address {number} names no receiver: {MAIL}")
    sender = options.get("from") or (user if user and "@" in user else to[0])
    smtp = SmtpConfiguration(host, port, user, password, require_tls=options.get("tls") != "no")
    return f"smtp://{one_line(host, 100)}:{port}", EmailNotificationProvider(smtp, sender, to)
