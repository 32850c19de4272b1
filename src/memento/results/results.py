"""All results of a matrix: a sequence in the matrix's order that loads values only when they are touched.

Knows: selections of tasks, what can be asked of them. May not know: how to run anything.

Each answer is made in a file of its own, imported when it is asked for; a `Result` is made when somebody asks for one.
Long because users read here what each answer means.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from memento.results.parameters import Tasks
from memento.results.scan import CHUNK, IS_FAILED
from memento.results.selection import Selection, Source

if TYPE_CHECKING:
    from typing import overload

    import numpy as np
    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from memento.matrix.matrix import Matrix
    from memento.records import TaskRecord
    from memento.results.reports import FailureReport, WarningReport
    from memento.results.result import Result
    from memento.store.store import Store


class Results(Sequence["Result"]):
    """The results of a matrix's tasks, in the matrix's order.

    Behaves like a list of `Result`; values load when they are touched. Slices and `filter` give `Results`.

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

    def __init__(self, source: Source, numbers: Sequence[int] | NDArray[np.int64] | None = None) -> None:
        self._selection = Selection(source, numbers)
        # A result that somebody holds is given out again: `results.index(max(results, key=...))` finds it.
        self._held: WeakValueDictionary[int, Result] = WeakValueDictionary()

    @classmethod
    def of_plan(
        cls, store: Store, matrix: Matrix, plan: Any, upstream: Mapping[str, Results] | None = None
    ) -> Results:
        """Make the results of a plan that has been carried out; `upstream` are those that its tasks took, by name."""
        tasks = plan.tasks
        rows, cached = array("q", plan.rows), bytearray(plan.cached)
        source = Source(store, Tasks(matrix, tasks.digests), tasks.keys, rows, cached, tasks.experiment)
        source.upstream = {name: results._selection.source for name, results in (upstream or {}).items()}
        return cls(source)

    # -- a sequence

    def __len__(self) -> int:
        return len(self._selection)

    if TYPE_CHECKING:

        @overload
        def __getitem__(self, index: int) -> Result: ...
        @overload
        def __getitem__(self, index: slice) -> Results: ...

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self._of(self._selection.places[index])
        if not hasattr(index, "__index__"):
            from memento.results.advice import no_such_index

            raise TypeError(no_such_index(index, self._columns()))
        try:
            number = self._selection.places[index]
        except IndexError:
            raise IndexError(f"there are {len(self)} results; there is none with index {index}") from None
        (record,) = self._selection.source.records([number])
        return self._result(number, record)

    if not TYPE_CHECKING:  # for which every name would be there

        def __getattr__(self, name: str) -> Any:
            if hasattr(type(self), name):  # it is there, and raised an AttributeError of its own
                return object.__getattribute__(self, name)
            from memento.results.advice import NoSuchColumn

            raise NoSuchColumn(self, name, self._columns)

    def _columns(self) -> list[str]:
        from memento.results.to_frame import make_table

        return list(map(str, make_table(self._selection).frame))

    def __iter__(self) -> Iterator[Result]:
        # In pieces: the rows of a million tasks as Python integers are 32 MB.
        for start in range(0, len(self), CHUNK):
            numbers = self._selection.places[start : start + CHUNK]
            for number, record in zip(numbers, self._selection.source.records(numbers), strict=True):
                yield self._result(number, record)

    def __add__(self, other: Iterable[Any]) -> list[Any]:
        return [*self, *other]

    def __radd__(self, other: Iterable[Any]) -> list[Any]:
        return [*other, *self]

    def _result(self, number: int, record: TaskRecord | None) -> Result:
        held = self._held.get(number)
        if held is None:
            from memento.results.result import Result

            held = self._held[number] = Result.stored(self._selection.source, number, record)
        return held

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy that travels has no store to load from: it is the list that it was in 1.2.0.
        return list, (list(self),)

    def _of(self, numbers: Sequence[int] | NDArray[np.int64]) -> Results:
        return Results(self._selection.source, numbers)

    # -- what all of them come to

    def to_frame(self, *, raw: bool = False) -> pd.DataFrame:
        """Return a frame with one row a task.

        Its columns: the parameters (`repeat` where tasks are repeated), `value`, the last value of each
        metric, then `status`, `was_cached`, `start_time` (local time), `runtime` and `cpu_time` (seconds),
        `memory` (peak bytes), `key`, `error`. Of a value that is a dict, a named tuple or a dataclass, the scalars
        are columns (a hundred at most), nested ones by dots: `test.acc`; `value` is there if these do not show
        all. A large value is not loaded: its cell says what it is, ``array 5000x784 float32, 15.7 MB``, and
        `Result.inner` loads it. A name that is taken already gets
        its kind in front: `value.model`, `metric.model`, `result.status`. A parameter that is the result of
        another task is followed by that task's parameters: `first.lr`. A value that cannot be loaded here stands
        as an object that says why.

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
        from memento.results.to_frame import make_table

        return make_table(self._selection, raw=raw).frame

    def pivot(
        self,
        index: str | Sequence[str],
        columns: str | Sequence[str] | None = None,
        metric: str | None = None,
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
        metric : str, optional
            What to show: `value`, a metric, or another column of `to_frame`. By default what tasks returned, or
            the only number in it, or else the only metric.
        aggfunc : str, callable or list of these, optional
            What to make of several tasks that fall on one cell: the mean by default, with a warning where
            they are more than repeats of one configuration. Of a list, a table of each, side by side.
        values : str, optional
            The same as `metric`, by the word that pandas has for it.

        Returns
        -------
        DataFrame
            Rows and columns in the matrix's order.
        """
        from memento.results.summary import pivot

        return pivot(self._selection, index, columns, values or metric, aggfunc)

    def summary(
        self, by: str | Sequence[str] | None = None, metric: str | None = None, *, value: str | None = None
    ) -> pd.DataFrame:
        """Return mean and spread of a value by group.

        Parameters
        ----------
        by : str or sequence of str, optional
            The parameters that make a group; all but `repeat`, by default.
        metric : str, optional
            `value`, a metric, or another numeric column of `to_frame`; by default as for `pivot`.
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

        return summary(self._selection, by, value or metric)

    def best(
        self,
        metric: str | None = None,
        minimize: bool = False,
        *,
        repeat: bool = False,
        by: str | None = None,
    ) -> Result:
        """Return the best configuration, by the mean over its repeats; failed tasks and nan do not count.

        A tie, and repeats that are missing, are said as a warning.

        Parameters
        ----------
        metric : str, optional
            `value`, a metric, an item of the values, or another numeric column of `to_frame`; by default as for
            `pivot`.
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
            There is no such column, it holds no numbers, or no task has one; or there are several and none is named.
        """
        from memento.results.best import best

        found = best(self._selection, by or metric, minimize, repeat)
        if not found.n:
            return self[found.place]
        from memento.results.result import BestResult

        repeats = [self._selection.places[place] for place in found.repeats]
        return BestResult.of(
            self[found.place],
            mean=found.mean,
            std=found.std,
            n=found.n,
            by=found.by,
            results=self._of(repeats),
            ties=[self[place].config for place in found.ties],
        )

    def explode(self, name: str | None = None) -> pd.DataFrame:
        """Return a frame with a row for each element of what tasks returned, their parameters beside it.

        Rows are made of lists of dicts, named tuples, dataclasses (their items are columns, nested ones by dots) or
        numbers, of arrays, of frames (pandas, Polars, Arrow), and of dicts of equally long lists.

        Parameters
        ----------
        name : str, optional
            An item of the values, nested ones by dots: ``"test.curve"``. By default the whole values are rows.

        Returns
        -------
        DataFrame
            In the matrix's order: the parameters (`repeat` where tasks are repeated), `position` (0 for a task's first
            row), and the columns of the rows. What is no list is one row. Tasks without rows (failed, nothing
            returned, an empty list) are counted in a warning.

        Raises
        ------
        ValueError
            There is no such item, no task has rows, or lists of different lengths stand side by side.

        Examples
        --------
        >>> import tempfile
        >>> from memento import Memento
        >>> def sweep(context, config):
        ...     return {"mean": 0.5, "points": [{"at": i, "y": i * config.n} for i in range(config.n)]}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     memento = Memento(sweep, executor="serial", store=f"{folder}/store", progress=False)
        ...     print(memento.run({"parameters": {"n": [1, 2]}}).explode("points"))
           n  position  at  y
        0  1         0   0  0
        1  2         0   0  0
        2  2         1   1  2
        """
        from memento.results.explode import explode

        return explode(self._selection, name, lambda place: self[place].inner)

    @property
    def metrics(self) -> pd.DataFrame:
        """All that the tasks recorded, as one long frame: the parameters, `repeat`, `metric`, `x` and `y`.

        A row for each point, in the order of the matrix; failed tasks have what they recorded before they failed
        (``results.filter(status="done").metrics`` is without them). A name that a parameter has already gets `metric.`
        in front. The frame is made anew each time: hold it in a name of your own.

        Examples
        --------
        >>> import tempfile
        >>> from memento import Memento
        >>> def train(context, config):
        ...     for epoch in range(2):
        ...         context.record({"loss": (epoch, config.lr / (epoch + 1))})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     memento = Memento(train, executor="serial", store=f"{folder}/store", progress=False)
        ...     print(memento.run({"parameters": {"lr": [1.0, 3.0]}}).metrics)
            lr metric    x    y
        0  1.0   loss  0.0  1.0
        1  1.0   loss  1.0  0.5
        2  3.0   loss  0.0  3.0
        3  3.0   loss  1.0  1.5
        """
        from memento.results.curves import curves

        return curves(self._selection)

    def plot(self, metric: str | None = None, ax: Axes | None = None) -> Axes:
        """Draw the first useful figure, with matplotlib (``pip install memento-ml[plot]``).

        Where tasks recorded metrics over time: a curve for each configuration, of more than ten the highest and the
        lowest named. Else over the parameters that vary: a heatmap of two (of more, of the two over which the means
        differ most), or points over one. Shown are means over all else, also over `repeat`, `seed`, `random_state` and
        `fold`; bands and bars are ± one standard deviation. The title says so.

        Parameters
        ----------
        metric : str, optional
            What to draw: a metric, `value`, or another numeric column of `to_frame`. By default the first metric that
            was recorded over time; else as for `summary`.
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default in a figure of its own.

        Returns
        -------
        matplotlib.axes.Axes
            ``results.plot().figure.savefig("figure.pdf")``

        Raises
        ------
        MissingExtra
            Matplotlib is not installed.
        ValueError
            There is nothing to plot; says why.
        """
        from memento.results.plot import draw

        return draw(self._selection, metric, ax)

    def filter(self, function: Callable[[Result], object] | None = None, /, **parameters: Any) -> Results:
        """Return the results with these parameters.

        Parameters
        ----------
        function : callable, optional
            Says of a `Result` whether to keep it: ``lambda result: result.value > 0.9``. It is asked only about those
            that have the parameters: with ``status="done"`` no value is lacking.
        **parameters : object
            For each parameter a value or its short name (``model="SVC"``), or several in a list, tuple or
            set, any of which will do. Values are compared as keys compare them: `1`, `1.0` and `True` are
            three, equal arrays, modules and estimators are one. "-" stands for a parameter that a task does
            not have. `repeat` and `status` serve as well. What is the result of another matrix' task is named by
            that task's parameters: ``clean={"dataset": "a"}``, or ``**{"clean.dataset": "a"}``.

        Returns
        -------
        Results
            In the same order; empty where no task has the combination.

        Raises
        ------
        ValueError
            There is no such parameter, or it has no such value; says which there are. Or the function failed; says for
            which result (a TypeError or AttributeError stays one).
        """
        given: Any = function
        if given is not None and not callable(given):
            from memento.results.advice import no_filter

            raise TypeError(no_filter(given))
        found = self
        from memento.results.filter import chosen, matching

        if parameters or function is None:
            found = self._of(self._selection.numbers[matching(self._selection, parameters)])
        if function is None:
            return found
        return self._of(found._selection.numbers[chosen(found, function)])

    def upstream(self, name: str | None = None) -> Any:
        """Return the results of other matrices' tasks that these were computed from.

        Parameters
        ----------
        name : str, optional
            The id of a matrix that this one depends on, as a parameter is called.

        Returns
        -------
        Results or dict of str to Results
            Those of this matrix, each task once, in its own order; without a name all, by name.

        Raises
        ------
        ValueError
            These results were not computed from any of that name.
        """
        from memento.results.upstream_results import upstream

        found = {one: Results(*told) for one, told in upstream(self._selection, name).items()}
        return found if name is None else found[name]

    @cached_property
    def failures(self) -> FailureReport:
        """The failures grouped by cause, each group with what its tasks have in common; print it."""
        from memento.results.reports import failure_report

        places = (self._selection.status == IS_FAILED).nonzero()[0].tolist()
        failed = self._of([self._selection.places[place] for place in places])
        return failure_report(self._selection, failed, places)

    @cached_property
    def warnings(self) -> WarningReport:
        """The warnings that tasks showed, grouped as failures are; print it."""
        from memento.results.reports import warning_report

        return warning_report(self._selection)

    def errors(self) -> list[BaseException]:
        """Return what each failed task raised, in the matrix's order.

        Each carries its task: a note, and where it has no such attributes of its own, `config`, `key` and
        `attempt`.
        """
        failed = self._of(self._selection.numbers[self._selection.status == IS_FAILED])
        return [error for error in (result.error for result in failed) if error is not None]

    def __repr__(self) -> str:
        from memento.results.show import as_text

        return as_text(self, self._selection)

    def _repr_html_(self) -> str:
        from memento.results.show import results_html

        return results_html(self, self._selection)
