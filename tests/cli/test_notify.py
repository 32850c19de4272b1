"""`memento notify test`, and `memento run --notify`, to servers on this machine."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import pytest

from memento.cli.notify import VARIABLE, provider
from tests.cli.calling import GENEROUS, memento, start, wait_until
from tests.notify.conftest import open_mail_server as open_mail_server
from tests.notify.conftest import webhook as webhook
from tests.notify.fakes import MailServer, Webhook

# What the requests library, which Apprise uses, warns about on some versions of its own dependencies.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(autouse=True)
def no_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.mark.slow
def test_a_test_message_reaches_each_address(open_mail_server: MailServer, webhook: Webhook) -> None:
    mail = f"smtp://u:sesame@{open_mail_server.host}:{open_mail_server.port}?to=a@example.org&tls=no"
    told = memento("notify", "test", mail.replace("u:sesame@", ""), f"json://127.0.0.1:{webhook.port}/ok")
    assert (told.code, told.err) == (0, "")
    assert told.out == f"smtp://{open_mail_server.host}:{open_mail_server.port}  sent\njson://...  sent\n"
    assert [mail.subject for mail in open_mail_server.mails] == ["[Memento] test"]
    assert webhook.posts[0]["title"] == "[Memento] test"


@pytest.mark.slow
def test_an_address_that_takes_nothing_is_said_without_its_secrets(webhook: Webhook) -> None:
    port = webhook.port
    addresses = [f"json://u:sesame@127.0.0.1:{port}/busy/channelkey", f"json://127.0.0.1:{port}/ok"]
    told = memento("notify", "test", *addresses)
    assert told.code == 1
    assert "not sent" in told.out
    assert "503" in told.out
    assert told.out.endswith("json://...  sent\n")
    for secret in ("sesame", "channelkey"):
        assert secret not in told.out + told.err
    (bad, good) = memento("notify", "test", "--json", *addresses).json["sent"]
    assert (bad["sent"], good["sent"], good["problem"]) == (False, True, None)
    assert "sesame" not in bad["problem"]


def test_the_environment_says_where_messages_go(monkeypatch: pytest.MonkeyPatch, webhook: Webhook) -> None:
    one = f"json://127.0.0.1:{webhook.port}/ok"
    monkeypatch.setenv(VARIABLE, f" {one}  {one}?two\n")
    assert memento("notify", "test").code == 0
    assert len(webhook.posts) == 2


@pytest.mark.parametrize("addresses", [(), ("sesame",), ("smtp://u:sesame@h",)])
def test_without_an_address_or_with_a_wrong_one_it_says_how_to_write_one(addresses: tuple[str, ...]) -> None:
    told = memento("notify", "test", *addresses)
    assert (told.code, told.out) == (2, "")
    assert "smtp://USER:PASSWORD@HOST:PORT?to=ADDRESS" in told.err
    assert "sesame" not in told.err


@pytest.mark.parametrize("by", ["option", "environment"])
def test_a_run_tells_its_end_with_the_best_and_the_failures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, webhook: Webhook, by: str
) -> None:
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / f"told_{by}.py").write_text(
        "def grid(context, config):\n    if config.x == 3:\n        raise ValueError('three')\n"
        "    return config.x / 2\n"
    )
    (tmp_path / "matrix.yaml").write_text("parameters:\n  x: [1, 2, 3]\n")
    address = f"json://127.0.0.1:{webhook.port}/ok"
    if by == "environment":
        monkeypatch.setenv(VARIABLE, address)
    options = ["--notify", address] if by == "option" else []
    target = f"{tmp_path / f'told_{by}.py'}:grid"
    told = memento(
        "run", target, tmp_path / "matrix.yaml", "--executor", "serial", "--store", tmp_path / "s", *options
    )
    assert told.code == 1
    (post,) = webhook.posts
    assert f"told_{by}.py:grid: 2 done, 1 failed" in post["title"]
    assert "highest value: 1 with x=2" in post["message"]
    assert "1 task: ValueError: three" in post["message"]


def test_a_wrong_address_is_said_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "wrong_address.py").write_text("def grid(context, config):\n    1 / 0\n")
    (tmp_path / "matrix.yaml").write_text("parameters:\n  x: [1]\n")
    target = f"{tmp_path / 'wrong_address.py'}:grid"
    told = memento("run", target, tmp_path / "matrix.yaml", "--store", tmp_path / "s", "--notify", "sesame")
    assert told.code == 2
    assert "--notify: address 1" in told.err
    assert "sesame" not in told.err
    assert not (tmp_path / "s").exists()


@pytest.mark.slow
@pytest.mark.real
def test_a_failure_is_told_while_the_run_goes_on_and_all_of_them_at_its_end(
    tmp_path: Path, open_mail_server: MailServer
) -> None:
    (tmp_path / "goes_on.py").write_text(
        "import time\n\ndef grid(context, config):\n    if config.x < 3:\n        raise ValueError('small')\n"
        "    while not config.settings['end'].exists():\n        time.sleep(0.05)\n    return config.x\n"
    )
    end = tmp_path / "end"
    (tmp_path / "matrix.yaml").write_text("parameters:\n  x: [1, 2, 3]\nsettings:\n  end: !py goes_on:END\n")
    with (tmp_path / "goes_on.py").open("a") as file:
        file.write(f"\nimport pathlib\nEND = pathlib.Path({str(end)!r})\n")
    address = f"smtp://{open_mail_server.host}:{open_mail_server.port}?to=a@example.org&tls=no"
    line = ("run", "goes_on.py:grid", "matrix.yaml", "-j", "2", "--notify", address)
    with start(*line, cwd=tmp_path) as process:
        wait_until(lambda: open_mail_server.mails, process)
        assert "ValueError: small" in open_mail_server.mails[0].subject
        # The message may go before the second failure is known.
        assert re.search("0 of 3 tasks done, [12] failed", open_mail_server.mails[0].body)
        end.touch()
        process.communicate(timeout=GENEROUS)
    assert process.returncode == 1
    assert [mail.subject.rpartition(" (")[0] for mail in open_mail_server.mails[1:]] == [
        "[Memento] goes_on.py:grid: 1 done, 2 failed"
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_only_what_the_environment_asks_for_is_left_out_where_somebody_watches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address = "smtp://localhost?to=a@example.org"
    monkeypatch.setenv(VARIABLE, address)
    monkeypatch.setattr(sys, "stderr", Terminal())
    by_hand, by_environment = provider([address]), provider([])
    assert by_hand is not None
    assert by_environment is not None
    assert (by_hand.shortest, by_environment.shortest) == (0.0, 60.0)
    monkeypatch.delenv(VARIABLE)
    assert provider([]) is None
