"""Read the runs of an MLflow experiment: from a tracking server, its database, or its folder.

Knows: MLflow's client. May not know: what parameters and metrics mean.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from memento.exchange.source_rows import CannotImport, Row, Source
from memento.optional_packages import imported
from memento.records import DONE
from memento.results.to_frame import free_name
from memento.store.provenance import redact_urls

_PAGE = 1_000  # runs of one answer
_PATIENCE = 10.0  # seconds in which a server answers; MLflow itself tries for minutes


def read_mlflow(place: str, experiment: str | None) -> Source:
    """Return the runs of an experiment: parameters, the last value of each metric, when they began and ended.

    Raises
    ------
    CannotImport
        It cannot be opened, or has not this experiment.
    MissingExtra
        MLflow is not installed.
    """
    if place.startswith(("http://", "https://")):
        check_answers(place)
    mlflow = imported("mlflow", "import from MLflow", "mlflow")
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    try:
        with _folders_allowed():
            client = mlflow.MlflowClient(tracking_uri=_address(place))
            names = {one.name: one.experiment_id for one in client.search_experiments()}
            wanted = _experiment(
                redact_urls(place), names, experiment, lambda number: _has_runs(client, number)
            )
            runs = list(_runs(client, names[wanted]))
    except CannotImport:
        raise
    except Exception as error:  # whatever a database, a server or a file makes of it
        told = redact_urls(" ".join(str(error).split()))[:300]
        raise CannotImport(
            f"MLflow cannot read {redact_urls(place)}: {type(error).__name__}: {told}"
        ) from error
    return source_of(wanted, runs)


@contextmanager
def _folders_allowed() -> Iterator[None]:
    """Let MLflow read folders, which it refuses since it writes none any more: old results lie there."""
    name, before = "MLFLOW_ALLOW_FILE_STORE", os.environ.get("MLFLOW_ALLOW_FILE_STORE")
    os.environ[name] = "true"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def source_of(name: str, runs: Iterable[Any]) -> Source:
    """Return runs of MLflow as rows, the oldest first; all parameters are texts there."""
    rows, parameters, results = [], dict[str, None](), dict[str, None]()
    for run in sorted(runs, key=lambda run: run.info.start_time or 0):
        cells: dict[str, Any] = {key: value for key, value in run.data.params.items() if value != ""}
        parameters.update(dict.fromkeys(cells))
        told = {free_name(key, "metric", cells): value for key, value in run.data.metrics.items()}
        results.update(dict.fromkeys(told))
        began, ended = run.info.start_time, run.info.end_time
        runtime = max(ended - began, 0) / 1000 if began and ended else None
        status = DONE if run.info.status == "FINISHED" else str(run.info.status)
        started = began / 1000 if began else None
        rows.append(Row(f"run {run.info.run_id}", cells | told, status, started, runtime))
    columns = tuple(dict.fromkeys([*parameters, *results]))
    return Source("mlflow", f"MLflow experiment {name}", rows, columns, tuple(parameters), tuple(results))


def _experiment(
    place: str, names: Mapping[str, str], asked: str | None, has_runs: Callable[[str], bool]
) -> str:
    if asked is not None:
        if asked not in names:
            raise CannotImport(
                f"{place} has no experiment {asked!r}.", f"It has: {', '.join(list(names)[:20])}."
            )
        return asked
    found = [name for name, number in names.items() if has_runs(number)]
    if len(found) != 1:
        raise CannotImport(
            f"{place} has {len(found)} experiments with runs.",
            f"Name one with --study: {', '.join(found[:20])}" if found else "",
        )
    return found[0]


def _has_runs(client: Any, number: str) -> bool:
    return bool(client.search_runs([number], max_results=1))


def _runs(client: Any, number: str) -> Iterator[Any]:
    token = None
    while True:
        page = client.search_runs([number], max_results=_PAGE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def check_answers(place: str) -> None:
    """Knock at a server: where nobody answers, it is said at once."""
    import socket
    from urllib.parse import urlsplit
    from urllib.request import getproxies, proxy_bypass

    told = redact_urls(place)
    try:
        parts = urlsplit(place)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise CannotImport(f"{told} is no address: {error}.") from error
    if parts.scheme in getproxies() and not proxy_bypass(host):
        return  # it need not be reached from here
    try:
        socket.create_connection((host, port), _PATIENCE).close()
    except (OSError, UnicodeError) as error:  # no name is that long
        raise CannotImport(f"nobody answers at {told}: {error}.", "Is the server running?") from error


def _address(place: str) -> str:
    if "://" in place:
        file = place.removeprefix("sqlite:///")
        if file != place and not Path(file).exists():
            raise CannotImport(f"there is no {file}.")
        return place
    path = Path(place).resolve()
    if path.is_file():
        return f"sqlite:///{path.as_posix()}"
    return (
        (path / "mlruns") if (path / "mlruns").is_dir() and not any(path.glob("*/meta.yaml")) else path
    ).as_uri()
