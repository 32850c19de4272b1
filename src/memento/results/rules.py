"""Say what failures have in common: the shortest rule over one to three parameters that sets them apart.

Knows: columns of value numbers, who failed, who succeeded. May not know: stores, configurations, exceptions.

Looked for in this order; the first that holds is said:

    1. one value that all failures have and no success has
    2. one bound that all failures keep and no success keeps (numbers only)
    3. two values that all failures have together and no success has together
    4. two bounds, or a value and a bound, of which the same is true, if chance is a bad explanation
    5. three values or bounds, of which the same is true, if chance is a bad explanation
    6. the value, bound or pair that best tells failures from successes, if chance is a bad explanation;
       where few of the tasks that have it failed, two or three together that leave out most of the others

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

_PAIR_VALUES = 24  # values and bounds looked at for pairs: 276 pairs at most
_PAIR_SHARE = 0.6  # a value that fewer failures have is not looked at for pairs; a bound, that not all keep
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
            who = f"{self.failed:,} of {self.failures:,} have {what}"
        elif self.failures == 1:
            who = f"it has {what}"
        else:
            who = f"{'both' if self.failures == 2 else f'all {self.failures:,}'} have {what}"
        if not self.succeeded:
            return f"{who}, no {self.contrast[0]} has {('it', 'both', 'all three')[len(self.conditions) - 1]}"
        verb = "has" if self.succeeded == 1 else "have"
        noun = self.contrast[self.successes != 1]
        return f"{who}, which {self.succeeded:,} of {self.successes:,} {noun} {verb}"


@dataclass(frozen=True)
class _Candidate:
    """A value or bound of one axis, and how many have it."""

    axis: int
    relation: str
    slot: int  # of the value or bound; -1 for absent
    failed: int
    succeeded: int

    @property
    def is_bound(self) -> bool:
        return self.relation in (">=", "<=")


@dataclass(frozen=True)
class _Statement:
    """What may be said: one candidate or some together, and how many have it."""

    candidates: tuple[_Candidate, ...]
    failed: int
    succeeded: int

    @property
    def share(self) -> float:
        """Of the tasks that have it, how many failed."""
        return self.failed / max(1, self.failed + self.succeeded)


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
        self._good_masks: dict[tuple[int, str, int], NDArray[np.bool_]] = {}

    def rule(self, failed: NDArray[np.int64]) -> Rule | None:
        """Return what the tasks with these numbers have in common, or None where nothing tells."""
        if not len(failed) or not len(self._good):
            return None
        singles = [*self._values(failed), *self._bounds(failed)]
        best = next((c for c in singles if c.failed == len(failed) and not c.succeeded), None)
        if best is not None:
            return self._say(_Statement((best,), best.failed, 0), failed)
        if len(failed) == 1:
            return None  # two values of one task are its configuration, not a rule
        pairs = list(self._pairs(failed, singles))
        candidates = [*(_Statement((c,), c.failed, c.succeeded) for c in singles), *pairs]
        # The fewest bounds first: they are fitted to the failures, and values are not.
        for pair in sorted(pairs, key=lambda pair: sum(c.is_bound for c in pair.candidates)):
            if pair.failed == len(failed) and not pair.succeeded:
                values = not any(c.is_bound for c in pair.candidates)
                if values or self._is_no_chance(pair, failed, len(candidates)):
                    return self._say(pair, failed)
        three = self._three(failed, singles)
        return self._say(three, failed) if three is not None else self._best(failed, candidates)

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

    def _pairs(self, failed: NDArray[np.int64], singles: list[_Candidate]) -> Iterator[_Statement]:
        """Pairs of values that most failures have, and of bounds that all of them keep."""
        import numpy as np

        least = _PAIR_SHARE * len(failed)
        plausible = [
            c
            for c in singles
            if c.failed >= (len(failed) if c.is_bound else least) and c.succeeded < len(self._good)
        ]
        plausible = sorted(plausible, key=lambda c: (-c.failed, c.succeeded))[:_PAIR_VALUES]
        plausible.sort(key=lambda c: c.axis)
        bad_masks = [self._has(c, failed) for c in plausible]
        for (a, bad_a), (b, bad_b) in combinations(zip(plausible, bad_masks, strict=True), 2):
            if a.axis == b.axis:
                continue
            bad = int(np.count_nonzero(bad_a & bad_b))
            good = int(np.count_nonzero(self._good_mask(a) & self._good_mask(b)))
            yield _Statement((a, b), bad, good)

    def _three(self, failed: NDArray[np.int64], singles: list[_Candidate]) -> _Statement | None:
        """Return three conditions that set the failures apart: of all that these share, what cannot be left out."""
        shared = sorted((c for c in singles if c.failed == len(failed)), key=lambda c: -c.succeeded)
        # Of several bounds on one side the closest.
        needed = list({(c.axis, c.relation): c for c in shared}.values())
        if len(needed) < 3 or self._is_shared(needed):
            return None
        # Bounds go first: they are fitted to the failures, and values are not.
        for candidate in sorted(needed, key=lambda c: (not c.is_bound, -c.succeeded)):
            rest = [c for c in needed if c is not candidate]
            if not self._is_shared(rest):
                needed = rest
        needed.sort(key=lambda c: c.axis)
        statement = _Statement(tuple(needed), len(failed), 0)
        many = math.comb(len(singles), 3)
        return statement if len(needed) == 3 and self._is_no_chance(statement, failed, many) else None

    def _is_shared(self, candidates: Sequence[_Candidate]) -> bool:
        """Tell whether a success has all of these."""
        have = self._good_mask(candidates[0])
        for candidate in candidates[1:]:
            have = have & self._good_mask(candidate)
        return bool(have.any())

    def _good_mask(self, candidate: _Candidate) -> NDArray[np.bool_]:
        place = candidate.axis, candidate.relation, candidate.slot
        mask = self._good_masks.get(place)
        if mask is None:
            mask = self._good_masks[place] = self._has(candidate, self._good)
        return mask

    def _has(self, candidate: _Candidate, tasks: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Say of each of these tasks whether it has the value, or keeps the bound."""
        import numpy as np

        axis = self.axes[candidate.axis]
        codes = axis.codes[tasks]
        if not candidate.is_bound:
            return np.asarray(codes == candidate.slot)
        bound = axis.numbers[candidate.slot]
        keeps = axis.numbers >= bound if candidate.relation == ">=" else axis.numbers <= bound
        # The last place is for tasks without the parameter: their code is -1.
        return np.asarray(np.append(keeps & np.isfinite(axis.numbers), False)[codes])

    def _best(self, failed: NDArray[np.int64], candidates: list[_Statement]) -> Rule | None:
        """The candidate that tells most, if it is worth saying."""

        def worth(part: _Statement) -> float:
            penalty = _PAIR_GAIN * (len(part.candidates) - 1)
            return part.failed / len(failed) - part.succeeded / len(self._good) - penalty

        best = max(candidates, key=worth)
        if worth(best) < _WORTH or not self._is_no_chance(best, failed, len(candidates)):
            return None
        # Of 5,000 tasks 300 are deep, and of these the 16 failed that are wide as well.
        closest = self._closer(best, [c for c in candidates if c.failed >= best.failed], len(candidates))
        if len(closest.candidates) == 2:
            singles = [c.candidates[0] for c in candidates if len(c.candidates) == 1]
            threes = list(self._threes(closest, failed, singles))
            closest = self._closer(closest, threes, math.comb(len(singles), 3))
        return self._say(closest, failed)

    def _threes(
        self, pair: _Statement, failed: NDArray[np.int64], singles: list[_Candidate]
    ) -> Iterator[_Statement]:
        """A pair with each third condition that the failures share which have the pair."""
        a, b = pair.candidates
        bad, good = self._has(a, failed) & self._has(b, failed), self._good_mask(a) & self._good_mask(b)
        for third in singles:
            if third.failed < pair.failed or third.axis in (a.axis, b.axis):
                continue
            if int((bad & self._has(third, failed)).sum()) == pair.failed:
                three = tuple(sorted((a, b, third), key=lambda c: c.axis))
                yield _Statement(three, pair.failed, int((good & self._good_mask(third)).sum()))

    def _closer(self, best: _Statement, others: list[_Statement], many: int) -> _Statement:
        """Return which of so many others leaves out most of the successes that `best` leaves in; else `best`."""
        closest = max(others, key=lambda part: (part.share, -len(part.candidates)), default=best)
        # Bounds lie around any few failures: without a meaning they leave out as many of the others by chance.
        fitted = _chance(best.failed, best.failed, min(closest.succeeded, best.succeeded), best.succeeded)
        return closest if closest.share >= best.share + _PAIR_GAIN and fitted * many <= _CHANCE else best

    def _is_no_chance(self, part: _Statement, failed: NDArray[np.int64], candidates: int) -> bool:
        chance = _chance(part.failed, len(failed), part.succeeded, len(self._good))
        return chance * candidates <= _CHANCE

    def _say(self, told: _Statement, failed: NDArray[np.int64]) -> Rule:
        conditions = tuple(
            Condition(
                self.axes[part.axis].name,
                part.relation,
                self.axes[part.axis].texts[part.slot] if part.relation else "",
            )
            for part in told.candidates
        )
        return Rule(conditions, told.failed, len(failed), told.succeeded, len(self._good), self._contrast)


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
