from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memento.notify.addresses import AddressesNotificationProvider, MessageNotTaken, WrongAddress
from tests.notify.fakes import FINISHED, STARTED, MailServer, Webhook

# What the requests library, which Apprise uses, warns about on some versions of its own dependencies.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

SECRET = "sesame"


@pytest.mark.slow
def test_a_mail_server_and_apprise_hear_the_end_of_a_run(
    open_mail_server: MailServer, webhook: Webhook
) -> None:
    smtp = f"smtp://{open_mail_server.host}:{open_mail_server.port}?to=a@example.org,b@example.org&tls=no"
    provider = AddressesNotificationProvider([smtp, f"json://127.0.0.1:{webhook.port}/ok"])
    provider.on_event(STARTED)
    provider.on_event(FINISHED)
    (mail,) = open_mail_server.mails
    assert mail.to == ["a@example.org", "b@example.org"]
    assert mail.message["From"] == "Memento <a@example.org>"
    assert mail.subject == webhook.posts[0]["title"]


@pytest.mark.parametrize("busy", [0, 1])
def test_an_address_that_fails_keeps_the_message_from_no_other(webhook: Webhook, busy: int) -> None:
    addresses = [f"json://127.0.0.1:{webhook.port}/ok"]
    addresses.insert(busy, f"json://u:{SECRET}@127.0.0.1:{webhook.port}/busy/channelkey")
    with pytest.raises(MessageNotTaken, match=r"json://\.\.\.: .*503") as caught:
        AddressesNotificationProvider(addresses).send("hello", "It works.")
    assert len(webhook.posts) == 1
    assert SECRET not in str(caught.value)
    assert "channelkey" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "from_addr", "user", "password", "tls"),
    [
        ("smtp://h?to=a@b.org", "a@b.org", None, None, True),
        ("smtp://u%40b.org:p%2F%3A%40@h", "u@b.org", "u@b.org", "p/:@", True),
        ("SMTP://u:p@h:25/?to=a@b.org&from=c@b.org&tls=no", "c@b.org", "u", "p", False),
    ],
)
def test_an_address_says_all_that_a_mail_needs(
    address: str, from_addr: str, user: str | None, password: str | None, tls: bool
) -> None:
    ((_, mail),) = AddressesNotificationProvider([address]).parts
    assert mail.from_addr == from_addr  # type: ignore[attr-defined]  # it is one of ours for mail
    config = mail.smpt  # type: ignore[attr-defined]
    assert (config.username, config.password, config.require_tls) == (user, password, tls)


@pytest.mark.parametrize(
    "address",
    [
        f"xoxb-{SECRET}",
        f"pigeon://{SECRET}",
        f"smtp://u:{SECRET}@h",
        f"smtp://u:{SECRET}@h:port?to=a@b.org",
        f"smtp://u:{SECRET}@h?too=a@b.org",
        f"smtp://u:{SECRET}@h?to=a@b.org&tls=maybe",
        f"smtp://u:{SECRET}@?to=a@b.org",
        f"smtp://u:{SECRET}@h?{SECRET}",
        f"smtp://[{SECRET}?to=a@b.org",
    ],
)
def test_an_address_that_is_not_written_right_is_refused_and_not_shown(address: str) -> None:
    with pytest.raises(WrongAddress, match="address 2 ") as caught:
        AddressesNotificationProvider(["json://localhost/", address])
    assert SECRET not in str(caught.value)
    assert "smtp://USER:PASSWORD@HOST:PORT?to=ADDRESS" in str(caught.value)


def test_no_address_is_an_error() -> None:
    with pytest.raises(WrongAddress, match="there is no address"):
        AddressesNotificationProvider([])


@given(
    st.text("0123456789abcdef", min_size=6, max_size=20), st.sampled_from(["{}", "u:{}@h", "h/{}", "h?to={}"])
)
def test_nothing_of_an_address_but_its_service_is_shown(secret: str, form: str) -> None:
    for scheme in ("json://", "smtp://", "pigeon://", ""):
        address = scheme + form.format(f"x{secret}x")
        try:
            shown = repr(AddressesNotificationProvider([address]))
        except WrongAddress as error:
            shown = f"{error} {error!r}"
        if scheme != "smtp://" or form != "{}":  # a host is no secret
            assert f"x{secret}x" not in shown


def test_a_run_that_somebody_has_watched_is_not_told(webhook: Webhook) -> None:
    provider = AddressesNotificationProvider([f"json://127.0.0.1:{webhook.port}/ok"], shortest=124.0)
    provider.on_event(STARTED)
    provider.on_event(FINISHED)
    provider.on_event(STARTED)
    provider.on_event(FINISHED._replace(elapsed=124.0))
    assert len(webhook.posts) == 1
