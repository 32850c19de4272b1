"""Read the jobs of Hydra's multirun: the folder of each, with its config and the file that has its result.

Knows: what Hydra writes into `.hydra`, files in open formats. May not know: what the values mean.

    config.yaml      what the job was run with: "optimizer.lr" and so on are columns
    overrides.yaml   what was given for this job: these are its parameters
    hydra.yaml       which file of a config group was chosen: "model" is "resnet"
    FILE             the result, which Hydra does not keep: JSON, YAML, a table (its last values count) or a text
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from memento.exchange.cell_text import result_of, value_of
from memento.exchange.source_rows import CannotImport, Row, Source
from memento.results.to_frame import free_name

_MOST = 10_000  # values of one config: aliases of aliases could make any number
_LARGEST = 64_000_000  # bytes of a file
_REFERENCE = re.compile(r"\$\{([A-Za-z_][\w.]*)\}")
_OVERRIDE = re.compile(r"(\+{0,2}|~)([A-Za-z_][\w./-]*)(?:=(.*))?", re.DOTALL)
_NOT_READ = "its .hydra/config.yaml cannot be read"


def read_hydra(folder: Path, result: str | None) -> Source:
    """Return the jobs of a folder; `result` is FILE or FILE:FIELD in the folder of each.

    Raises
    ------
    CannotImport
        There is none, or no file with results was named.
    """
    jobs = sorted(
        (path.parent for path in folder.rglob(".hydra") if (path / "config.yaml").is_file()), key=_in_order
    )
    if not jobs:
        raise CannotImport(
            f"{folder} has no .hydra folder in it.", "Name the folder of a multirun, or above it."
        )
    if not result:
        raise CannotImport(
            f"Hydra does not keep what a job returns. {_left_by(jobs)}",
            "Name the file that has it: --result results.json:accuracy",
        )
    name, _, field = result.partition(":")
    rows, parameters, results = [], dict[str, None](), dict[str, None]()
    for job in jobs:
        where = f"job {job.relative_to(folder).as_posix()}"
        try:
            cells, own = _config(job / ".hydra")
        except CannotImport:
            rows.append(Row(where, {}, _NOT_READ))
            continue
        parameters.update(dict.fromkeys(own))
        found, status = _result(job / name, field)
        found = {free_name(column, "result", cells): cell for column, cell in found.items()}
        results.update(dict.fromkeys(found))
        started = (job / ".hydra" / "config.yaml").stat().st_mtime
        rows.append(Row(where, cells | found, status, started))
    columns = dict.fromkeys([*parameters, *(column for row in rows for column in row.cells)])
    return Source(
        "hydra", folder.name or str(folder), rows, tuple(columns), tuple(parameters), tuple(results)
    )


def _in_order(job: Path) -> list[tuple[int, str]]:
    """Sort jobs by their numbers: 2 before 10."""
    return [(int(part) if part.isdecimal() and len(part) < 10 else -1, part) for part in job.parts]


def _left_by(jobs: list[Path]) -> str:
    found = sorted(
        {path.name for job in jobs[:50] for path in job.iterdir() if path.is_file() and path.suffix != ".log"}
    )
    return f"Its jobs left {', '.join(found[:10])}." if found else "Its jobs left no files."


# -- what a job was run with ------------------------------------------------------------------------------


def _config(folder: Path) -> tuple[dict[str, Any], dict[str, None]]:
    """Return the cells of a job, and which of them were given for it."""
    config = _yaml(folder / "config.yaml")
    flat = dict(_flat(config if isinstance(config, Mapping) else {}, ""))
    cells = {name: found for name, value in flat.items() if (found := _resolved(value, flat)) is not None}
    for name, choice in _choices(folder / "hydra.yaml").items():
        cells.setdefault(name, choice)
    given: dict[str, None] = {}
    overrides = _yaml(folder / "overrides.yaml") if (folder / "overrides.yaml").is_file() else []
    for text in overrides if isinstance(overrides, list) else []:
        found = _OVERRIDE.fullmatch(str(text))
        if found is None or found[1] == "~" or found[2].startswith(("hydra.", "hydra/")):
            continue
        name = found[2]
        given[name] = None
        cells.setdefault(name, value_of(found[3] or ""))
    return cells, given


def _choices(path: Path) -> dict[str, str]:
    """Return which file was chosen of each config group."""
    try:
        told = _yaml(path)
        choices = told["hydra"]["runtime"]["choices"]
        return {
            name: choice
            for name, choice in choices.items()
            if isinstance(name, str) and isinstance(choice, str) and not name.startswith("hydra/")
        }
    except (CannotImport, OSError, KeyError, TypeError, AttributeError):
        return {}


def _flat(config: Mapping[Any, Any], under: str) -> Iterator[tuple[str, Any]]:
    """Yield what is in a config, by dots; a list stays whole."""
    left = [(under, config)]
    count = 0
    while left:
        place, inner = left.pop()
        for key, value in inner.items():
            count += 1
            if count > _MOST:
                raise CannotImport("a config has too many values.")
            name = f"{place}{key}"
            if isinstance(value, Mapping):
                left.append((f"{name}.", value))
            else:
                yield name, value


def _resolved(value: Any, flat: Mapping[str, Any]) -> Any:
    """Return what a reference like ${lr} leads to; None for what is not known here."""
    for _ in range(10):
        found = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
        if found is None:
            break
        value = flat.get(found[1])
    return None if value == "???" or (isinstance(value, str) and "${" in value) else value


@lru_cache(maxsize=1)
def _loader() -> Any:
    """Read YAML as OmegaConf writes it: 1e-5 is a number, a date is a text; no tag builds an object."""
    import yaml

    class Loader(yaml.SafeLoader):
        """Builds plain values only."""

        yaml_implicit_resolvers = {  # noqa: RUF012  # PyYAML's own hook
            first: [pair for pair in pairs if not pair[0].endswith((":timestamp", ":float"))]
            for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
        }

    number = r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
    Loader.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(f"^(?:{number})$"), list("-+.0123456789")
    )
    return Loader


def _yaml(path: Path) -> Any:
    import yaml

    try:
        return yaml.load(_text(path), Loader=_loader())  # a safe one
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise CannotImport(f"{path} is no YAML that can be read: {' '.join(str(error).split())}.") from error


def _text(path: Path) -> str:
    if path.stat().st_size > _LARGEST:
        raise ValueError(f"it is larger than {_LARGEST // 1_000_000} MB")
    return path.read_text(encoding="utf-8-sig")


# -- what it left -----------------------------------------------------------------------------------------


def _result(path: Path, field: str) -> tuple[dict[str, Any], str]:
    """Return what a job's file has as cells, and the job's status."""
    if not path.is_file():
        return {}, f"no {path.name}"
    try:
        value = _read(path)
    except (OSError, ValueError, CannotImport, csv.Error, RecursionError):
        return {}, f"{path.name} cannot be read"
    for part in field.split(".") if field else ():
        if not isinstance(value, Mapping) or part not in value:
            return {}, f"no {field} in {path.name}"
        value = value[part]
    if isinstance(value, Mapping):
        return {str(name): item for name, item in value.items() if item is not None}, "done"
    return ({} if value is None else {"value": value}), "done"


def _read(path: Path) -> Any:
    suffix, text = path.suffix.lower(), _text(path)
    if suffix == ".json":
        return json.loads(text)
    if suffix in (".yaml", ".yml"):
        return _yaml(path)
    if suffix in (".csv", ".tsv"):
        return _last_of_table(text, "\t" if suffix == ".tsv" else ",")
    return result_of(text.strip()) if text.strip() else None


def _last_of_table(text: str, delimiter: str) -> dict[str, Any]:
    """Return the last value of each column."""
    last: dict[str, Any] = {}
    for row in csv.DictReader(text.splitlines(), delimiter=delimiter):
        last.update(
            {name: result_of(cell) for name, cell in row.items() if name and isinstance(cell, str) and cell}
        )
    return last
