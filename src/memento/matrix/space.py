"""Compile a matrix into numbers: which tasks there are, without making any.

Knows: axes, slots, masks. May not know: keys of tasks, stores, files.

    unconditional axes --> a grid, less what dict rules exclude; where there is nothing else, that is all
    what follows no pattern makes rows of slots of it, one int32 column an axis:
        conditional axes   --> each row repeated where the condition holds, -1 where it does not
        rules              --> each as soon as every axis it names is there; callables last, row by row
    several grids      --> each by itself, then one after the other
    include            --> rows appended

An axis is one parameter, or a zip group at its first member's place. A slot is a value's place in its list.
Rows are in lexicographic order of slots: the first axis slowest, absent before the first value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

from memento.config import Config, short_text
from memento.errors import MatrixError, UpstreamPending
from memento.matrix.axes import Axis, make_axes
from memento.matrix.grid import Grid
from memento.matrix.labels import labels_of, named
from memento.matrix.ranges import Numbers
from memento.matrix.several_grids import NEVER, NothingAgrees, each_grid, in_vain, unite, with_included
from memento.matrix.spec import Spec
from memento.matrix.table import GridTable, RowTable, TaskTable
from memento.matrix.values import Values, listed, quoted

if TYPE_CHECKING:
    from array import array

    import numpy as np
    from numpy.typing import NDArray

    Column = NDArray[np.int32]
    Mask = NDArray[np.bool_]

MAX_COMBINATIONS = 200_000_000  # a byte each while compiling
_CHUNK = 1 << 18  # rows that a test looks at, between two looks at which to ask


def compile_space(spec: Spec) -> tuple[TaskTable, list[str]]:
    """Return the table of a matrix's tasks, and what may be wrong with it."""
    known = {name: Values(values, labels_of(values)) for name, values in spec.parameters.items()}
    warnings = list(spec.notes)
    grids: list[tuple[Spec, TaskTable]] = []
    verdicts: list[dict[str, str]] = []
    declared = each_grid(spec)
    for one in declared:
        compiler = _Compiler(one, known)
        try:
            grids.append((one, compiler.compile()))
        except NothingAgrees:
            if grids or one is not declared[-1]:
                continue  # results that fit nothing in one grid may do so in another
            raise
        warnings += compiler.warnings
        verdicts.append(compiler.verdicts)
        if len(declared) == 1:
            warnings += compiler.unpaired
    total = sum(table.rows for _, table in grids)
    if total > MAX_COMBINATIONS:
        raise _too_many(total, [])
    table = grids[0][1] if len(declared) == 1 else unite(spec, known, grids)
    warnings += in_vain(verdicts)
    if spec.include:
        table = with_included(spec, table, warnings)
    if not len(table):
        raise _nothing_left()
    return table, list(dict.fromkeys(warnings))


class _Compiler:
    """One compilation of a grid; its steps in the order of `compile`."""

    def __init__(self, spec: Spec, known: dict[str, Values]) -> None:
        self.spec = spec
        self.axes = make_axes(spec)
        self.axis_of = {name: i for i, axis in enumerate(self.axes) for name in axis.names}
        self.known = known  # all values of a parameter, also those that only other grids have
        self.values = {
            name: known[name] if known[name].values is values else Values(values)
            for name, values in spec.parameters.items()
        }
        self._know_upstream()
        self.warnings: list[str] = []
        self.verdicts: dict[str, str] = {}  # rule -> why it matches nothing in this grid, "" where it does
        self.unpaired: list[str] = []  # what results fit no others

    def _know_upstream(self) -> None:
        """Let rules name parameters of upstream tasks: they stand at the slots of these tasks' results."""
        named = {name for rule in self.spec.exclude if not callable(rule) for name in rule}
        for alternatives in self.spec.when.values():
            named.update(name for one in alternatives if not callable(one) for name in one)
        unknown = named.difference(self.axis_of)
        if not unknown:
            return
        from memento.matrix.lineage import upstream_values  # here: most matrices stand alone

        for name in unknown:
            for own, results in self.spec.parameters.items():
                found = upstream_values(own, results, name)
                if found is not None:
                    self.axis_of[name], self.values[name] = self.axis_of[own], Values(*found)

    def compile(self) -> TaskTable:
        spec = self.spec
        conditional = self._conditional_order()
        waiting = self._selections()
        free = [i for i, axis in enumerate(self.axes) if not axis.when]
        grid = self._grid(free, waiting)
        names, values = tuple(spec.parameters), [list(v) for v in spec.parameters.values()]
        if not conditional and not waiting and not any(map(callable, spec.exclude)):
            return GridTable(names, values, spec.repeats, grid, [self.axis_of[name] for name in names])
        placed = set(free)
        rows = self._exclude(self._rows(grid, free), waiting, placed)
        for axis in conditional:
            rows = self._vary(rows, axis)
            placed.add(axis)
            rows = self._exclude(rows, waiting, placed)
        if conditional and conditional != list(range(len(self.axes) - len(conditional), len(self.axes))):
            import numpy as np

            rows = rows[np.lexsort(rows.T[::-1])]  # the declared order
        for i, rule in enumerate(spec.exclude):
            if callable(rule):
                rows = self._exclude_by_test(rows, rule, f"exclude[{i}]")
        return RowTable(names, values, spec.repeats, rows[:, [self.axis_of[name] for name in names]])

    def _conditional_order(self) -> list[int]:
        """Return the conditional axes, each after those that its condition names; callables as late as possible."""
        left = [i for i, axis in enumerate(self.axes) if axis.when]
        needs = {i: self._needs(i) for i in left}
        order: list[int] = []
        while left:
            ready = [i for i in left if not needs[i] & set(left)]
            if not ready:
                names = [self.axes[i].names[0] for i in _circle(left, needs)]
                chain = " -> ".join(repr(n) for n in [*names, names[0]])
                raise MatrixError(
                    "when", f"conditions refer to each other in a circle: {chain}.", "Remove one."
                )
            # A callable may look at any parameter.
            chosen = next((i for i in ready if not any(map(callable, self.axes[i].when))), ready[0])
            order.append(chosen)
            left.remove(chosen)
        return order

    def _needs(self, axis: int) -> set[int]:
        named = (name for a in self.axes[axis].when if not callable(a) for name in a)
        return {self.axis_of[name] for name in named if name in self.axis_of}

    def _selections(self) -> dict[int, dict[int, list[int]]]:
        """Return, per dict rule that can match, the slots that it selects on each axis it names."""
        selections: dict[int, dict[int, list[int]]] = {}
        for i, rule in enumerate(self.spec.exclude):
            if callable(rule):
                continue
            selected, never = self._selected(rule)
            if selected is None:
                continue
            if all(selected.values()):
                selections[i] = selected
                self.warnings += [f"exclude[{i}]: {text}" for text in never]
            self.verdicts[f"exclude[{i}]"] = (
                "" if i in selections else f"exclude[{i}] matches nothing: {next(iter(never), NEVER)}"
            )
        return selections

    def _selected(self, rule: dict[str, Any]) -> tuple[dict[int, list[int]] | None, list[str]]:
        """Return the slots that a rule selects on each axis, and which of its values are none of any task.

        None where the rule is about results that are not there yet.
        """
        selected: dict[int, list[int]] = {}
        never: list[str] = []
        for name, value in rule.items():
            if name not in self.axis_of:
                if name not in self.known:
                    return None, []
                selected[-1] = []  # only other grids have it
                continue
            own, known = self.values[name], self.known.get(name, self.values[name])
            several = isinstance(value, (list, tuple, set, frozenset, range)) and not known.slots(value)
            slots: set[int] = set()
            unknown: list[object] = []
            wanted = listed(value, name) if several else (value,)
            for one in wanted:
                found = known.slots(one)
                slots.update(
                    found if own is known else [s for f in found for s in own.slots(known.values[f])]
                )
                if not found:
                    unknown.append(one)
            if isinstance(value, (range, Numbers)) and several:
                # Of a range some may well be none of the values.
                unknown = [value] if len(unknown) == len(wanted) else []
            if unknown:
                what = ", ".join(map(quoted, unknown[:3])) + (", ..." if len(unknown) > 3 else "")
                never.append(f"{name!r} is never {what}. {known.near(unknown[0])}")
            axis = self.axis_of[name]
            selected[axis] = sorted(slots & set(selected[axis]) if axis in selected else slots)
        return selected, never

    def _grid(self, free: list[int], waiting: dict[int, dict[int, list[int]]]) -> Grid:
        """Return the product of the unconditional axes, without what rules about them exclude; or what is joined."""
        sizes = [self.axes[i].size for i in free]
        place = {axis: i for i, axis in enumerate(free)}
        kept = self._joined([self.axes[i] for i in free]) if self.spec.joins else None
        if kept is not None:
            return Grid(sizes, kept=kept)
        if prod(sizes) > MAX_COMBINATIONS:
            raise _too_many(prod(sizes), [self.axes[i] for i in free])
        ready = [waiting.pop(i) for i in [i for i in waiting if waiting[i].keys() <= place.keys()]]
        return Grid(sizes, [{place[i]: slots for i, slots in selected.items()} for selected in ready])

    def _joined(self, axes: list[Axis]) -> array[int] | None:
        """Return the numbers of the combinations that agree as `on` asks; None where nothing is to be joined yet."""
        from memento.matrix.joined_axes import TooMany, joined_axes

        try:
            return joined_axes(self.spec, axes, MAX_COMBINATIONS, self.unpaired)
        except TooMany as exc:
            raise _too_many(exc.args[0], axes, "at least ") from None

    def _rows(self, grid: Grid, free: list[int]) -> Column:
        """Return the grid's rows, one column an axis; conditional ones are absent as yet."""
        import numpy as np

        rows = np.full((len(grid), len(self.axes)), -1, np.int32)
        rows[:, free] = grid.matrix()
        return rows

    def _vary(self, rows: Column, axis: int) -> Column:
        """Return the rows with a conditional axis: once for each value where it varies, else once."""
        import numpy as np

        holds = np.zeros(len(rows), np.bool_)
        possible = False
        rule = f"when[{self.axes[axis].names[0]!r}]"
        for number, alternative in enumerate(self.axes[axis].when):
            if callable(alternative):
                holds |= self._tested(rows, alternative, rule, ~holds)
                possible = True
                continue
            selected, never = self._selected(alternative)
            if selected is None:
                continue
            where = rule if len(self.axes[axis].when) == 1 else f"{rule}[{number}]"
            self.warnings += [f"{where}: {text}" for text in never]
            possible |= not never or all(selected.values())  # else that warning says it
            holds |= _matching(rows, selected)
        if len(rows):
            in_vain = possible and not holds.any()
            self.verdicts[rule] = f"{rule} holds for no task that is left." if in_vain else ""
        size = self.axes[axis].size
        counts = np.where(holds, size, 1)
        total = int(counts.sum())
        if total > MAX_COMBINATIONS:
            raise _too_many(total, self.axes)
        ends = np.cumsum(counts)
        grown = np.repeat(rows, counts, axis=0)
        within = np.arange(total) - np.repeat(ends - counts, counts)
        grown[:, axis] = np.where(np.repeat(holds, counts), within, -1)
        return grown

    def _exclude(self, rows: Column, waiting: dict[int, dict[int, list[int]]], placed: set[int]) -> Column:
        """Drop the rows that match a rule whose axes are all there."""
        for i in [i for i, selected in waiting.items() if selected.keys() <= placed]:
            gone = _matching(rows, waiting.pop(i))
            if not gone.any():
                self.verdicts[f"exclude[{i}]"] = f"exclude[{i}] matches nothing: {NEVER}"
            rows = rows[~gone]
        return rows

    def _exclude_by_test(self, rows: Column, rule: Callable[[Config], object], where: str) -> Column:
        import numpy as np

        gone = self._tested(rows, rule, where, np.ones(len(rows), np.bool_))
        if len(rows):
            in_vain = f"{where} matches nothing: {short_text(rule)} is true for no task that is left."
            self.verdicts[where] = "" if gone.any() else in_vain
        return rows[~gone]

    def _tested(self, rows: Column, test: Callable[[Config], object], where: str, ask: Mask) -> Mask:
        """Return for which of the rows that `ask` marks the test is true."""
        import numpy as np

        held = np.zeros(len(rows), np.bool_)
        pairs = [(name, self.axis_of[name], values) for name, values in self.spec.parameters.items()]
        for start in range(0, len(rows), _CHUNK):
            numbers = np.flatnonzero(ask[start : start + _CHUNK]) + start
            for number, slots in zip(numbers.tolist(), rows[numbers].tolist(), strict=True):
                parameters = {name: values[slots[axis]] for name, axis, values in pairs if slots[axis] >= 0}
                config = Config.build(parameters, self.spec.settings)
                try:
                    held[number] = bool(test(config))
                except UpstreamPending:  # of a dry run: what nobody can know yet does not hold
                    continue
                except Exception as exc:
                    shown = {
                        name: named(parameters[name], own) for name, _, own in pairs if name in parameters
                    }
                    raise MatrixError(
                        where,
                        f"{short_text(test)} raised {type(exc).__name__}: {exc}, for {shown}.",
                        "A parameter under 'when' may be absent: config.get(name) then returns None.",
                    ) from exc
        return held


def _matching(rows: Column, selected: dict[int, list[int]]) -> Mask:
    import numpy as np

    match = np.ones(len(rows), np.bool_)
    for axis, slots in selected.items():
        if not slots:
            return np.zeros(len(rows), np.bool_)
        column = rows[:, axis]
        match &= column == slots[0] if len(slots) == 1 else np.isin(column, slots)
    return match


def _circle(left: list[int], needs: dict[int, set[int]]) -> list[int]:
    path = [left[0]]
    while True:
        after = min(needs[path[-1]] & set(left))
        if after in path:
            return path[path.index(after) :]
        path.append(after)


def _nothing_left() -> MatrixError:
    return MatrixError(
        "exclude", "nothing is left: every combination is excluded.", "Remove or narrow a rule."
    )


def _too_many(total: int, axes: Sequence[Axis], least: str = "") -> MatrixError:
    sizes = " x ".join(f"{axis.size:,} ({axis.names[0]})" for axis in axes if axis.size > 1)
    sizes = f"{sizes} = " if sizes else ""
    return MatrixError(
        "parameters",
        f"{sizes}{least}{total:,} combinations, more than the {MAX_COMBINATIONS:,} that a matrix may have.",
        "Drop values, let parameters advance together ('zip') or vary only where they matter ('when'),"
        " or split the work into several matrices.",
    )
