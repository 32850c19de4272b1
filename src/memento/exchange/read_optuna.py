"""Read the trials of an Optuna study.

Knows: Optuna. May not know: what parameters and values mean.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from memento.exchange.file_beginnings import SQLITE, beginning_of
from memento.exchange.source_rows import CannotImport, Row, Source
from memento.optional_packages import imported
from memento.records import DONE
from memento.results.to_frame import free_name
from memento.store.provenance import redact_urls


def read_optuna(place: str, study: str | None) -> Source:
    """Return the trials of a study: in a database, its file, or a journal's file.

    Raises
    ------
    CannotImport
        The storage cannot be opened, or has not this study.
    MissingExtra
        Optuna is not installed.
    """
    optuna = imported("optuna", "import from Optuna", "optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        storage = _storage(optuna, place)
        names = sorted(optuna.get_all_study_names(storage))
    except Exception as error:  # whatever a driver raises
        told = redact_urls(" ".join(str(error).split()))[:300]
        raise CannotImport(
            f"Optuna cannot open {redact_urls(place)}: {type(error).__name__}: {told}"
        ) from error
    if study is None and len(names) != 1:
        raise CannotImport(
            f"{redact_urls(place)} has {len(names)} studies.",
            f"Name one with --study: {', '.join(names[:20])}" if names else "",
        )
    wanted = names[0] if study is None else study
    if wanted not in names:
        raise CannotImport(
            f"{redact_urls(place)} has no study {wanted!r}.", f"It has: {', '.join(names[:20]) or 'none'}."
        )
    found = optuna.load_study(study_name=wanted, storage=storage)
    return source_of(wanted, found.get_trials(deepcopy=False), found.metric_names)


def source_of(name: str, trials: Iterable[Any], metric_names: Iterable[str] | None = None) -> Source:
    """Return trials as rows; a study with several values has them by name, as its own frame does."""
    rows, parameters, results, more = [], dict[str, None](), dict[str, None](), dict[str, None]()
    names = list(metric_names or ())
    for trial in trials:
        cells = dict(trial.params)
        parameters.update(dict.fromkeys(cells))
        values = trial.values or ()
        called = (
            ["value"]
            if len(values) == 1 and not names
            else names or [f"values_{i}" for i in range(len(values))]
        )
        told = {
            free_name(column, "result", cells): value for column, value in zip(called, values, strict=False)
        }
        results.update(dict.fromkeys(told))
        attributes = {free_name(key, "attr", cells | told): value for key, value in trial.user_attrs.items()}
        more.update(dict.fromkeys(attributes))
        began, ended = trial.datetime_start, trial.datetime_complete
        runtime = (ended - began).total_seconds() if began and ended else None
        status = DONE if trial.state.name == "COMPLETE" else trial.state.name
        started = began.timestamp() if began else None
        rows.append(
            Row(
                f"trial {trial.number}",
                cells | told | attributes,
                status,
                started,
                None if runtime is None else max(runtime, 0.0),
            )
        )
    columns = tuple(dict.fromkeys([*parameters, *results, *more]))
    return Source("optuna", f"study {name}", rows, columns, tuple(parameters), tuple(results))


def _storage(optuna: Any, place: str) -> Any:
    path = Path(place)
    if "://" not in place:
        if beginning_of(path) != SQLITE:
            return optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(place))
        place = f"sqlite:///{path.resolve().as_posix()}"
    elif place.startswith("sqlite:///") and not Path(place.removeprefix("sqlite:///")).exists():
        raise FileNotFoundError(place)
    return optuna.storages.RDBStorage(place, skip_table_creation=True)
