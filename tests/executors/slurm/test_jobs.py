"""Jobs are asked for, looked at and cancelled as a site likes it, whatever its commands answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from memento.errors import WorkerStartError
from memento.executors.slurm.jobs import Jobs
from memento.executors.slurm.script import JobRequest
from memento.executors.slurm.slurm_commands import Answer
from memento.executors.slurm.slurm_options import SlurmOptions


class Clock:
    """Time that tests turn."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


class FakeCall:
    """A command that answers when its time has come."""

    def __init__(self, slurm: FakeSlurm, answer: Answer, seconds: float) -> None:
        self._slurm, self._answer, self._at = slurm, answer, slurm.clock.time + seconds
        slurm.running += 1
        slurm.most = max(slurm.most, slurm.running)

    def answer(self, wait: float = 0.0) -> Answer | None:
        self._slurm.clock.time += wait
        if self._slurm.clock.time < self._at:
            return None
        self._slurm.running -= 1
        return self._answer

    def end(self) -> None:
        self._slurm.running -= 1


class FakeSlurm:
    """Plays Slurm's commands: what they are asked is kept, what they answer is a function of it."""

    def __init__(self, clock: Clock, logs: Path) -> None:
        self.clock, self.logs = clock, logs
        self.asked: list[tuple[float, tuple[str, ...]]] = []
        self.environment: dict[str, str] = {}
        self.running = self.most = 0  # commands at once
        self.seconds = 0.5  # that a command takes
        self.jobs: dict[str, list[str]] = {}  # id -> lines of squeue
        self.state, self.reason, self.host = "RUNNING", "None", "n1"
        self.rules: dict[str, Callable[[tuple[str, ...]], Answer | None]] = {}

    @property
    def calls(self) -> list[float]:
        return [at for at, _ in self.asked if self.clock.time - at < 600.0]

    def of(self, command: str) -> list[tuple[str, ...]]:
        return [arguments for _, arguments in self.asked if arguments[0] == command]

    def start(self, *arguments: str, limit: float = 60.0) -> FakeCall:
        answer = self.run(*arguments)
        seconds = limit if answer.code is None else self.seconds
        return FakeCall(self, answer, seconds)

    def run(self, *arguments: str, limit: float = 60.0) -> Answer:
        self.asked.append((self.clock.time, arguments))
        rule = self.rules.get(arguments[0])
        answer = rule(arguments) if rule is not None else None
        return answer if answer is not None else self._as_usual(arguments)

    def _as_usual(self, arguments: tuple[str, ...]) -> Answer:
        if arguments[0] == "sbatch" and "--test-only" not in arguments:
            number, script = str(100 + len(self.jobs)), Path(arguments[-1])
            text = script.read_text()
            count = int(text.partition("--array=0-")[2].partition("\n")[0] or 0) + 1
            places = [(str(k) if count > 1 else "N/A") for k in range(count)]
            self.jobs[number] = [f"{number}|{place}|{number}|{{}}|{{}}|{{}}|{script}" for place in places]
            return Answer(0, f"{number}\n", "")
        if arguments[0] == "squeue":
            lines = [line for lines in self.jobs.values() for line in lines]
            text = "".join(line.format(self.state, self.reason, self.host) + "\n" for line in lines)
            return Answer(0, text, "")
        if arguments[0] == "sinfo":
            return Answer(0, "main|infinite|up\nshort|30:00|up\n", "")
        return Answer(0, "", "")


class Played:
    """Jobs over a Slurm that is played."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        (folder / "jobs").mkdir()
        (folder / "logs").mkdir()
        self.slurm = FakeSlurm(self.clock, folder / "logs")

        def request(pilots: object) -> JobRequest:
            assert isinstance(pilots, list)
            return JobRequest("run-1", ["pilot"], pilots, cpus=1)

        self.jobs = Jobs(
            SlurmOptions(),
            request,
            folder / "jobs",
            folder / "logs",
            "run-1",
            self.slurm,  # type: ignore[arg-type]  # plays Commands
            self.clock,
        )

    def pass_time(self, seconds: float, *, suspicious: bool = False, step: float = 0.5) -> None:
        end = self.clock.time + seconds
        while self.clock.time < end:
            self.clock.time += step
            self.jobs.tend(suspicious=suspicious)


@pytest.fixture
def played(tmp_path: Path) -> Played:
    return Played(tmp_path)


def names(count: int, start: int = 0) -> list[str]:
    return [f"p{number:04d}" for number in range(start, start + count)]


def test_a_site_sees_few_calls_of_three_hundred_jobs_and_never_two_at_once(played: Played) -> None:
    asked = 0
    for growth in (2, 2, 4, 8, 16, 32, 64, 128, 44):  # as a cluster gives them: as many more as run
        played.jobs.ask(names(growth, asked))
        asked += growth
        played.pass_time(20.0)
        for name in names(asked):
            played.jobs.here(name)
    assert asked == 300
    played.pass_time(420.0)
    assert len(played.slurm.calls) <= 25
    assert played.slurm.most == 1
    assert len(played.slurm.of("sbatch")) == 9
    played.pass_time(1200.0)
    assert len(played.slurm.calls) <= 5, "while nothing changes, one look each three minutes"


@pytest.mark.parametrize(
    "answer",
    [None, Answer(1, "", "slurm_load_jobs error: Invalid job id specified"), Answer(0, "<html>", "")],
)
def test_a_look_that_hangs_or_tells_nonsense_changes_nothing(played: Played, answer: Answer | None) -> None:
    played.slurm.rules["squeue"] = lambda arguments: answer or Answer(None, "", "")
    played.jobs.ask(names(2))
    played.pass_time(1800.0, suspicious=True)
    assert played.jobs.gone() == {}
    assert all(map(played.jobs.is_known, names(2)))
    assert played.slurm.most == 1


def test_a_job_that_looks_do_not_show_is_gone_after_three_where_nothing_is_heard_of_it(
    played: Played,
) -> None:
    played.jobs.ask(names(1))
    played.pass_time(10.0)
    played.jobs.here("p0000")
    played.slurm.jobs.clear()
    played.pass_time(40.0, suspicious=True)
    played.jobs.fall_silent("p0000")
    assert played.jobs.is_known("p0000")
    played.pass_time(120.0, suspicious=True)
    assert not played.jobs.is_known("p0000")
    assert played.jobs.gone() == {}, "it may live on, as long as something is heard of it"
    played.jobs.fall_silent("p0000")
    assert "Slurm does not know its job any more" in played.jobs.gone()["p0000"]
    assert len(played.slurm.of("sacct")) == 1


def test_what_accounting_says_of_a_vanished_job_counts_and_without_it_the_controller_is_asked(
    played: Played,
) -> None:
    played.slurm.rules["sacct"] = lambda arguments: Answer(1, "", "Slurm accounting storage is disabled")
    played.slurm.rules["scontrol"] = lambda arguments: Answer(
        0, "JobId=100 JobState=NODE_FAIL Reason=None", ""
    )
    played.jobs.ask(names(1))
    played.pass_time(10.0)
    played.slurm.jobs.clear()
    played.pass_time(60.0, suspicious=True)
    assert played.jobs.gone() == {"p0000": "its node failed on n1 (Slurm job 100)"}


@pytest.mark.parametrize("failures", [1, 5])
def test_a_site_that_takes_no_more_is_asked_later_and_it_is_no_error(played: Played, failures: int) -> None:
    left = [Answer(1, "", "sbatch: error: QOSMaxSubmitJobPerUserLimit")] * failures

    played.slurm.rules["sbatch"] = lambda arguments: left.pop() if left else None
    played.jobs.ask(names(1))
    played.pass_time(5.0 * 2**failures + 20.0)
    assert len(played.slurm.of("sbatch")) == failures + 1
    assert len(played.slurm.jobs) == 1
    assert len(played.jobs.notes) == (failures >= 3)
    assert "not taken yet" not in played.jobs.standing()


def test_as_many_jobs_are_submitted_as_a_user_may_have_though_more_are_wanted(played: Played) -> None:
    most = 3

    def within_the_limit(arguments: tuple[str, ...]) -> Answer | None:
        size = int(Path(arguments[-1]).read_text().partition("--array=0-")[2].partition("\n")[0] or 0) + 1
        there = sum(map(len, played.slurm.jobs.values()))
        return Answer(1, "", "sbatch: error: AssocMaxSubmitJobLimit") if there + size > most else None

    played.slurm.rules["sbatch"] = within_the_limit
    played.jobs.ask(names(8))
    played.pass_time(30.0)
    assert sum(map(len, played.slurm.jobs.values())) == 3
    most = 8
    played.pass_time(300.0)
    assert sum(map(len, played.slurm.jobs.values())) == 8
    assert len(played.slurm.of("sbatch")) <= 14


def test_the_longer_a_site_refuses_the_more_seldom_it_is_asked(played: Played) -> None:
    played.slurm.rules["sbatch"] = lambda arguments: Answer(1, "", "sbatch: error: AssocMaxSubmitJobLimit")
    played.jobs.ask(names(2))
    played.pass_time(3600.0, step=2.0)
    assert len(played.slurm.of("sbatch")) <= 20
    assert "2 jobs not taken yet: sbatch: error: AssocMaxSubmitJobLimit" in played.jobs.standing()


def test_a_submission_that_timed_out_is_found_in_the_queue_and_not_made_twice(played: Played) -> None:
    def times_out(arguments: tuple[str, ...]) -> Answer:
        played.slurm._as_usual(arguments)
        return Answer(
            1, "", "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation"
        )

    played.slurm.rules["sbatch"] = times_out
    played.jobs.ask(names(2))
    played.pass_time(200.0)
    assert len(played.slurm.of("sbatch")) == 1
    assert [job.id for job in played.jobs.queue.jobs.values()] == ["100_0", "100_1"]


def test_a_submission_that_timed_out_and_was_not_taken_is_made_again(played: Played) -> None:
    answers = [Answer(None, "", "")]
    played.slurm.rules["sbatch"] = lambda arguments: answers.pop() if answers else None
    played.jobs.ask(names(1))
    played.pass_time(1200.0, step=1.0)
    assert len(played.slurm.jobs) == 1
    assert played.jobs.is_known("p0000")


def test_an_array_that_is_too_large_for_the_site_is_made_of_smaller_ones(played: Played) -> None:
    def at_most_five(arguments: tuple[str, ...]) -> Answer | None:
        size = int(Path(arguments[-1]).read_text().partition("--array=0-")[2].partition("\n")[0] or 0) + 1
        told = "sbatch: error: Batch job submission failed: Invalid job array specification"
        return Answer(1, "", told) if size > 5 else None

    played.slurm.rules["sbatch"] = at_most_five
    played.jobs.ask(names(20))
    played.pass_time(60.0)
    assert sum(map(len, played.slurm.jobs.values())) == 20
    assert max(map(len, played.slurm.jobs.values())) == 5


@pytest.mark.parametrize(
    "text", ["invalid partition specified: nix", "Invalid account or account/partition combination specified"]
)
def test_what_slurm_never_takes_is_told_at_once_with_the_partitions_that_there_are(
    played: Played, text: str
) -> None:
    played.slurm.rules["sbatch"] = lambda arguments: Answer(1, "", f"sbatch: error: {text}")
    with pytest.raises(WorkerStartError, match=rf"{text}.*Partitions here: main, short \(30:00\)"):
        played.jobs.check()


def test_a_dry_submission_that_finds_no_node_proves_nothing_for_all_may_be_drained(played: Played) -> None:
    text = "allocation failure: Requested node configuration is not available"
    played.slurm.rules["sbatch"] = lambda arguments: Answer(1, "", text)
    played.jobs.check()


def test_jobs_that_would_wait_for_ever_are_told_after_some_seconds(played: Played) -> None:
    played.slurm.state, played.slurm.reason = "PENDING", "PartitionTimeLimit"
    played.jobs.ask(names(2))
    with pytest.raises(WorkerStartError, match=r"wait for ever \(PartitionTimeLimit\).*lower time="):
        played.pass_time(8.0)


def test_an_answer_that_nobody_knows_is_borne_some_times(played: Played) -> None:
    played.slurm.rules["sbatch"] = lambda arguments: Answer(1, "", "sbatch: error: ask your administrator")
    played.jobs.ask(names(1))
    with pytest.raises(WorkerStartError, match=r"5 times in a row: .*ask your administrator"):
        played.pass_time(600.0)


def test_a_setup_that_fails_is_told_by_what_it_printed_before_slurm_says_anything(played: Played) -> None:
    played.jobs.ask(names(2))
    played.pass_time(1.5)
    (played.slurm.logs / "p0000-0.out").write_text(
        "bash: module: command not found\nmemento: setup failed: module x\n"
    )
    with pytest.raises(WorkerStartError, match=r"(?s)setup of a job failed.*module: command not found"):
        played.pass_time(1.0)


def test_what_was_not_begun_is_cancelled_and_what_leaves_by_itself_is_not(played: Played) -> None:
    played.jobs.ask(names(2))
    played.pass_time(5.0)
    played.jobs.here("p0000")
    played.jobs.cancel(names(2))
    played.pass_time(5.0)
    assert played.slurm.of("scancel") == [("scancel", "100_1")]
    played.pass_time(60.0)
    assert played.slurm.of("scancel")[1:] == [("scancel", "100_0")], "it has not gone, as a look has shown"


def test_a_job_that_is_cancelled_while_it_is_submitted_is_cancelled_then(played: Played) -> None:
    played.jobs.ask(names(1))
    played.jobs.cancel(names(1))
    played.pass_time(10.0)
    assert len(played.slurm.of("sbatch")) == 1
    assert played.slurm.of("scancel") == [("scancel", "100")]


def test_at_the_end_all_jobs_are_cancelled_by_the_runs_name(played: Played) -> None:
    played.jobs.ask(names(2))
    played.pass_time(5.0)
    played.jobs.ask(names(2, 2))
    played.jobs.finish()
    assert played.slurm.of("scancel")[0][-2:] == ("-n", "run-1")
    played.pass_time(60.0)
    assert len(played.slurm.of("sbatch")) == 2


def test_a_job_whose_number_a_store_has_told_is_cancelled_only_where_it_has_the_name_of_a_dead_run(
    tmp_path: Path,
) -> None:
    played = Played(tmp_path)
    played.jobs.know(["memento-r0"])
    played.jobs.adopt("r0/p0001", "4711", "node")
    played.jobs.finish()
    assert played.slurm.of("scancel")[1][-3:] == ("-n", "memento-r0", "4711")


def test_what_jobs_wait_for_is_said_in_plain_words(played: Played) -> None:
    played.slurm.state, played.slurm.reason = "PENDING", "Priority"
    played.jobs.ask(names(5))
    played.pass_time(8.0)
    assert played.jobs.standing() == (
        "Slurm jobs 100_0, 100_1 and 3 more wait (Priority: jobs of higher priority are before it)"
    )


@pytest.mark.parametrize("is_seen", [True, False])
def test_where_a_job_could_not_even_make_its_output_the_line_for_a_shared_store_is_told(
    played: Played, is_seen: bool
) -> None:
    (name,) = names(1)
    played.jobs.ask([name])
    played.pass_time(5.0)
    if is_seen:
        played.jobs.output_file(name).touch()
    played.jobs.ended_early(name)
    with pytest.raises(WorkerStartError, match="printed nothing") as caught:
        played.jobs.ended_early(name)
    assert ('store="/shared/store"' in str(caught.value)) is not is_seen
