"""`memento import SOURCE`: take in results that were computed elsewhere, and say what became of each row.

Knows: what a command line says of a source, what to print. May not know: how a source is read, how results come in.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from memento.cli.exit_codes import UsageError
from memento.cli.open_store import named_store
from memento.cli.printing import print_json
from memento.exchange.cell_text import value_of
from memento.exchange.imported_results import Imported, import_results, same
from memento.exchange.match_tasks import check_plain
from memento.exchange.open_source import Wanted, open_source
from memento.exchange.roles import Asked, guessed_items, roles_of
from memento.exchange.rows_to_results import Prepared, with_matrix, without_matrix
from memento.exchange.source_rows import CannotImport, Source
from memento.matrix.matrix import Matrix
from memento.store.location import Location
from memento.store.provenance import redact_urls
from memento.store.store import Store
from memento.suggest import misspelled
from memento.system import person
from memento.wording import named, number_of, one_line, short_name

_REASONS = 10  # that are listed
_ROWS = 3  # examples of each
_CONFLICTS = 10


class Options(NamedTuple):
    """What was asked for, beside the source."""

    store: str | os.PathLike[str] | None = None
    payloads: str | None = None
    target: str | None = None  # FILE:FUNC
    matrix: Path | None = None
    experiment: str | None = None
    name: str | None = None
    settings: Sequence[str] = ()
    rename: Sequence[str] = ()
    asked: Asked = Asked()
    wanted: Wanted = Wanted()
    replace: bool = False
    dry_run: bool = False


def columns_in(texts: Iterable[str] | None) -> list[str]:
    """Return the names of columns in an option, which may stand there several times."""
    return [name.strip() for text in texts or () for name in text.split(",") if name.strip()]


def import_from(place: str, options: Options, *, as_json: bool) -> bool:
    """Import a source and print what came of it; tell whether any row was of a task, and not all in conflict."""
    try:
        return _import(place, options, as_json=as_json)
    except CannotImport as error:
        wrong = UsageError(str(error))
        wrong.todo = error.todo
        raise wrong from error


def _import(place: str, options: Options, *, as_json: bool) -> bool:
    function, matrix = _experiment(options)
    source = open_source(place, options.wanted).renamed(_pairs(options.rename, "--rename"))
    root = named_store(options.store, options.payloads)
    exists = bool(root.address) or os.path.exists(root.root)
    prepared = _prepared(source, root, function, matrix, options)
    whence = {"from": redact_urls(source.name), "kind": source.kind, "by": person()}
    with ExitStack() as stack:
        there = root if exists or not options.dry_run else stack.enter_context(TemporaryDirectory())
        store = stack.enter_context(Store.open(there, readonly=options.dry_run and exists))
        told = import_results(
            store, prepared.tasks, prepared.results, whence, replace=options.replace, dry_run=options.dry_run
        )
    if as_json:
        _print_json(root, source, prepared, told, options)
    else:
        _print(root, source, prepared, told, options)
    stuck = told.conflicts and not (told.imported or told.known or told.busy)
    return not source.rows or bool(prepared.results and not stuck)


def _experiment(options: Options) -> tuple[Callable[..., Any] | None, Matrix | None]:
    """Return the function and the matrix that were named, if they were."""
    if options.target is None and options.experiment is None:
        raise UsageError(
            "say of which experiment: memento import SOURCE FILE:FUNC MATRIX; or -e NAME, as `memento status` lists it"
        )
    if options.target is not None and options.experiment is not None:
        raise UsageError("give FILE:FUNC or -e, not both: each names the experiment.")
    function = None
    if options.target is not None:
        from memento.cli.run import load_function

        function = load_function(options.target)  # first: the matrix may name objects of its file
    if options.matrix is None:
        return function, None
    if options.settings:
        raise UsageError("--settings goes without a matrix: the matrix has its own.")
    if not options.matrix.is_file():
        raise UsageError(f"there is no matrix {options.matrix}.")
    from memento.runner.options import check_alone

    matrix = Matrix.load(options.matrix)
    check_alone(matrix)
    return function, matrix


def _prepared(
    source: Source,
    root: Location,
    function: Callable[..., Any] | None,
    matrix: Matrix | None,
    options: Options,
) -> Prepared:
    from memento.runner.options import check_names

    def held(declared: Matrix) -> Mapping[str, Any]:
        return check_names(function, declared).defaults if function is not None else {}

    with ExitStack() as stack:
        is_there = not root.address and os.path.exists(root.root)
        create = bool(root.address)  # a database may be new
        store = (
            stack.enter_context(Store.open(root, create=create, readonly=not create))
            if create or is_there
            else None
        )
        experiment = _name(store, function, options)
        if matrix is not None:
            roles = roles_of(source, options.asked, matrix.table().names, matrix.settings)
            prepared = with_matrix(source, roles, matrix, experiment, held)
            return prepared._replace(guessed=guessed_items(source, options.asked, roles))
        settings = {name: value_of(text) for name, text in _pairs(options.settings, "--settings").items()}
        roles = roles_of(source, options.asked, None, settings)
        prepared = without_matrix(source, roles, experiment, settings, held)
        if store is not None:
            tasks = prepared.tasks
            each = (tasks.parameters(result.number) for result in prepared.results)
            check_plain(each, store.index.axes(experiment))
        return prepared


def _name(store: Store | None, function: Callable[..., Any] | None, options: Options) -> str:
    """Return the experiment's name: as a run would derive it, or as the store has it."""
    if function is not None:
        from memento.memento import Memento

        return Memento(function, name=options.name, store=options.store).name
    asked = options.experiment or ""
    known = [name for name, _, _ in store.index.experiments()] if store is not None else []
    found = named(asked, known)
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"several experiments are named {asked!r}: {', '.join(found)}.")
    near = misspelled(asked, known)
    if near is not None:
        raise UsageError(f"no experiment is named {asked!r}. Did you mean {near!r}?")
    return asked  # a new one


def _pairs(texts: Iterable[str], option: str) -> dict[str, str]:
    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise UsageError(f"{option} {text}: write {option} NAME=VALUE.")
        pairs[name.strip()] = value.strip()
    return pairs


# -- what is printed ------------------------------------------------------------------------------------


def _print_json(root: Location, source: Source, prepared: Prepared, told: Imported, options: Options) -> None:
    print_json(
        "import",
        {
            "store": str(root),
            "source": source.name,
            "kind": source.kind,
            "experiment": prepared.tasks.experiment,
            "dry_run": options.dry_run,
            "rows": len(source.rows),
            "imported": told.imported,
            "replaced": told.replaced,
            "known": told.known,
            "busy": told.busy,
            "repeated": told.repeated,
            "conflicts": [conflict._asdict() for conflict in told.conflicts],
            "left_out": [{"why": why, "rows": rows} for why, rows in prepared.left_out.items()],
            "unmatched": [{"why": why, "rows": rows} for why, rows in prepared.unmatched.items()],
        },
    )


def _print(root: Location, source: Source, prepared: Prepared, told: Imported, options: Options) -> None:
    name = one_line(short_name(prepared.tasks.experiment))
    print(f"store {one_line(str(root))}, from {one_line(source.name)}: {number_of(len(source.rows), 'row')}")
    verb = "would be imported" if options.dry_run else "imported"
    replaced = f", {told.replaced:,} of them in place of what was imported before" if told.replaced else ""
    print(f"  {name}: {number_of(told.imported, 'result')} {verb}{replaced}")
    for count, what in (
        (told.known, "there already"),
        (told.busy, "left to the run that computes it now"),
        (told.repeated, "of a task that a later row is of, too: the later one counts"),
    ):
        if count:
            noun = "task" if what.startswith("left") else "result" if count == told.known else "row"
            print(f"  {number_of(count, noun)} {what}")
    if prepared.guessed:
        columns = one_line(", ".join(prepared.guessed), 300)
        print(
            f"  columns {columns} are taken as one dict; name those that are recorded metrics: "
            f"--metrics {one_line(prepared.guessed[-1])}"
        )
    _print_conflicts(told)
    _print_reasons("left out", prepared.left_out)
    _print_reasons("of no task", prepared.unmatched)


def _print_conflicts(told: Imported) -> None:
    for conflict in told.conflicts[:_CONFLICTS]:
        how = "was imported" if conflict.is_imported else "was computed here"
        stands = "the source's takes its place" if conflict.replaced else "it stays"
        here, there = (one_line(repr(value), 40) for value in _differing_first(conflict.here, conflict.there))
        task = f"{conflict.key[:12]} {one_line(conflict.parameters, 100)}"
        print(f"  another value: {task}: {here} {how}, {there} in the source ({conflict.where}); {stands}")
    more = len(told.conflicts) - _CONFLICTS
    if more > 0:
        print(f"  ... and {more:,} more; --json lists them all")
    if any(conflict.is_imported and not conflict.replaced for conflict in told.conflicts):
        print("  --replace takes the source's values in place of those that were imported before")


def _differing_first(here: Any, there: Any) -> tuple[Any, Any]:
    """Return two values; of two dicts the entries that differ come first."""
    if not (isinstance(here, dict) and isinstance(there, dict)):
        return here, there
    alike = {name for name in here.keys() & there.keys() if same(here[name], there[name])}
    first, second = (dict(sorted(value.items(), key=lambda one: one[0] in alike)) for value in (here, there))
    return first, second


def _print_reasons(what: str, reasons: Mapping[str, Sequence[str]]) -> None:
    found = sorted(reasons.items(), key=lambda one: -len(one[1]))
    for why, rows in found[:_REASONS]:
        some = ", ".join(rows[:_ROWS]) + (", ..." if len(rows) > _ROWS else "")
        print(f"  {number_of(len(rows), 'row')} {what}: {one_line(why, 300)} ({one_line(some, 200)})")
    if len(found) > _REASONS:
        rest = sum(len(rows) for _, rows in found[_REASONS:])
        print(f"  {number_of(rest, 'row')} {what} for other reasons; --json lists them all")
