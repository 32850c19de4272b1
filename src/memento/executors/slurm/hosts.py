"""Tell a bad host from bad tasks: where everything fails at once, and elsewhere nothing does.

Knows: hosts, how attempts ended there. May not know: Slurm, pilots, queues.

A host is judged while nothing has succeeded on it. What fails there meanwhile is held back: it is told as it is as soon
as the host has a success, or others fare no better; it is run elsewhere where others succeed.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from memento.records import Outcome

QUICK = 10.0  # seconds; a failure after more tells of the task
_ENOUGH = 3  # failures on one host, and none elsewhere ...
# Seconds for which a failure is held back at most; the latter while no other host works.
_HELD, _HELD_ALONE = (20.0, 3.0)


class Held(NamedTuple):
    """A failure that nobody was told of yet."""

    outcome: Outcome
    since: float


class Verdicts(NamedTuple):
    """What became of failures that were held back."""

    told: list[Outcome]  # they are the tasks' own
    elsewhere: list[Outcome]  # the tasks run again, elsewhere
    excluded: list[tuple[str, str]]  # hosts that get nothing more, each with why


class Hosts:
    """How hosts fare.

    Examples
    --------
    >>> hosts = Hosts()
    >>> hosts.succeeded("n1")
    >>> for _ in range(3):
    ...     hosts.ended_early("n2")
    >>> hosts.judge(1.0).excluded
    [('n2', '3 pilots ended there before they had begun, and n1 works')]
    """

    def __init__(self) -> None:
        self._good: Counter[str] = Counter()  # successes
        self._early: Counter[str] = Counter()  # pilots that ended before they had begun
        self._held: dict[str, list[Held]] = {}
        self._failed: Counter[str] = Counter()  # failures there so far
        self._excluded: set[str] = set()
        self._judged: set[str] = set()  # what fails there is the tasks' own
        self._here: set[str] = set()

    def here(self, host: str) -> None:
        """Note that a pilot has begun there."""
        self._here.add(host)

    def succeeded(self, host: str) -> None:
        """Note a success."""
        self._good[host] += 1

    def ended_early(self, host: str) -> None:
        """Note a pilot that ended before it had begun."""
        if host:
            self._early[host] += 1

    def failed(self, host: str, outcome: Outcome, now: float) -> bool:
        """Note a failure; tell whether it is held back."""
        self._failed[host] += 1
        if self._good[host] or host in self._judged or not host or outcome.runtime > QUICK:
            return False
        self._held.setdefault(host, []).append(Held(outcome, now))
        return True

    def release(self) -> list[Outcome]:
        """Return all that is held back: the run ends."""
        told = [one.outcome for held in self._held.values() for one in held]
        self._held.clear()
        return told

    def is_doubtful(self, host: str) -> bool:
        """Tell whether a host gets no more tasks for now."""
        return host in self._excluded or len(self._held.get(host, ())) >= _ENOUGH

    def judge(self, now: float) -> Verdicts:
        """Say what becomes of what is held back."""
        verdicts = Verdicts([], [], [])
        if not self._held and not self._early:
            return verdicts
        no_better = sum(len(held) >= _ENOUGH for held in self._held.values()) > 1 and not any(
            self._good.values()
        )
        patience = _HELD if len(self._here) > 1 else _HELD_ALONE
        for host, held in list(self._held.items()):
            better = self._better_than(host)
            if host in self._excluded:  # what it had in hand when it was judged
                verdicts.elsewhere.extend(one.outcome for one in held)
            elif not self._good[host] and better and len(held) >= _ENOUGH:
                kind = held[0].outcome.failure
                why = f"{len(held)} tasks failed there at once ({kind.type if kind else '?'}), and {better} works"
                self._exclude(host, why, verdicts)
                verdicts.elsewhere.extend(one.outcome for one in held)
            elif self._good[host] or no_better or now - held[0].since > patience:
                verdicts.told.extend(one.outcome for one in held)
                self._judged.add(host)
            else:
                continue
            del self._held[host]
        for host, count in self._early.items():
            better = self._better_than(host)
            if count >= _ENOUGH and not self._good[host] and better and host not in self._excluded:
                why = f"{count} pilots ended there before they had begun, and {better} works"
                self._exclude(host, why, verdicts)
        return verdicts

    def _better_than(self, host: str) -> str:
        """Return another host on which tasks succeed, and few fail."""
        return next(
            (other for other, good in self._good.items() if other != host and good > self._failed[other]), ""
        )

    def _exclude(self, host: str, why: str, verdicts: Verdicts) -> None:
        self._excluded.add(host)
        verdicts.excluded.append((host, why))
