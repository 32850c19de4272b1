"""Say what failures have in common: the shortest rule over one or two parameters that sets them apart.

Knows: columns of value numbers, who failed, who succeeded. May not know: stores, configurations, exceptions.

Looked for in this order; the first that holds is said:

    1. one value that all failures have and no success has
    2. one bound that all failures keep and no success keeps (numbers only)
    3. two values that all failures have together and no success has together
    4. the value, bound or pair that best tells failures from successes, if chance is a bad explanation

Everything said is true of the tasks at hand; where nothing tells them apart, nothing is said.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from memento.results.parameters import Axis

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PAIR_VALUES = 24  # values looked at for pairs: 276 pairs at most
_PAIR_SHARE = 0.6  # a value that fewer failures have is not looked at for pairs
_WORTH = 0.5  # least difference of shares among failures and among successes that is worth saying
_PAIR_GAIN = 0.1  # how much better a pair must be than one value to be said instead
_CHANCE = 0.05  # most that chance may explain, over all candidates together


@dataclass(frozen=True)
class Condition:
    """One parameter's part of a rule: equal to a value, beyond a bound, or absent."""

    name: str
    relation: str  # "=", ">=", "<=" or "" where the parameter is absent
    text: str

    def __str__(self) -> str:
        if not self.relation:
            return f"no {self.name}"
        gap = "" if self.relation == "=" else " "
        return f"{self.name}{gap}{self.relation}{gap}{self.text}"


@dataclass(frozen=True)
class Rule:
    """What failures have in common, and how many successes share it.

    Examples
    --------
    >>> str(Rule((Condition("dataset", "=", "wine"),), 4, 4, 0, 22))
    'all 4 have dataset=wine, no success has it'
    >>> str(Rule((Condition("C", "=", "1000"),), 12, 14, 1, 86))
    '12 of 14 have C=1000, which 1 of 86 successes has'
    """

    conditions: tuple[Condition, ...]
    failed: int  # failures that match
    failures: int
    succeeded: int  # successes that match
    successes: int
    contrast: tuple[str, str] = ("success", "successes")

    @property
    def separates(self) -> bool:
        """Whether it holds for all failures and for no success."""
        return self.failed == self.failures and not self.succeeded

    def __str__(self) -> str:
        what = " and ".join(map(str, self.conditions))
        if self.failed < self.failures:
            who = f"{self.failed} of {self.failures} have {what}"
        elif self.failures == 1:
            who = f"it has {what}"
        else:
            who = f"{'both' if self.failures == 2 else f'all {self.failures}'} have {what}"
        if not self.succeeded:
            return f"{who}, no {self.contrast[0]} has {'it' if len(self.conditions) == 1 else 'both'}"
        verb = "has" if self.succeeded == 1 else "have"
        noun = self.contrast[self.successes != 1]
        return f"{who}, which {self.succeeded} of {self.successes} {noun} {verb}"


@dataclass(frozen=True)
class _Candidate:
    """A value or bound of one axis, and how many have it."""

    axis: int
    relation: str
    slot: int  # of the value or bound; -1 for absent
    failed: int
    succeeded: int


class RuleFinder:
    """Finds what sets groups of failures apart from the same successes; `contrast` says what these are called.

    Examples
    --------
    >>> import numpy as np
    >>> wine = Axis("dataset", ["iris", "wine"], np.array([0, 0, 1, 1]))
    >>> model = Axis("model", ["svc", "tree"], np.array([0, 1, 0, 1]))
    >>> failed = np.array([False, False, True, True])
    >>> str(RuleFinder([wine, model], ~failed).rule(np.flatnonzero(failed)))
    'both have dataset=wine, no success has it'
    """

    def __init__(
        self,
        axes: Sequence[Axis],
        succeeded: NDArray[np.bool_],
        contrast: tuple[str, str] = ("success", "successes"),
    ) -> None:
        import numpy as np

        self.axes = list(axes)
        self._contrast = contrast
        self._good = np.flatnonzero(succeeded)
        self._good_counts = [_count(axis, self._good) for axis in self.axes]
        self._good_masks: dict[tuple[int, int], NDArray[np.bool_]] = {}

    def rule(self, failed: NDArray[np.int64]) -> Rule | None:
        """Return what the tasks with these numbers have in common, or None where nothing tells."""
        if not len(failed) or not len(self._good):
            return None
        singles = [*self._values(failed), *self._bounds(failed)]
        best = next((c for c in singles if c.failed == len(failed) and not c.succeeded), None)
        if best is not None:
            return self._say((best,), failed, best.failed, 0)
        if len(failed) == 1:
            return None  # two values of one task are its configuration, not a rule
        pairs = list(self._pairs(failed, singles))
        for pair, bad, good in pairs:
            if bad == len(failed) and not good:
                return self._say(pair, failed, bad, good)
        return self._best(failed, singles, pairs)

    def _values(self, failed: NDArray[np.int64]) -> list[_Candidate]:
        """All values that some failure has; absent parameters last."""
        found: list[_Candidate] = []
        absent: list[_Candidate] = []
        for i, (axis, good) in enumerate(zip(self.axes, self._good_counts, strict=True)):
            bad = _count(axis, failed)
            for place in bad.nonzero()[0].tolist():
                candidate = _Candidate(i, "=" if place else "", place - 1, int(bad[place]), int(good[place]))
                (found if place else absent).append(candidate)
        return found + absent

    def _bounds(self, failed: NDArray[np.int64]) -> Iterator[_Candidate]:
        """All bounds on numbers that a failure's value sets and that cover several values."""
        import numpy as np

        for i, (axis, good_counts) in enumerate(zip(self.axes, self._good_counts, strict=True)):
            bad_counts = _count(axis, failed)
            present = np.isfinite(axis.numbers) & (bad_counts[1:] + good_counts[1:] > 0)
            slots = np.flatnonzero(present)
            slots = slots[np.argsort(axis.numbers[slots], kind="stable")]
            if len(slots) < 3:  # with two values, a bound is a value
                continue
            for relation, order in (("<=", slots), (">=", slots[::-1])):
                bad, good = bad_counts[1:][order].cumsum(), good_counts[1:][order].cumsum()
                # Not the first (that is one value) and not the last (that is all).
                for k in range(1, len(order) - 1):
                    slot = int(order[k])
                    if bad_counts[1 + slot]:
                        yield _Candidate(i, relation, slot, int(bad[k]), int(good[k]))

    def _pairs(
        self, failed: NDArray[np.int64], singles: list[_Candidate]
    ) -> Iterator[tuple[tuple[_Candidate, _Candidate], int, int]]:
        """Pairs of values that most failures have, with how many failures and successes have both."""
        import numpy as np

        least = _PAIR_SHARE * len(failed)
        plausible = [
            c
            for c in singles
            if c.relation in ("=", "") and c.failed >= least and c.succeeded < len(self._good)
        ]
        plausible = sorted(plausible, key=lambda c: (-c.failed, c.succeeded))[:_PAIR_VALUES]
        plausible.sort(key=lambda c: c.axis)
        bad_masks = [self.axes[c.axis].codes[failed] == c.slot for c in plausible]
        for (a, bad_a), (b, bad_b) in combinations(zip(plausible, bad_masks, strict=True), 2):
            if a.axis == b.axis:
                continue
            bad = int(np.count_nonzero(bad_a & bad_b))
            good = int(np.count_nonzero(self._good_mask(a) & self._good_mask(b)))
            yield (a, b), bad, good

    def _good_mask(self, candidate: _Candidate) -> NDArray[np.bool_]:
        place = candidate.axis, candidate.slot
        mask = self._good_masks.get(place)
        if mask is None:
            mask = self._good_masks[place] = self.axes[candidate.axis].codes[self._good] == candidate.slot
        return mask

    def _best(
        self,
        failed: NDArray[np.int64],
        singles: list[_Candidate],
        pairs: list[tuple[tuple[_Candidate, _Candidate], int, int]],
    ) -> Rule | None:
        """The candidate that tells most, if it is worth saying."""
        candidates: list[tuple[tuple[_Candidate, ...], int, int]] = [
            ((c,), c.failed, c.succeeded) for c in singles
        ]
        candidates.extend(pairs)

        def worth(candidate: tuple[tuple[_Candidate, ...], int, int]) -> float:
            parts, bad, good = candidate
            penalty = _PAIR_GAIN * (len(parts) - 1)
            return bad / len(failed) - good / len(self._good) - penalty

        parts, bad, good = max(candidates, key=worth)
        if worth((parts, bad, good)) < _WORTH:
            return None
        chance = _chance(bad, len(failed), good, len(self._good))
        if chance * len(candidates) > _CHANCE:
            return None
        return self._say(parts, failed, bad, good)

    def _say(self, parts: tuple[_Candidate, ...], failed: NDArray[np.int64], bad: int, good: int) -> Rule:
        conditions = tuple(
            Condition(
                self.axes[part.axis].name,
                part.relation,
                self.axes[part.axis].texts[part.slot] if part.relation else "",
            )
            for part in parts
        )
        return Rule(conditions, bad, len(failed), good, len(self._good), self._contrast)


def _count(axis: Axis, tasks: NDArray[np.int64]) -> NDArray[Any]:
    """How many of these tasks have each value; place 0 counts those without the parameter."""
    import numpy as np

    return np.bincount(axis.codes[tasks] + 1, minlength=len(axis.values) + 1)


def _chance(bad: int, failures: int, good: int, successes: int) -> float:
    """Bound the chance that at least `bad` of the failures fall on these tasks if failures fall anywhere.

    The tail of the hypergeometric distribution; its terms fall at least geometrically beyond the mean.
    """
    total, matching = failures + successes, bad + good
    log = (
        _log_choose(matching, bad)
        + _log_choose(total - matching, failures - bad)
        - _log_choose(total, failures)
    )
    ratio = (matching - bad) * (failures - bad) / ((bad + 1) * max(1, successes - good + 1))
    return min(1.0, math.exp(log) / (1 - ratio)) if ratio < 1 else 1.0


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
