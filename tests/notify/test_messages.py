from __future__ import annotations

from memento.events import Event, FailureGroup, TasksFinished, WarningGroup
from memento.notify.messages import Digest, end_message, redact
from tests.display.fakes import SetClock
from tests.notify.fakes import FINISHED, STARTED, failed, group


def test_the_last_message_says_what_matters() -> None:
    subject, body = end_message(FINISHED)
    assert subject == "[Memento] experiment:experiment: 95 done, 5 cached, 5 failed (2 min 3 s)"
    assert body == (
        "experiment:experiment finished in 2 min 3 s.\n"
        "105 tasks: 95 done, 5 cached, 5 failed\n"
        "Store: /data/memento-store\n"
        "\n"
        "5 tasks: ValueError: inconsistent numbers of samples (experiment.py:24)"
        " - all 5 have dataset=load_wine_broken, no success has it\n"
        "    first: dataset=load_wine_broken, model=SVC\n"
        "    memento show ab12cd34ab1\n"
        "\n"
        "Traceback (most recent call last):\n"
        '  File "experiment.py", line 24, in experiment\n'
        "ValueError: inconsistent\n"
        "\n"
        "It printed last:\n"
        "epoch 1\n"
        "epoch 2\n"
    )


def test_the_last_message_tells_what_tasks_warned_of() -> None:
    warned = WarningGroup(
        "UserWarning: odd (exp.py:3)", 4, 9, "n=1", "ab", "all 4 have n=1, no other task has it"
    )
    _, body = end_message(FINISHED._replace(groups=(), warned=(warned,) * 12, notes=("all tasks are odd",)))
    assert "\n\n4 tasks warned: UserWarning: odd (exp.py:3) - all 4 have n=1, no other task has it\n" in body
    assert body.endswith("    first: n=1\nand 2 other warnings\nall tasks are odd\n")


def test_an_interrupted_run_is_told_with_what_is_left() -> None:
    event = FINISHED._replace(
        done=40, failed=0, left=60, interrupted=True, groups=(), how_to_go_on="Run it again."
    )
    subject, body = end_message(event)
    assert subject == "[Memento] experiment:experiment: interrupted, 40 done, 5 cached, 60 left (2 min 3 s)"
    assert "Run it again." in body


def test_the_first_failure_is_told_at_once_and_later_causes_wait() -> None:
    clock = SetClock()
    digest = Digest(900.0, clock)
    digest.message(STARTED)
    told = []
    for i in range(60):
        clock.time += 30
        told.append(digest.message(failed(group(f"Error{i}: bad"))))
    subjects = [message[0] for message in told if message]
    assert subjects[0] == "[Memento] experiment:experiment: Error0: bad"
    assert len(subjects) == 2  # half an hour


def test_causes_that_waited_are_told_together_when_their_time_comes() -> None:
    clock = SetClock()
    digest = Digest(900.0, clock)
    digest.message(STARTED)
    digest.message(failed(group("Error0: bad")))
    assert digest.message(failed(group("Error1: bad"))) is None
    assert digest.message(failed(group("Error2: bad"))) is None
    clock.time += 900
    message = digest.message(TasksFinished(10, 3, 5.0))
    assert message is not None
    assert "Error1: bad" in message[1]
    assert "Error2: bad" in message[1]
    assert "10 of 100 tasks done, 3 failed, 5 cached" in message[1]


def test_repeats_of_a_known_cause_are_not_news() -> None:
    clock = SetClock()
    digest = Digest(900.0, clock)
    digest.message(STARTED)
    assert digest.message(failed(group())) is not None
    clock.time += 10_000
    assert digest.message(failed(group(), first=False)) is None


def test_nobody_is_told_of_the_end_where_the_caller_wants_to() -> None:
    assert Digest(900.0).message(FINISHED._replace(notify=False)) is None


def test_a_run_without_failures_sends_one_message() -> None:
    digest = Digest(900.0)
    events: list[Event] = [STARTED, *[TasksFinished(10, 0, 1.0)] * 10, FINISHED]
    messages = [digest.message(event) for event in events]
    assert sum(m is not None for m in messages) == 1


def test_a_message_stays_short_whatever_failed() -> None:
    endless = FailureGroup(
        "E" * 10_000, "raised", 1, "line\n" * 10_000, "c" * 10_000, "ab", "r" * 10_000, "o\n" * 10_000
    )
    subject, body = end_message(FINISHED._replace(groups=(endless,) * 1000))
    assert len(subject) < 200
    assert len(body) < 20_000
    assert "and 990 other causes" in body


def test_text_of_tasks_is_made_safe() -> None:
    evil = "\x1b[2Jtitle\r\nBcc: somebody@example.org"
    one = FailureGroup(evil, "raised", 1, evil, evil, evil, evil, evil)
    subject, body = end_message(FINISHED._replace(experiment=evil, groups=(one,)))
    assert "\n" not in subject
    assert "\r" not in subject
    assert "\x1b" not in body


def test_addresses_and_passwords_are_taken_out() -> None:
    text = (
        "HTTPSConnectionPool(host='hooks.example.org', port=443): Max retries exceeded with"
        " url: /services/T0/B0/key (slack://T0/B0/key) user:sesame"
    )
    assert "key" not in redact(text)
    assert "sesame" not in redact(text, ["sesame", None, ""])
