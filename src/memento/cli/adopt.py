"""`memento adopt`: accept a change of the code, after computing some results again if asked.

Knows: what a run has seen of the code; how to import a user's file. May not know: how versions are told apart.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memento.cli.care import place
from memento.cli.exit_codes import UsageError
from memento.cli.inspect import one_experiment, print_json, print_safe
from memento.store.store import Store
from memento.wording import safe_text

if TYPE_CHECKING:
    from memento.runner.adopting import Adopted


def adopt(
    target: str | None, matrix: Path | None, options: dict[str, Any], *, verify: int, as_json: bool
) -> bool:
    """Accept a change, and print what that means; False where results differ and nothing was adopted.

    Raises
    ------
    UsageError
        There is no such experiment, or nothing says how to compute its results again.
    """
    if matrix is not None:
        assert target is not None  # the first of two arguments
        adopted = _with_code(target, matrix, options, verify)
    elif verify:
        raise UsageError(
            "--verify computes results again, so it needs the experiment and its matrix:"
            f" memento adopt --verify {verify} FILE:FUNC MATRIX; or, where the matrix is in a script,"
            f" print(Memento(FUNC).adopt(matrix, verify={verify})) there"
        )
    else:
        with Store.open(place(options["store"]), create=False) as store:
            adopted = _as_seen(store, _one_experiment(store, target))
    if as_json:
        print_json(_as_dict(adopted))
    else:
        print_safe(str(adopted))
    return not adopted.differences


def _with_code(target: str, matrix: Path, options: dict[str, Any], verify: int) -> Adopted:
    from memento.cli.run import load_function
    from memento.matrix.matrix import Matrix
    from memento.memento import Memento

    function = load_function(target)  # first: the matrix may name objects of its file
    if not matrix.is_file():
        raise UsageError(f"there is no matrix {matrix}.")
    try:
        memento = Memento(function, **options)
    except ValueError as exc:
        raise UsageError(str(exc)) from exc
    return memento.adopt(Matrix.load(matrix), verify=verify)


def _one_experiment(store: Store, target: str | None) -> str:
    if target is not None:
        return one_experiment(target, store)
    names = [name for name, _, _ in store.index.experiments()]
    changed = [name for name in names if store.versions(name).pending()]
    if len(changed) > 1:
        raise UsageError(f"the code of several experiments has changed: name one of {', '.join(changed)}.")
    if not changed and len(names) != 1:
        raise UsageError("no run has seen a change of the code: there is nothing to adopt.")
    return (changed or names)[0]


def _as_seen(store: Store, experiment: str) -> Adopted:
    """Accept what runs have seen, and show in what it differs."""
    from memento.runner.adopting import adopt_seen
    from memento.runner.code_changes import explain_seen

    versions = store.versions(experiment)
    told = explain_seen(store, versions)
    adopted = adopt_seen(versions, experiment)
    if told and adopted.changes:
        print(safe_text(told), file=sys.stderr)
    return adopted


def _as_dict(adopted: Adopted) -> dict[str, Any]:
    return {
        "experiment": adopted.experiment,
        "results": adopted.results,
        "adopted": [{"version": code, "as": present} for code, present in adopted.changes],
        "verified": adopted.verified,
        "differences": [difference._asdict() for difference in adopted.differences],
        "at_most": adopted.bound,
    }
