"""The matrix as users and rooms see it: validated, counted, each task on demand.

Knows: how a declaration becomes a space. May not know: keys of tasks, stores, experiments.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from memento.config import Config, Configurations, TaskParameters
from memento.errors import MatrixError, MatrixTypeError
from memento.matrix.arguments import explained
from memento.matrix.declared_grids import check_name
from memento.matrix.labels import labels_at, labels_of
from memento.matrix.ranges import Numbers
from memento.matrix.space import compile_space
from memento.matrix.spec import Spec, make_spec
from memento.matrix.table import TaskTable
from memento.matrix.values import listed

if TYPE_CHECKING:
    from typing import overload

    from memento.matrix.lineage import Join


class Matrix:
    """What to run: parameters and the values that each may have.

    Parameters
    ----------
    parameters : mapping of str to iterable or mapping, or list of these
        The values of each parameter; the tasks are their product, the first parameter slowest. A mapping of labels to
        values names these: labels are shown and filtered by, and no key depends on them. A list of several grids: the
        tasks of one after the other, each once. None beside `include`: only the tasks of `include`.
    settings : mapping, optional
        Constants that every task sees as ``config.settings``.
    exclude : iterable of dict or callable
        A dict excludes the tasks whose parameters equal all the values that it names (a list of values
        means any of these); a callable ``rule(config) -> bool`` those for which it is true.
    include : iterable of dict
        Single tasks that follow the grid; no rule excludes them.
    when : mapping of str to condition, optional
        The parameter varies only where the condition holds; elsewhere it is absent. A condition is a
        dict (a list of values means any of these), a callable, or a list of these (any may hold).
        Members of a zip group share one condition, given on any of them.
    zip : iterable of groups of names
        Parameters that advance together.
    defaults : mapping, optional
        Where a parameter or setting equals its default, the key is as if it did not exist.
    volatile : iterable of str
        Names of settings and parameters that are no part of the key.
    repeats : int
        How often to run each task, with a seed of its own.
    id : object, optional
        What other matrices call this one in their `dependencies`.
    dependencies : iterable or mapping
        Ids of matrices whose results this one takes as parameters. A mapping of id to ``{"on": names}`` joins them
        where these parameters of theirs are equal, in place of all combinations.

    Raises
    ------
    MatrixError
        Something is wrong; the error names the place and what would be right.

    Examples
    --------
    >>> matrix = Matrix({"model": ["svc", "tree"], "C": [1, 10]}, when={"C": {"model": "svc"}})
    >>> len(matrix)
    3
    >>> matrix.config(2)
    Config(model=tree)
    """

    @explained
    def __init__(
        self,
        parameters: Mapping[str, Iterable[Any]] | Sequence[Mapping[str, Iterable[Any]]] | None = None,
        settings: Mapping[str, Any] | None = None,
        exclude: Iterable[Any] = (),
        include: Iterable[Mapping[str, Any]] = (),
        when: Mapping[str, Any] | None = None,
        zip: Iterable[Iterable[str]] = (),  # noqa: A002  # the matrix's own key
        defaults: Mapping[str, Any] | None = None,
        volatile: Iterable[str] = (),
        repeats: int = 1,
        id: Any = None,  # noqa: A002  # the matrix's own key
        dependencies: Iterable[Any] | Mapping[Any, Any] = (),
    ) -> None:
        given = {name: value for name, value in locals().items() if name != "self"}
        if parameters is None and not include and not dependencies:
            raise TypeError(
                "Matrix() needs the parameters: Matrix({'name': [value, ...]}), or single tasks, "
                "Matrix(include=[{'name': value}, ...])."
            )
        self._spec: Spec = make_spec(given)
        self._compiled: tuple[TaskTable, list[str]] | None = None

    @classmethod
    def of(cls, obj: Matrix | Mapping[str, Any] | str | os.PathLike[str]) -> Matrix:
        """Return the matrix that a dict, a file's path or a Matrix stands for.

        Examples
        --------
        >>> len(Matrix.of({"parameters": {"x": range(3)}, "repeats": 2}))
        6
        """
        if isinstance(obj, Matrix):
            return obj
        if isinstance(obj, (str, os.PathLike)):
            return cls.load(obj)
        if not isinstance(obj, Mapping):
            raise _no_matrix(obj)
        return cls._from_spec(make_spec(obj))

    @classmethod
    def load(cls, path: str | os.PathLike[str], changes: Mapping[str, Any] | None = None) -> Matrix:
        """Read a matrix from a YAML, TOML or JSON file.

        Parameters
        ----------
        path : str or path
            The file.
        changes : mapping of str to value, optional
            Other values than the file's for some parameters, each one value or a list of several, and settings.

        Examples
        --------
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "matrix.yaml"
        >>> _ = path.write_text("parameters: {lr: [0.1, 1], seed: [0, 1]}")
        >>> len(Matrix.load(path)), len(Matrix.load(path, {"lr": 0.5}))
        (4, 2)
        """
        from memento.matrix.changes import with_changes
        from memento.matrix.matrix_files import load_file

        declared = load_file(path)
        try:
            return cls._from_spec(make_spec(with_changes(declared, changes) if changes else declared))
        except MatrixError as exc:
            raise type(exc)(f"{path}: {exc.where}", exc.problem, exc.todo) from exc.__cause__

    @classmethod
    def _from_spec(cls, spec: Spec) -> Matrix:
        self = cls.__new__(cls)
        self._spec, self._compiled = spec, None
        return self

    @property
    def parameters(self) -> dict[str, tuple[Any, ...]]:
        """The values of each parameter, in the order declared; of several grids those of all."""
        return dict(self._spec.parameters)

    @cached_property
    def labels(self) -> dict[str, tuple[str, ...]]:
        """The labels of the values of each parameter that has some, in their order; "" for a value without.

        Examples
        --------
        >>> Matrix({"size": {"small": 10, "large": 1000}, "C": [1, 10]}).labels
        {'size': ('small', 'large')}
        """
        return {
            name: labels for name, values in self._spec.parameters.items() if (labels := labels_of(values))
        }

    @property
    def settings(self) -> dict[str, Any]:
        """Constants that every task sees."""
        return self._spec.settings

    @property
    def defaults(self) -> dict[str, Any]:
        """Values that leave the key as if the name did not exist."""
        return self._spec.defaults

    @property
    def volatile(self) -> frozenset[str]:
        """Names that are no part of the key."""
        return self._spec.volatile

    @property
    def repeats(self) -> int:
        """How often each task runs."""
        return self._spec.repeats

    @property
    def id(self) -> Any:
        """What other matrices call this one."""
        return self._spec.id

    @property
    def dependencies(self) -> tuple[Any, ...]:
        """Ids of the matrices whose results this one takes."""
        return self._spec.dependencies

    @property
    def warnings(self) -> list[str]:
        """What is allowed and may yet not be meant, like a rule that matches nothing."""
        of = "" if self.id is None else f"matrix {self.id!r}: "
        return [f"{of}{text}" for text in self._compile()[1]]

    @property
    def ranges(self) -> list[tuple[str, Numbers]]:
        """The parameters whose values a range or a scale gives."""
        grids = self._spec.grids or (self._spec.parameters,)
        return [pair for grid in grids for pair in grid.items() if isinstance(pair[1], Numbers)]  # type: ignore[misc]

    @property
    def spec(self) -> Spec:
        """The declaration in its normal form."""
        return self._spec

    def with_joins(self, joins: tuple[Join, ...]) -> Matrix:
        """Return a matrix whose tasks agree in these parameters; this one stays as it is."""
        return self._from_spec(self._spec._replace(joins=joins)) if joins else self

    def with_parameter(self, name: str, values: Iterable[Any]) -> Matrix:
        """Return a matrix with one more parameter, the fastest; this one stays as it is.

        Examples
        --------
        >>> Matrix({"a": [1]}).with_parameter("b", [2, 3]).configs[1]
        Config(a=1, b=3)
        """
        check_name(name, "parameters")
        if name in self._spec.parameters:
            raise MatrixError(
                "dependencies", f"{name!r} is a parameter already.", "Rename the parameter or the id."
            )
        added = listed(values, f"parameters[{name!r}]")
        if not added:
            raise MatrixError(
                f"parameters[{name!r}]", "the list is empty.", "Its matrix has no results to give."
            )
        parameters, *grids = ({**grid, name: added} for grid in (self._spec.parameters, *self._spec.grids))
        return self._from_spec(self._spec._replace(parameters=parameters, grids=tuple(grids)))

    def table(self) -> TaskTable:
        """Return the tasks as numbers, which planning works on; compiled once."""
        return self._compile()[0]

    def of_rows(self, rows: Sequence[int]) -> Matrix:
        """Return a matrix of some of the configurations, given their numbers in ascending order."""
        table, warnings = self._compile()
        chosen = self._from_spec(self._spec)
        chosen._compiled = table.of_rows(rows), warnings
        return chosen

    def _compile(self) -> tuple[TaskTable, list[str]]:
        if self._compiled is None:
            self._compiled = compile_space(self._spec)
        return self._compiled

    def __len__(self) -> int:
        return len(self.table())

    def __bool__(self) -> bool:
        return True  # there is no matrix without tasks; truth must not compile one

    def __repr__(self) -> str:
        grids = [
            ", ".join(f"{name}: {len(values)}" for name, values in grid.items())
            for grid in self._spec.grids or (self._spec.parameters,)
        ]
        return f"Matrix({grids[0]})" if len(grids) == 1 else f"Matrix([{'], ['.join(grids)}])"

    def config(self, i: int) -> Config:
        """Return the `i`-th task's configuration, counted from 0."""
        table = self.table()
        if not 0 <= i < len(table):
            raise IndexError(f"task {i} of {len(table)}")
        row, repeat = divmod(i, table.repeats)
        parameters = table.row(row)
        if self.labels:
            parameters = TaskParameters(parameters, labels_at(table.names, table.slots(row), self.labels))
        return Config.build(parameters, self._spec.settings, repeat)

    @property
    def configs(self) -> Configs:
        """All configurations, each made when it is asked for."""
        return Configs(self)


def _no_matrix(given: object) -> MatrixTypeError:
    from memento.matrix.right_line import no_matrix  # a grid that is right needs none of it

    return no_matrix(given)


class Configs(Sequence[Config]):
    """The configurations of a matrix, made on demand.

    Parameters
    ----------
    matrix : Matrix
        Where they come from.
    """

    def __init__(self, matrix: Matrix) -> None:
        self._matrix = matrix

    def __len__(self) -> int:
        return len(self._matrix)

    if TYPE_CHECKING:

        @overload
        def __getitem__(self, index: int) -> Config: ...
        @overload
        def __getitem__(self, index: slice) -> list[Config]: ...

    def __getitem__(self, index: int | slice) -> Config | list[Config]:
        if isinstance(index, slice):
            return [self._matrix.config(i) for i in range(*index.indices(len(self)))]
        return self._matrix.config(range(len(self))[index])

    def __iter__(self) -> Iterator[Config]:
        return map(self._matrix.config, range(len(self)))

    def __repr__(self) -> str:
        return f"<{len(self)} configurations of {self._matrix!r}>"


def generate_configurations(matrix: Mapping[str, Any] | Matrix) -> Configurations:
    """Generate the configurations of a matrix.

    Running a matrix does this by itself; call it to see the configurations, or to use them elsewhere.

    Parameters
    ----------
    matrix : dict or Matrix
        The matrix.

    Examples
    --------
    >>> for config in generate_configurations({"parameters": {"a": [1, 2], "b": [3]}}):
    ...     print(config)
    {'a': '1', 'b': '3'}
    {'a': '2', 'b': '3'}
    """
    if isinstance(matrix, (str, os.PathLike)):
        raise MatrixTypeError(
            "matrix", f"a dict is needed, got {matrix!r}.", f"Write Matrix.load({str(matrix)!r})."
        )
    made = Matrix.of(matrix)
    return Configurations(made.configs, made.settings)
