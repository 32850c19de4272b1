"""Find out what a source of results is, and read it.

Knows: what files, folders and addresses look like. May not know: what is in them.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import NamedTuple

from memento.exchange.file_beginnings import SQLITE, beginning_of
from memento.exchange.source_rows import CannotImport, Source

KINDS = ("csv", "hydra", "mlflow", "optuna")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_TABLES = {"optuna": {"studies", "trials"}, "mlflow": {"experiments", "runs", "latest_metrics"}}


class Wanted(NamedTuple):
    """What of a source is wanted."""

    kind: str | None = None  # one of KINDS
    study: str | None = None  # of Optuna, or the experiment of MLflow
    result: str | None = None  # of Hydra: FILE or FILE:FIELD in the folder of each job


def open_source(place: str, wanted: Wanted) -> Source:
    """Read all rows of a source.

    Raises
    ------
    CannotImport
        It is not there, or it is none that is known.
    MissingExtra
        The package that reads it is not installed.
    """
    kind = wanted.kind or kind_of(place)
    if kind not in KINDS:
        raise CannotImport(f"--from {kind}: results come from {', '.join(KINDS)}.")
    if wanted.result is not None and kind != "hydra":
        raise CannotImport("--result is the file in the folder of each job of Hydra.", "Leave it out.")
    if wanted.study is not None and kind in ("csv", "hydra"):
        raise CannotImport("--study is of Optuna and MLflow.", "Leave it out.")
    if kind == "csv":
        from memento.exchange.read_csv import read_csv

        return read_csv(Path(place))
    if kind == "hydra":
        from memento.exchange.read_hydra import read_hydra

        return read_hydra(Path(place), wanted.result)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what these packages warn each other of is nobody's concern here
        if kind == "mlflow":
            from memento.exchange.read_mlflow import read_mlflow

            return read_mlflow(place, wanted.study)
        from memento.exchange.read_optuna import read_optuna

        return read_optuna(place, wanted.study)


def kind_of(place: str) -> str:
    """Return what a place looks like; one of KINDS."""
    if place.startswith(("http://", "https://")):
        return "mlflow"
    file = _file_of(place)
    if file is None:
        raise CannotImport(
            f"{_without_secrets(place)} may be Optuna's or MLflow's.",
            "Say which: --from optuna, --from mlflow",
        )
    path = Path(file)
    if path.is_dir():
        return _kind_of_folder(path)
    if not path.exists():
        raise CannotImport(f"there is no {place}.")
    head = beginning_of(path)
    if head == SQLITE:
        return _kind_of_database(path)
    if head.startswith(b'{"op_code"') or path.suffix.lower() in (".log", ".journal"):
        return "optuna"
    return "csv"


def _file_of(place: str) -> str | None:
    """Return the file or folder that a place is; None for a server."""
    if place.startswith("sqlite:///"):
        return place.removeprefix("sqlite:///")
    if place.startswith("file://"):
        return place.removeprefix("file://")
    return None if _URL.match(place) else place


def _kind_of_folder(path: Path) -> str:
    if any(path.glob("*/meta.yaml")) or any(path.glob("mlruns/*/meta.yaml")):
        return "mlflow"
    if next(path.rglob(".hydra"), None) is not None:
        return "hydra"
    raise CannotImport(
        f"{path} has no .hydra folder in it, and nothing of MLflow.",
        "Name a CSV file, a folder of Hydra's multirun, a tracking server or folder of MLflow, or an Optuna storage.",
    )


def _kind_of_database(path: Path) -> str:
    import sqlite3
    from contextlib import closing

    question = "SELECT name FROM sqlite_master WHERE type = 'table'"
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        names = {name for (name,) in connection.execute(question)}
    for kind, tables in _TABLES.items():
        if tables <= names:
            return kind
    raise CannotImport(f"{path} is a database of neither Optuna nor MLflow.", "Say which: --from optuna")


def _without_secrets(place: str) -> str:
    from memento.store.provenance import redact_urls

    return redact_urls(place)
