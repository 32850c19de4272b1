"""`memento doctor`: what is wrong or slow on this machine for Memento, why it matters, and the line that mends it.

Knows: the checks, how they are told. May not know: what each looks at.

A check that fails itself is told as a warning: the doctor always comes to the end. Values of environment variables are
shown of a few names only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from memento.cli import machine_checks, store_checks
from memento.cli.machine_checks import OK, PROBLEM, WARNING, Check
from memento.cli.printing import print_json
from memento.store.location import StorePath
from memento.wording import number_of, one_line

_TEXT = 300  # characters of a line


def doctor(path: StorePath | None, *, as_json: bool) -> bool:
    """Check this machine and the store, print what was found, and return whether there is no problem."""
    checks = list(_checked(path))
    problems, warnings = (sum(one.level == level for _, one in checks) for level in (PROBLEM, WARNING))
    if as_json:
        told = [{"group": group, **check._asdict()} for group, check in checks]
        print_json("doctor", {"ok": not problems, "problems": problems, "warnings": warnings, "checks": told})
        return not problems
    last = ""
    for group, check in checks:
        if group != last:
            last = group
            print(group)
        mark = {OK: "  ok      ", WARNING: "  warning ", PROBLEM: "  PROBLEM "}[check.level]
        print(f"{mark} {one_line(check.name, 60)}: {one_line(check.found, _TEXT)}")
        if check.why:
            print(f"           why: {one_line(check.why, _TEXT)}")
        if check.fix:
            print(f"           do:  {one_line(check.fix, _TEXT)}")
    if problems or warnings:
        print(f"{number_of(problems, 'problem')}, {number_of(warnings, 'warning')}")
    else:
        print("nothing is wrong")
    return not problems


def _checked(path: StorePath | None) -> Iterator[tuple[str, Check]]:
    """Yield what each check finds, by groups; also that one could not be made."""
    here = machine_checks
    of_machine = (
        here.cores,
        here.memory,
        here.limits,
        here.threads,
        here.gpus,
        here.workers,
        here.git,
        here.variables,
    )
    groups: dict[str, Sequence[Callable[[], Iterable[Check]]]] = {
        "Python": (here.python, here.packages, here.extras),
        "This machine": of_machine,
        "The store": (partial(store_checks.place, path), partial(store_checks.health, path)),
    }
    for group, checks in groups.items():
        for check in checks:
            try:
                for found in check():
                    yield group, found
            except Exception as error:  # whatever a machine does, the others are told
                name = getattr(check, "func", check).__name__
                yield group, Check(name, WARNING, f"could not be checked ({type(error).__name__}: {error})")
