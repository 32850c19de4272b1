"""Which messages a run sends, and what they say."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from memento.events import (
    CommandTaken,
    Event,
    FailureGroup,
    RunFinished,
    RunStarted,
    TasksFinished,
    Tick,
    WarningGroup,
    WorkerState,
)
from memento.notify.messages import HELD, Digest, end_message, redact
from tests.display.fakes import SetClock
from tests.notify.fakes import FINISHED, STARTED, failed, group

HOUR = 3600.0
LONG = WorkerState("1", "ab12cd34" * 4, "lr=0.1", 700.0, doing="waits for step load('x')")
SHORT = WorkerState("2", "cd12cd34" * 4, "lr=0.2", 7.0)


def tick(*running: WorkerState, eta: float | None = None, elapsed: float = HOUR) -> Tick:
    return Tick(105, 10, 5, 0, running[::-1], elapsed, eta, 1.0)


class Story:
    """Tells a digest what happens, and when."""

    def __init__(self, every: float = 900.0, started: RunStarted = STARTED) -> None:
        self.clock = SetClock()
        self.digest = Digest(every, self.clock)
        self(started)

    def __call__(self, event: Event, after: float = 0.0) -> tuple[str, str] | None:
        self.clock.time += after
        return self.digest.message(event)

    def quiet(self, after: float, event: Event) -> bool:
        return self(event, after) is None

    def told(self, after: float, event: Event) -> tuple[str, str]:
        message = self(event, after)
        assert message is not None
        return message

    def estimate(self, after: float, eta: float, elapsed: float = HOUR) -> tuple[str, str] | None:
        """A task finishes, and the end is so many seconds away."""
        finished = self(TasksFinished(1, 0, HOUR), after)
        return self(tick(LONG, eta=eta, elapsed=elapsed)) or finished


def test_the_last_message_says_what_matters() -> None:
    subject, body = end_message(FINISHED)
    assert subject == "[Memento] experiment:experiment: 95 done, 5 cached, 5 failed (2 min 3 s)"
    assert body == (
        "experiment:experiment finished in 2 min 3 s.\n"
        "105 tasks: 95 done, 5 cached, 5 failed\n"
        "Store: /data/memento-store\n"
        "\n"
        "Run it again to compute what has failed once more; what is done stays.\n"
        "    memento ls --failed --store /data/memento-store\n"
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
    clock.time += HELD
    assert digest.message(failed(group("Error0: bad"))) is not None
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
    clock.time += HELD
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


def test_a_grid_that_fails_and_ends_in_seconds_sends_its_end_alone() -> None:
    clock = SetClock()
    digest = Digest(900.0, clock)
    told = []
    for event in (STARTED, failed(group()), TasksFinished(0, 5, 1.0), FINISHED):
        told.append(digest.message(event))
        clock.time += HELD / 5
    assert [message is not None for message in told] == [False, False, False, True]


def test_a_stall_is_told_once_with_what_runs_and_again_only_after_something_finished() -> None:
    story = Story(600.0)
    story(TasksFinished(10, 0, 1000.0))  # 100 s each
    assert story.quiet(499, tick(LONG))
    subject, body = story.told(1, tick(LONG, SHORT))
    assert subject == "[Memento] experiment:experiment: nothing has finished for 8 min 20 s"
    assert "a task takes 1 min 40 s as a rule" in body
    assert body.index("lr=0.1") < body.index("lr=0.2")
    assert "memento logs -f ab12cd34ab1 " in body
    assert story.quiet(100_000, tick(LONG))
    story(TasksFinished(1, 0, 100.0))
    assert story.quiet(499, tick(LONG))
    assert story.told(200, tick(LONG)) is not None


def test_no_stall_is_told_of_tasks_that_take_as_long_as_another_or_of_a_paused_run_or_where_nothing_is_usual() -> (
    None
):
    story = Story()
    assert story.quiet(10_000, tick(LONG))  # who knows how long they take
    story(TasksFinished(10, 0, 10.0))
    assert story.quiet(3_000, tick(LONG)._replace(longest=3_600.0))
    story(CommandTaken("pause", "ada", "paused", "memento resume", done=True))
    assert story.quiet(10_000, tick())
    story(CommandTaken("resume", "ada", "goes on", "memento pause", done=True))
    assert story.quiet(59, tick(LONG))
    assert "nothing has finished" in story.told(1, tick(LONG))[0]


def test_a_first_task_that_takes_five_times_the_forecast_is_a_stall() -> None:
    story = Story(started=STARTED._replace(forecast=5_000.0))  # 100 tasks on 2 workers: 100 s each
    assert story.quiet(499, tick(LONG))
    assert "nothing has finished for 8 min 20 s" in story.told(1, tick(LONG))[0]


def test_an_end_that_moves_away_for_good_is_told_with_old_and_new() -> None:
    story = Story(started=STARTED._replace(forecast=4 * HOUR))
    assert story.estimate(HOUR, 4.9 * HOUR) is None  # less than half as long again
    assert story.estimate(10, 8 * HOUR) is None  # now and then an estimate is wrong
    assert story.estimate(400, 4 * HOUR) is None
    assert story.estimate(10, 8 * HOUR) is None
    message = story.estimate(300, 8 * HOUR)
    assert message is not None
    assert message[0] == "[Memento] experiment:experiment: takes 9 h instead of 4 h"
    assert "It was to take 4 h in all, and will take about 9 h: 8 h are left." in message[1]
    assert story.estimate(HOUR, 9 * HOUR) is None  # it is known to take 9 h
    assert story.estimate(HOUR, 13 * HOUR) is None
    message = story.estimate(300, 13 * HOUR)
    assert message is not None
    assert "takes 14 h instead of 9 h" in message[0]


def test_half_as_long_again_is_no_news_where_it_is_less_than_half_an_hour() -> None:
    story = Story(started=STARTED._replace(forecast=600.0))
    for _ in range(20):
        assert story.estimate(60, 60.0, elapsed=1000.0) is None


def test_without_a_forecast_an_end_slips_from_the_first_estimate_that_has_seen_something() -> None:
    story = Story()
    assert story.estimate(1, 60.0, elapsed=1.0) is None  # of one task
    assert story.estimate(HOUR, 9 * HOUR) is None
    assert story.estimate(HOUR, 19 * HOUR) is None
    message = story.estimate(300, 19 * HOUR)
    assert message is not None
    assert "takes 20 h instead of 10 h" in message[0]


def test_what_waited_is_told_in_one_message() -> None:
    story = Story(started=STARTED._replace(forecast=HOUR))
    story(TasksFinished(10, 1, 100.0))
    assert story.told(HELD, failed(group("Error0: bad"))) is not None
    assert story.quiet(1, failed(group("Error1: bad")))
    assert story.quiet(400, tick(LONG, eta=10 * HOUR))
    subject, body = story.told(600, tick(LONG, eta=10 * HOUR))
    assert subject == "[Memento] experiment:experiment: Error1: bad"
    assert "Nothing has finished" in body
    assert "It was to take 1 h" in body


EVENTS = st.one_of(
    st.builds(lambda *told: TasksFinished(*told), st.integers(0, 5), st.integers(0, 5), st.floats(0, 1e4)),
    st.builds(failed, st.builds(group, st.text("abc", max_size=3)), st.booleans()),
    st.builds(
        lambda eta, elapsed: tick(LONG, eta=eta, elapsed=elapsed),
        st.none() | st.floats(0, 1e6),
        st.floats(0, 1e6),
    ),
    st.builds(
        lambda name: CommandTaken(name, "ada", "", "", done=True), st.sampled_from(["pause", "resume"])
    ),
    st.just(STARTED),
    st.just(STARTED._replace(forecast=100.0)),
    st.just(FINISHED),
    st.just(FINISHED._replace(notify=False)),
)


@given(st.lists(st.tuples(EVENTS, st.floats(0, 2_000)), max_size=200), st.floats(1, 2_000))
def test_whatever_happens_a_run_sends_few_messages_and_its_end(
    story: list[tuple[Event, float]], every: float
) -> None:
    clock = SetClock()
    digest = Digest(every, clock)
    times: list[float] = []
    for event, seconds in story:
        clock.time += seconds
        message = digest.message(event)
        if isinstance(event, RunFinished):
            assert (message is not None) == event.notify
        elif message is not None:
            times.append(clock.time)
    assert all(after - before >= every - 1e-6 for before, after in itertools.pairwise(times))


def test_in_days_in_which_all_goes_wrong_there_are_six_messages_a_day() -> None:
    clock = SetClock()
    digest = Digest(900.0, clock)
    digest.message(STARTED)
    told = []
    for number in range(3 * 24 * 60):
        clock.time += 60
        told.append(digest.message(failed(group(f"Error{number}: bad"))))
        told.append(digest.message(TasksFinished(0, 50, 50.0)))
    assert 3 * 6 <= sum(message is not None for message in told) <= 3 * 6 + 5


def test_no_message_holds_a_password() -> None:
    secret = "postgresql://ada:sesame@db.example.org/grid"
    one = group(f"OperationalError: no answer from {secret}")._replace(config=f"db={secret}", output=secret)
    for subject, body in (
        end_message(FINISHED._replace(store=secret, groups=(one,), how_to_go_on=secret)),
        Story(started=STARTED._replace(store=secret)).told(HELD, failed(one)),
    ):
        assert "sesame" not in subject + body
        assert "postgresql://ada:***@db.example.org/grid" in body


def test_what_other_runs_computed_says_nothing_of_how_long_tasks_take() -> None:
    story = Story()
    story(TasksFinished(100, 0, 100.0, shared=99))
    assert story.quiet(499, tick(LONG))
    assert "a task takes 1 min 40 s as a rule" in story.told(1, tick(LONG))[1]


def test_after_the_end_of_a_run_the_next_has_its_messages_as_often_as_the_first() -> None:
    story = Story()
    for number in range(5):  # the pause has grown
        story(failed(group(f"Error{number}: bad")), after=20_000.0)
    story(FINISHED)
    story(STARTED)
    told = [story(failed(group(f"Error{number}: bad")), after=450.0) for number in range(4)]
    assert [message is not None for message in told] == [False, True, False, True]
