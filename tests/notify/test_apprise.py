from __future__ import annotations

import pickle
import sys

import pytest

from memento.errors import MissingExtra
from memento.notify.apprise import AppriseNotificationProvider, MessageNotSent
from tests.notify.fakes import FINISHED, STARTED, Webhook

# What the requests library, which Apprise uses, warns about on some versions of its own dependencies.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_the_end_of_a_run_reaches_a_webhook(webhook: Webhook) -> None:
    provider = AppriseNotificationProvider(f"json://127.0.0.1:{webhook.port}/ok")
    provider.on_event(STARTED)
    provider.on_event(FINISHED)
    (post,) = webhook.posts
    assert post["title"] == "[Memento] experiment:experiment: 95 done, 5 cached, 5 failed (2 min 3 s)"
    assert "all 5 have dataset=load_wine_broken" in post["message"]


def test_every_address_gets_the_message(webhook: Webhook) -> None:
    url = f"json://127.0.0.1:{webhook.port}/ok"
    AppriseNotificationProvider(url, url + "?two").task_failure()
    assert [post["title"] for post in webhook.posts] == ["[Memento] Task failed"] * 2


def test_a_service_that_is_busy_is_an_error_that_hides_the_address(webhook: Webhook) -> None:
    provider = AppriseNotificationProvider(f"json://u:sesame@127.0.0.1:{webhook.port}/busy/key")
    with pytest.raises(MessageNotSent, match=r"\(json\)") as caught:
        provider.all_tasks_completed()
    assert "sesame" not in str(caught.value)
    assert "key" not in str(caught.value)


def test_an_address_that_apprise_does_not_know_is_refused_at_once_and_not_shown() -> None:
    with pytest.raises(ValueError, match="address 2 of 2") as caught:
        AppriseNotificationProvider("json://localhost/", "pigeon://loft/sesame")
    assert "sesame" not in str(caught.value)


def test_no_address_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one"):
        AppriseNotificationProvider()


def test_addresses_are_never_shown() -> None:
    provider = AppriseNotificationProvider("json://u:sesame@localhost/key")
    assert repr(provider) == "AppriseNotificationProvider('json://...')"


def test_it_can_be_pickled(webhook: Webhook) -> None:
    provider = AppriseNotificationProvider(f"json://127.0.0.1:{webhook.port}/ok")
    pickle.loads(pickle.dumps(provider)).task_completed()
    assert len(webhook.posts) == 1


def test_without_apprise_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    class Missing:
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            if name == "apprise":
                raise ModuleNotFoundError("No module named 'apprise'", name="apprise")

    for name in [name for name in sys.modules if name.partition(".")[0] == "apprise"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])
    with pytest.raises(MissingExtra, match=r"pip install 'memento-ml\[apprise\]'"):
        AppriseNotificationProvider("json://localhost/")
