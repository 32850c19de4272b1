"""Say the right line to somebody who asks a context for what it does not have, or records in another tool's way.

Knows: the words of other tools. May not know: what they do.

Imported only where something is wrong.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from memento.config import short_text
from memento.suggest import instead_of

_INNER = frozenset(("for_task", "left_behind"))  # for rooms of ours

# What to write -> words for it.
_WORDS = {
    "context.checkpoint(state)": "save savestate savecheckpoint dump persist snapshot setstate",
    "context.restore(), where context.checkpoint_exist()": "load loadstate loadcheckpoint resume restorecheckpoint"
    " getstate restart",
    "context.checkpoint_exist()": "checkpointexists hascheckpoint exists existscheckpoint checkpointed",
    "context.record({'loss': 0.3})": "log logmetric logmetrics logscalar report metric metrics recordmetric addscalar"
    " logdict track emit write recordmetrics summary",
    "config.name for parameters, config.settings['name'] for settings: config is the experiment's second argument":
    "config cfg params parameters settings hparams args options matrix",
    "context.progress(1, total=100)": "tqdm bar update progressbar setprogress reportprogress",
    "context.artifact('model.pt'), which is the path to write to": "logartifact saveartifact artifactpath savefile"
    " file artifacts logmodel savemodel logfigure output",
    "context.directory": "dir folder path workdir workspace cwd tmpdir tempdir outputdir outdir rundir logdir",
    "context.logger.info(text)": "info debug warning warn error print message",
    "context.cached(func, *args)": "cache memoize memo step shared",
    "context.resources.gpus": "device devices gpu gpus cuda gpuids",
    "context.resources.cpus": "njobs cpus ncpus cores ncores workers numworkers nthreads",
    "context.stopping": "shouldstop stop stopped interrupted preempted shouldprune cancelled",
    "context.key": "id taskid hash uid runid name",
    "context.attempt": "retry retries attempts trynumber",
    "config.repeat": "repeat rep fold trial replicate",
    "context.seed": "randomstate randomseed seeds",
    "context.rng": "random generator randomgenerator",
    "the loop's own variable, and context.record({'loss': 0.3}, step=epoch)": "epoch step iteration globalstep epochs"
    " steps",
}  # fmt: skip


def no_such_attribute(name: str, known: Collection[str]) -> str:
    """Say that a context has no attribute of this name, and what to write instead."""
    problem = f"context has no attribute {name!r}"
    known = [n for n in known if not n.startswith("_") and n not in _INNER]
    if name.startswith("__"):
        return problem
    line = instead_of(name, _WORDS, "context", known)
    return f"{problem}. Write {line}." if line else f"{problem}; it has: {', '.join(sorted(known))}."


def wrong_record(given: object, step: object, more: tuple[object, ...], named: Mapping[str, Any]) -> str:
    """Say how to record what somebody tried to."""
    twice = [name for name in named if isinstance(given, Mapping) and name in given]
    if twice:
        return f"record was given {twice[0]!r} twice: in the dict, and as {twice[0]}=. Leave one of them out."
    values = dict(named)
    if isinstance(given, str):  # as others have it: log_metric(name, value, step)
        numbers = [n for n in (values.pop("value", None), step, *more) if n is not None]
        values = {given: numbers[0] if numbers else 0.3}
        step = numbers[1] if len(numbers) > 1 else None
    elif isinstance(given, Mapping):
        values = {**given, **values}
    values = values or {"loss": 0.3}
    text = ", ".join(f"{str(name)!r}: {short_text(value, 20)}" for name, value in values.items())
    at = "" if step is None else f", step={short_text(step, 20)}"
    return f"record takes a dict, or names. Write context.record({{{text}}}{at})."
