"""Send notifications by mail.

Knows: SMTP. May not know: the runner, threads. Passwords leave this file towards the server only.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterable
from email.message import EmailMessage
from email.utils import formataddr
from typing import Any, NamedTuple

from memento.notify.base import DigestNotificationProvider
from memento.notify.messages import redact
from memento.wording import one_line

IMPLICIT_TLS_PORT = 465  # RFC 8314
TIMEOUT = 20.0  # seconds for each answer of a server


class SmtpConfiguration(NamedTuple):
    """How to reach an SMTP server.

    Parameters
    ----------
    host : str
        Name of the server.
    port : int
        Port of the server; at 465 the connection is encrypted from its start.
    username : str, optional
        Name to log in with.
    password : str, optional
        Password to log in with; never shown.
    require_tls : bool
        Whether to refuse to send anything over a connection that is not encrypted, or to a server whose
        certificate is not trusted. Without it, mail is encrypted where the server offers that.

    Examples
    --------
    >>> SmtpConfiguration("smtp.example.org", 587, "me", "hunter2")
    SmtpConfiguration(host='smtp.example.org', port=587, username='me', password='***', require_tls=True)
    """

    host: str
    port: int
    username: str | None = None
    password: str | None = None
    require_tls: bool | None = True

    def __repr__(self) -> str:
        hidden = None if self.password is None else "***"
        return (
            f"SmtpConfiguration(host={self.host!r}, port={self.port!r}, username={self.username!r},"
            f" password={hidden!r}, require_tls={self.require_tls!r})"
        )


class EmailNotificationProvider(DigestNotificationProvider):
    """Sends mails: when something new fails, when nothing finishes any more or the end moves away, and when a run ends.

    Parameters
    ----------
    smtp : SmtpConfiguration or smtplib.SMTP
        How to reach the server, or a client that is connected already and is used as it is.
    from_addr : str
        Address that mails come from.
    to_addrs : iterable of str
        Addresses that mails go to.
    every : float
        Seconds between mails while a run goes on, twice as long after each further one; the one at its end does not
        wait.
    metric : str, optional
        The number by which the last one names the best configuration, as for `Results.best`; by default it names the
        highest and the lowest of what tasks returned or recorded.
    minimize : bool
        The best has the lowest `metric`.
    ssl_context : ssl.SSLContext, optional
        Which certificates to trust; the system's (or SSL_CERT_FILE's) by default.
    timeout : float
        Seconds to wait for each answer of the server.

    Examples
    --------
    >>> smtp = SmtpConfiguration("smtp.example.org", 587, username="me@example.org", password="hunter2")
    >>> provider = EmailNotificationProvider(smtp, "me@example.org", ["me@example.org"])
    >>> provider.create_message("[Memento] hello", "It works.")["To"]
    'me@example.org'
    """

    def __init__(
        self,
        smtp: SmtpConfiguration | smtplib.SMTP,
        from_addr: str,
        to_addrs: Iterable[str],
        *,
        every: float = 900.0,
        metric: str | None = None,
        minimize: bool = False,
        ssl_context: ssl.SSLContext | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        super().__init__(every, metric, minimize)
        self._smpt_config = smtp if isinstance(smtp, SmtpConfiguration) else SmtpConfiguration("localhost", 0)
        self._client = smtp if isinstance(smtp, smtplib.SMTP) else None
        self._from_addr = from_addr
        # An iterator would be empty at the second mail.
        self._to_addrs = to_addrs if isinstance(to_addrs, (list, tuple)) else list(to_addrs)
        self._ssl_context = ssl_context
        self._timeout = timeout

    @property
    def smpt(self) -> SmtpConfiguration:
        """This provider's SmtpConfiguration (spelled as in 1.2.0)."""
        return self._smpt_config

    @property
    def from_addr(self) -> str:
        """Address that mails come from."""
        return self._from_addr

    @property
    def to_addrs(self) -> Iterable[str]:
        """Addresses that mails go to."""
        return self._to_addrs

    def __repr__(self) -> str:
        return f"EmailNotificationProvider({self._smpt_config!r}, {self._from_addr!r}, {self._to_addrs!r})"

    def create_message(self, subject: str, content: str) -> EmailMessage:
        """Make a mail with this subject and content.

        Parameters
        ----------
        subject : str
            One line.
        content : str
            Plain text.

        Returns
        -------
        email.message.EmailMessage
            The mail, from and to this provider's addresses.
        """
        message = EmailMessage()
        message["From"] = formataddr(("Memento", self._from_addr))
        message["To"] = ",".join(self._to_addrs)
        message["Subject"] = one_line(subject)  # a line break would end the header
        message.set_content(content)
        return message

    def send(self, subject: str, body: str) -> None:
        """Send one mail."""
        message = self.create_message(subject, body)
        if self._client is not None:
            self._client.send_message(message)
            return
        config = self._smpt_config
        try:
            with self._connect() as smtp:
                if config.username is not None and config.password is not None:
                    smtp.login(config.username, config.password)
                smtp.send_message(message)
        except (smtplib.SMTPException, OSError) as exc:
            raise self._explained(exc) from None

    def _connect(self) -> smtplib.SMTP:
        config = self._smpt_config
        context = self._context()
        if config.port == IMPLICIT_TLS_PORT:
            return smtplib.SMTP_SSL(config.host, config.port, timeout=self._timeout, context=context)
        smtp = smtplib.SMTP(config.host, config.port, timeout=self._timeout)
        try:
            smtp.starttls(context=context)
        except BaseException as exc:
            if config.require_tls or not isinstance(exc, smtplib.SMTPNotSupportedError):
                smtp.close()
                raise
        return smtp

    def _context(self) -> ssl.SSLContext:
        if self._ssl_context is not None:
            return self._ssl_context
        context = ssl.create_default_context()
        if not self._smpt_config.require_tls:
            # Whoever allows an open connection gets no less from an encrypted one to a stranger: mail servers
            # on one's own machine offer STARTTLS with a certificate that nobody signed.
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def _explained(self, exc: Exception) -> MailNotSent:
        config = self._smpt_config
        reason = redact(str(exc) or type(exc).__name__, (config.password,))
        if isinstance(exc, smtplib.SMTPAuthenticationError):
            todo = "Check username and password; many providers want a password made for programs."
        elif isinstance(exc, smtplib.SMTPNotSupportedError):
            todo = "The server offers no encryption: pass require_tls=False to send without."
        elif isinstance(exc, ssl.SSLCertVerificationError):
            todo = "Pass ssl_context=, or set SSL_CERT_FILE, to trust the server's certificate."
        else:
            todo = "Check host and port, and whether the server is up."
        return MailNotSent(
            f"no mail was sent through {config.host}:{config.port}: {type(exc).__name__}: {one_line(reason)}. {todo}"
        )

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        state["_ssl_context"] = None  # contexts cannot be pickled; the system's serves elsewhere
        return state


class MailNotSent(OSError):
    """A mail could not be sent: through which server, why, and what to do."""
