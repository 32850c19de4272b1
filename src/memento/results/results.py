"""All results of a matrix: a sequence in the matrix's order that loads values only when they are touched.

Knows: tasks by number, rows of a store. May not know: how to run anything.

A million results are three arrays and a string of keys; a `Result` is made when somebody asks for one. NumPy sees
the same arrays, where a frame, a choice or a count asks for all results at once; one by one they need no NumPy.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from memento.results.axes import Axis, TaskMatrix, Tasks
from memento.results.reading import CHUNK, IS_DONE, IS_FAILED, IS_MISSING, Scan, in_bulk, scan

if TYPE_CHECKING:
    from typing import overload

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from memento.config import Config
    from memento.records import TaskRecord
    from memento.results.failures import FailureReport
    from memento.results.result import Result, ResultStore
    from memento.results.warned import WarningReport

_KEY = 16
_RULES = 50  # groups for which a rule is looked for


class Results(Sequence["Result"]):
    """The results of a matrix's tasks, in the matrix's order.

    Behaves like a list of `Result`; values load when they are touched. Slices and `filter` give `Results`.

    Parameters
    ----------
    store : Store
        Where the results are.
    matrix : Matrix
        Whose tasks they are.
    keys : bytes
        The tasks' keys, 16 bytes each.
    rows : array of int
        The store's id of each task's row; -1 for a task that has not been run.
    cached : array of bool, optional
        Which results were there before this run; all, by default.
    subset : array of int, optional
        The numbers of the tasks to show; all, by default.
    experiment : str, optional
        Whose tasks they are; with it, rows that a later run has replaced are found again.

    Examples
    --------
    >>> import tempfile
    >>> from memento import Memento
    >>> def square(context, config):
    ...     return config.n**2
    >>> matrix = {"parameters": {"n": [1, 2, 3]}}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     memento = Memento(square, executor="serial", store=f"{folder}/store", progress=False)
    ...     results = memento.run(matrix)
    ...     results[-1].inner, results.best().config.n, results.to_frame()["value"].tolist()
    (9, 3, [1, 4, 9])
    """

    def __init__(
        self,
        store: ResultStore,
        matrix: TaskMatrix | Tasks,
        keys: bytes,
        rows: Sequence[int] | NDArray[np.int64],
        cached: Sequence[int] | NDArray[np.bool_] | None = None,
        subset: Sequence[int] | NDArray[np.int64] | None = None,
        experiment: str | None = None,
    ) -> None:
        self._store = store
        self._experiment = experiment
        self._tasks = matrix if isinstance(matrix, Tasks) else Tasks(matrix)
        self._keys = keys
        # Shared with the subsets of these results: a row that is found again is found for all of them.
        self._row_ids = rows if isinstance(rows, array) else array("q", rows)
        count = len(self._row_ids)
        assert len(keys) == _KEY * count, (len(keys), count)
        if not isinstance(cached, bytearray):
            cached = bytearray(b"\1") * count if cached is None else bytearray(map(bool, cached))
        self._was_cached = cached  # 0 or 1
        self._places: Sequence[int] = range(count) if subset is None else _integers(subset)
        # A result that somebody holds is given out again: `results.index(max(results, key=...))` finds it.
        self._held: WeakValueDictionary[int, Result] = WeakValueDictionary()

    @classmethod
    def of_plan(cls, store: ResultStore, matrix: TaskMatrix, plan: Any) -> Results:
        """Make the results of a plan that has been carried out."""
        tasks = plan.tasks
        shown = Tasks(matrix, tasks.digests)
        return cls(store, shown, tasks.keys, plan.rows[:], plan.cached[:], experiment=tasks.experiment)

    # -- the same as NumPy's arrays, without a copy where there is memory to share

    @cached_property
    def _numbers(self) -> NDArray[np.int64]:
        """The numbers of the tasks to show."""
        import numpy as np

        places = self._places
        if isinstance(places, range):
            return np.arange(places.start, places.stop, places.step)
        return np.asarray(places, dtype=np.int64)

    @cached_property
    def _rows(self) -> NDArray[np.int64]:
        """The store's id of each of all tasks' rows."""
        import numpy as np

        return np.frombuffer(self._row_ids, dtype=np.int64)

    @cached_property
    def _cached(self) -> NDArray[np.bool_]:
        """Which of all results were there before."""
        import numpy as np

        return np.frombuffer(self._was_cached, dtype=np.bool_)

    # -- a sequence

    def __len__(self) -> int:
        return len(self._places)

    if TYPE_CHECKING:

        @overload
        def __getitem__(self, index: int) -> Result: ...
        @overload
        def __getitem__(self, index: slice) -> Results: ...

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self._of(self._places[index])
        if not hasattr(index, "__index__"):
            from memento.results.usage import no_such_index

            raise TypeError(no_such_index(index))
        try:
            number = self._places[index]
        except IndexError:
            raise IndexError(f"there are {len(self)} results; there is none with index {index}") from None
        (record,) = self._records([number])
        return self._result(number, record)

    if not TYPE_CHECKING:  # for which every name would be there

        def __getattr__(self, name: str) -> Any:
            if hasattr(type(self), name):  # it is there, and raised an AttributeError of its own
                return object.__getattribute__(self, name)
            from memento.results.usage import no_such_attribute

            raise AttributeError(no_such_attribute(self, name), name=name, obj=self)

    def __iter__(self) -> Iterator[Result]:
        # In pieces: the rows of a million tasks as Python integers are 32 MB.
        for start in range(0, len(self), 10_000):
            numbers = self._places[start : start + 10_000]
            for number, record in zip(numbers, self._records(numbers), strict=True):
                yield self._result(number, record)

    def __add__(self, other: Iterable[Any]) -> list[Any]:
        return [*self, *other]

    def __radd__(self, other: Iterable[Any]) -> list[Any]:
        return [*other, *self]

    def _result(self, number: int, record: TaskRecord | None) -> Result:
        held = self._held.get(number)
        if held is None:
            from memento.results.result import Result, Source

            source = Source(self._store, self._tasks, number, self._key(number), record)
            held = self._held[number] = Result.stored(source, bool(self._was_cached[number]))
        return held

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy that travels has no store to load from: it is the list that it was in 1.2.0.
        return list, (list(self),)

    def _key(self, number: int) -> bytes:
        return self._keys[number * _KEY : (number + 1) * _KEY]

    def _of(self, numbers: Sequence[int] | NDArray[np.int64]) -> Results:
        return Results(
            self._store, self._tasks, self._keys, self._row_ids, self._was_cached, numbers, self._experiment
        )

    # -- what all of them come to

    def to_frame(self, *, raw: bool = False) -> pd.DataFrame:
        """Return a frame with one row a task.

        Its columns: the parameters (`repeat` where tasks are repeated), `value`, the last value of each
        metric, then `status`, `was_cached`, `start_time` (local time), `runtime` and `cpu_time` (seconds),
        `memory` (peak bytes), `key`, `error`. If every value is a dict, its items (a hundred at most) are
        columns in place of `value`. A name that is taken already gets its kind in front: `value.model`,
        `metric.model`, `result.status`. A parameter that is the result of another task is followed by that
        task's parameters: `first.lr`. A value that cannot be loaded here stands as an object that says why.

        Parameters
        ----------
        raw : bool
            Show parameters as the objects that they are. By default classes, functions, estimators and
            the like are shown by short texts, different ones for different values, and plain values as
            themselves.

        Returns
        -------
        DataFrame
            In the matrix's order.
        """
        from memento.results.frames import to_frame

        return to_frame(self, raw=raw)

    def pivot(
        self,
        index: str | Sequence[str],
        columns: str | Sequence[str] | None = None,
        metric: str = "value",
        aggfunc: Any = None,
        *,
        values: str | None = None,
    ) -> pd.DataFrame:
        """Return a table of one value over parameters, failed tasks left out.

        A parameter that a task does not have (`when`) is a value of its own, shown as "-".

        Parameters
        ----------
        index, columns : str or sequence of str
            The parameters down the side and along the top.
        metric : str
            What to show: `value`, a metric, or another column of `to_frame`.
        aggfunc : str or callable, optional
            What to make of several tasks that fall on one cell: the mean by default, with a warning where
            they are more than repeats of one configuration.
        values : str, optional
            The same as `metric`, by the word that pandas has for it.

        Returns
        -------
        DataFrame
            Rows and columns in the matrix's order.
        """
        from memento.results.summary import pivot

        return pivot(self, index, columns, values or metric, aggfunc)

    def summary(
        self, by: str | Sequence[str] | None = None, metric: str = "value", *, value: str | None = None
    ) -> pd.DataFrame:
        """Return mean and spread of a value by group.

        Parameters
        ----------
        by : str or sequence of str, optional
            The parameters that make a group; all but `repeat`, by default.
        metric : str
            `value`, a metric, or another numeric column of `to_frame`.
        value : str, optional
            The same as `metric`.

        Returns
        -------
        DataFrame
            One row a group, in the matrix's order: the parameters, `n`, `mean`, `std` (of the sample),
            `low` and `high` (95 % confidence interval of the mean, Student's t), `missing` (which repeats
            have no value, or how many tasks where a group holds several configurations).
        """
        from memento.results.summary import summary

        return summary(self, by, value or metric)

    def best(
        self, metric: str = "value", minimize: bool = False, *, repeat: bool = False, by: str | None = None
    ) -> Result:
        """Return the best configuration, by the mean over its repeats; failed tasks and nan do not count.

        A tie, and repeats that are missing, are said as a warning.

        Parameters
        ----------
        metric : str
            `value`, a metric, an item of the values, or another numeric column of `to_frame`.
        minimize : bool
            Take the lowest instead.
        repeat : bool
            Return the best single run, whichever configuration it is of.
        by : str, optional
            The same as `metric`.

        Returns
        -------
        Result
            Without repeats the first of the best, in the matrix's order. With repeats, the repeat of the best
            configuration that is nearest to its mean, with `mean`, `std`, `n`, `ties` and all its `results`.

        Raises
        ------
        ValueError
            There is no such column, it holds no numbers, or no task has one.
        """
        from memento.results.best import best

        return best(self, by or metric, minimize, repeat)

    def filter(self, function: Callable[[Result], object] | None = None, /, **parameters: Any) -> Results:
        """Return the results with these parameters.

        Parameters
        ----------
        function : callable, optional
            Says of a result whether to keep it: ``lambda result: result.config.lr > 0.1``.
        **parameters : object
            For each parameter a value or its short name (``model="SVC"``), or several in a list, tuple or
            set, any of which will do. Values are compared as keys compare them: `1`, `1.0` and `True` are
            three, equal arrays, modules and estimators are one. "-" stands for a parameter that a task does
            not have. `repeat` and `status` serve as well.

        Returns
        -------
        Results
            In the same order; empty where no task has the combination.

        Raises
        ------
        ValueError
            There is no such parameter, or it has no such value; says which there are.
        """
        from memento.results.select import select

        given: Any = function
        if given is not None and not callable(given):
            from memento.results.usage import no_filter

            raise TypeError(no_filter(given))
        found = self._of(self._numbers[select(self, parameters)]) if parameters or function is None else self
        if function is None:
            return found
        kept = [place for place, result in enumerate(found) if function(result)]
        return self._of(found._numbers[kept])

    @cached_property
    def failures(self) -> FailureReport:
        """The failures grouped by cause, each group with what its tasks have in common; print it."""
        from memento.results.failures import FailureGrouper, FailureReport
        from memento.results.result import config_text

        places = (self._status == IS_FAILED).nonzero()[0].tolist()
        failed = self._of(self._numbers[places])
        grouper = FailureGrouper()
        places_of: dict[str, list[int]] = {}  # two tasks may have one key
        for start in range(0, len(places), CHUNK):
            part = places[start : start + CHUNK]
            for place, record in zip(
                part, failed._records(failed._places[start : start + CHUNK]), strict=True
            ):
                if record is None or record.failure is None:  # another run has computed it since
                    continue
                key = record.key.hex()
                places_of.setdefault(key, []).append(place)
                grouper.collect(key, record.failure, record.attempt)
        rule = self._ruler(places_of)
        # Only now, for a group's first: to name the configurations of 100,000 failures would take seconds.
        groups = [
            group._replace(config=config_text(self._config(places_of[group.key][0])))
            for group in grouper.groups(rule)
        ]
        done = int((self._status == IS_DONE).sum())
        return FailureReport(groups, grouper.attempts(), failed, len(self), done)

    @cached_property
    def warnings(self) -> WarningReport:
        """The warnings that tasks showed, grouped as failures are; print it."""
        from memento.results.warned import warning_report

        return warning_report(self)

    def _config(self, place: int) -> Config:
        return self._tasks.config(int(self._numbers[place]))

    def _ruler(self, places_of: dict[str, list[int]]) -> Callable[[Sequence[str]], str]:
        """Say what tasks of some keys have in common, against the successes or, without any, the other failures."""
        import numpy as np

        from memento.results.rules import RuleFinder

        axes = self._telling_axes()
        done = self._status == IS_DONE
        finder = RuleFinder(axes, done)
        asked = 0

        def rule(keys: Sequence[str]) -> str:
            nonlocal asked
            asked += 1
            if asked > _RULES:
                return ""
            failed = np.array([place for key in dict.fromkeys(keys) for place in places_of[key]])
            if done.any():
                return str(finder.rule(failed) or "")
            others = self._status == IS_FAILED
            others[failed] = False
            return str(RuleFinder(axes, others, ("other failure", "other failures")).rule(failed) or "")

        return rule

    def errors(self) -> list[BaseException]:
        """Return what each failed task raised, in the matrix's order.

        Each carries its task: a note, and where it has no such attributes of its own, `config`, `key` and
        `attempt`.
        """
        failed = self._of(self._numbers[self._status == IS_FAILED])
        return [error for error in (result.error for result in failed) if error is not None]

    # -- for the other files of this room

    @cached_property
    def _scan(self) -> Scan:
        """How every task went, without values."""
        return self._read()

    def _read(self, *, values: bool = False, metrics: bool = False) -> Scan:
        """Read all tasks at once."""
        read = scan(
            self._store, self._rows[self._numbers], values=values, metrics=metrics, name_task=self._name
        )
        gone = (read.status == IS_MISSING) & (self._rows[self._numbers] >= 0)
        if gone.any():
            self._find_again(self._numbers[gone].tolist())
            return self._read(values=values, metrics=metrics)
        # Kept without the values: whoever has made a frame need not read again to count.
        self.__dict__["_scan"] = read._replace(values=None, metrics={})
        return read

    def _records(self, numbers: Sequence[int]) -> list[TaskRecord | None]:
        """Read these tasks' records."""
        rows = [self._row_ids[number] for number in numbers]
        records = in_bulk(self._store, rows)
        found = zip(numbers, rows, records, strict=True)
        gone = [number for number, row, record in found if record is None and row >= 0]
        if gone:
            self._find_again(gone)
            return self._records(numbers)
        return records

    def _find_again(self, gone: Sequence[int]) -> None:
        """Look these tasks up by key: a later run has replaced their rows, or they were forgotten.

        Afterwards each has another row or none, so that whoever asks again gets an answer.
        """
        known = self._store.index.known(self._experiment) if self._experiment is not None else ()
        rows = {row.key: row.id for row in known}
        for number in gone:
            row = rows.get(self._key(number), -1)
            self._row_ids[number] = row if row != self._row_ids[number] else -1

    def _name(self, record: TaskRecord) -> str:
        """Name a record's task in a few words."""
        from memento.results.result import config_text

        return config_text(self._tasks.config(self._row_ids.index(record.id)))

    @property
    def _status(self) -> NDArray[np.int8]:
        return self._scan.status

    def _axes(self, *, with_repeat: bool = False) -> list[Axis]:
        axes = self._tasks.axes(self._numbers)
        if with_repeat and self._tasks.repeats > 1:
            axes.append(self._tasks.repeat_axis(self._numbers))
        return axes

    def _telling_axes(self) -> list[Axis]:
        """Return the parameters, and repeats, in the order in which rules look at them."""
        shown = {*self._tasks.shown, "repeat"}
        # A parameter of an upstream task says more than the task's key.
        return sorted(self._axes(with_repeat=True), key=lambda axis: axis.name not in shown)

    def _counts(self) -> dict[str, int]:
        """How many are done, of these cached, failed, and missing."""
        done = self._status == IS_DONE
        return {
            "done": int(done.sum()),
            "cached": int((done & self._cached[self._numbers]).sum()),
            "failed": int((self._status == IS_FAILED).sum()),
            "missing": int((self._status == IS_MISSING).sum()),
        }

    # -- for people

    def __repr__(self) -> str:
        from memento.results.text import as_text

        return as_text(self)

    def _repr_html_(self) -> str:
        from memento.results.html import results_html

        return results_html(self)


def _integers(numbers: Sequence[int] | NDArray[np.int64]) -> Sequence[int]:
    """Return numbers as a sequence of Python's integers."""
    return numbers if isinstance(numbers, (range, array)) else array("q", numbers)


def failure_report(results: Results) -> str:
    """Return the report of what failed and why, or an empty string."""
    return str(results.failures) if len(results.failures) else ""
