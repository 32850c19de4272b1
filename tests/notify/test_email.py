from __future__ import annotations

import smtplib
import socket
import ssl
from email.utils import parseaddr
from pathlib import Path
from unittest.mock import Mock

import pytest

from memento.notify.email import EmailNotificationProvider, MailNotSent, SmtpConfiguration
from memento.notify.messages import HELD, Digest
from tests.display.fakes import SetClock
from tests.notify.fakes import FINISHED, STARTED, MailServer, failed, group

FROM, TO = "sender@example.org", ["receiver@example.org", "other@example.org"]


def test_the_last_mail_is_sent_encrypted_with_login(mail_server: MailServer, trust: ssl.SSLContext) -> None:
    smtp = SmtpConfiguration(mail_server.host, mail_server.port, "u", "sesame")
    provider = EmailNotificationProvider(smtp, FROM, TO, ssl_context=trust)
    provider.on_event(STARTED)
    provider.on_event(FINISHED)
    (mail,) = mail_server.mails
    assert mail.encrypted
    assert mail.login
    assert mail.to == TO
    assert mail.subject == "[Memento] experiment:experiment: 95 done, 5 cached, 5 failed (2 min 3 s)"
    assert "all 5 have dataset=load_wine_broken" in mail.body


def test_the_systems_certificates_can_be_named_by_environment(
    mail_server: MailServer, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    smtp = SmtpConfiguration(mail_server.host, mail_server.port, "u", "sesame")
    EmailNotificationProvider(smtp, FROM, TO).send("hello", "It works.")
    assert [mail.subject for mail in mail_server.mails] == ["hello"]


def test_a_server_that_nobody_vouches_for_gets_no_password(mail_server: MailServer) -> None:
    smtp = SmtpConfiguration(mail_server.host, mail_server.port, "u", "sesame")
    with pytest.raises(MailNotSent, match="SSL_CERT_FILE"):
        EmailNotificationProvider(smtp, FROM, TO).send("hello", "It works.")
    assert mail_server.mails == []


def test_without_require_tls_mail_is_encrypted_where_it_can_be(mail_server: MailServer) -> None:
    smtp = SmtpConfiguration(mail_server.host, mail_server.port, "u", "sesame", require_tls=False)
    EmailNotificationProvider(smtp, FROM, TO).send("hello", "It works.")
    assert [mail.encrypted for mail in mail_server.mails] == [True]


def test_a_server_without_tls_is_refused_by_default(open_mail_server: MailServer) -> None:
    smtp = SmtpConfiguration(open_mail_server.host, open_mail_server.port)
    with pytest.raises(MailNotSent, match="require_tls=False"):
        EmailNotificationProvider(smtp, FROM, TO).send("hello", "It works.")
    assert open_mail_server.mails == []


def test_a_server_without_tls_is_used_where_that_is_allowed(open_mail_server: MailServer) -> None:
    smtp = SmtpConfiguration(open_mail_server.host, open_mail_server.port, require_tls=False)
    EmailNotificationProvider(smtp, FROM, TO).send("hello", "It works.")
    assert [mail.encrypted for mail in open_mail_server.mails] == [False]


def test_a_wrong_password_is_named_as_the_cause_and_not_shown(
    mail_server: MailServer, trust: ssl.SSLContext
) -> None:
    smtp = SmtpConfiguration(mail_server.host, mail_server.port, "u", "opensesame")
    provider = EmailNotificationProvider(smtp, FROM, TO, ssl_context=trust)
    with pytest.raises(MailNotSent, match="Check username and password") as caught:
        provider.send("hello", "It works.")
    assert "opensesame" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_server_that_is_down_is_named(trust: ssl.SSLContext) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: nobody else gets it, nobody answers
        port = unused.getsockname()[1]
        provider = EmailNotificationProvider(
            SmtpConfiguration("127.0.0.1", port), FROM, TO, ssl_context=trust
        )
        with pytest.raises(MailNotSent, match=rf"127\.0\.0\.1:{port}.*refused"):
            provider.send("hello", "It works.")


def test_a_server_that_hangs_is_given_up(hanging_port: int) -> None:
    provider = EmailNotificationProvider(SmtpConfiguration("127.0.0.1", hanging_port), FROM, TO, timeout=0.2)
    with pytest.raises(MailNotSent, match="timed out"):
        provider.send("hello", "It works.")


def test_a_first_failure_is_mailed_at_once_and_only_once(open_mail_server: MailServer) -> None:
    smtp = SmtpConfiguration(open_mail_server.host, open_mail_server.port, require_tls=False)
    provider, clock = EmailNotificationProvider(smtp, FROM, TO), SetClock()
    provider._digest = Digest(900.0, clock)
    provider.on_event(STARTED)
    clock.time += HELD
    for i in range(50):
        provider.on_event(failed(group(f"Error{i}: bad")))
    (mail,) = open_mail_server.mails
    assert mail.subject == "[Memento] experiment:experiment: Error0: bad"
    assert "Traceback" in mail.body


@pytest.mark.parametrize("to_addrs", [["receiver@example.org"], ["a@example.org", "b@example.org"]])
@pytest.mark.parametrize(
    ("method", "text"),
    [
        ("task_completed", "Task completed"),
        ("all_tasks_completed", "All tasks completed"),
        ("task_failure", "Task failed"),
    ],
)
def test_the_methods_of_1_2_0_send_its_mails_through_the_users_own_client(
    method: str, text: str, to_addrs: list[str]
) -> None:
    client = Mock(spec_set=smtplib.SMTP)
    getattr(EmailNotificationProvider(client, FROM, to_addrs), method)()
    ((message,), _) = client.send_message.call_args
    assert parseaddr(message["from"]) == ("Memento", FROM)
    assert message["to"] == ", ".join(to_addrs)
    assert message["subject"] == f"[Memento] {text}"
    assert message.get_payload().strip() == text


def test_its_properties_are_those_of_1_2_0() -> None:
    smtp = SmtpConfiguration("localhost", 25)
    provider = EmailNotificationProvider(smtp, FROM, TO)
    assert (provider.smpt, provider.from_addr, provider.to_addrs) == (smtp, FROM, TO)
    assert smtp == ("localhost", 25, None, None, True)


def test_a_password_is_never_shown() -> None:
    smtp = SmtpConfiguration("localhost", 25, "u", "sesame")
    provider = EmailNotificationProvider(smtp, FROM, TO)
    for text in (repr(smtp), str(smtp), repr(provider), str(provider), f"{provider!r}"):
        assert "sesame" not in text
        assert "localhost" in text


def test_a_subject_cannot_add_headers() -> None:
    provider = EmailNotificationProvider(SmtpConfiguration("localhost", 25), FROM, TO)
    message = provider.create_message("hello\r\nBcc: somebody@example.org", "text")
    assert message["Bcc"] is None


def test_receivers_given_as_an_iterator_last_for_every_mail(open_mail_server: MailServer) -> None:
    smtp = SmtpConfiguration(open_mail_server.host, open_mail_server.port, require_tls=False)
    provider = EmailNotificationProvider(smtp, FROM, iter(TO))
    provider.send("one", "text")
    provider.send("two", "text")
    assert [mail.to for mail in open_mail_server.mails] == [TO, TO]
