"""What a pilot is to be, as text that any Python reads; its folder, and the command that starts one.

Knows: a pilot's folder. May not know: engines, tasks, messages.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import NamedTuple

from memento._version import __version__
from memento.executors.pilots.streams import checked_name
from memento.layout import PILOTS
from memento.values.places import open_file

_CHARTER = "charter.json"
_OVER = "over"
_LONGEST = 1 << 16  # bytes of a file that says something


class Charter(NamedTuple):
    """What a coordinator wants of a pilot."""

    run: str  # the run's folder in work
    width: int  # tasks at once
    seconds: float | None = None  # that its place lasts, from its start; None: as long as it likes
    grace: float = 5.0  # seconds before that in which tasks save what they have
    beat: float = 1.0  # seconds between two signs of life, of both
    silence: float = 60.0  # seconds without a sign of the coordinator after which it counts as gone
    idle: float = 60.0  # seconds without a task, or without a coordinator, after which it leaves
    python: tuple[int, ...] = sys.version_info[:2]
    version: str = __version__

    def objection(self) -> str:
        """Say why this very process cannot be the pilot; "" where it can."""
        here = ".".join(map(str, sys.version_info[:2]))
        wanted = ".".join(map(str, self.python))
        if here != wanted:
            return (
                f"{sys.executable} is Python {here}, and the program runs Python {wanted}: functions cannot be sent."
                " Give workers the same Python"
            )
        if self.version != __version__:
            return f"memento {__version__} is installed there, and the program has {self.version}: install the same"
        return ""


def pilot_folder(run_folder: str | os.PathLike[str], name: str) -> Path:
    """Return the folder of a pilot; ValueError where the name could lead elsewhere."""
    return Path(run_folder, PILOTS, checked_name(name))


def write_charter(charter: Charter, name: str) -> Path:
    """Make the folder of a pilot, with what it is to be."""
    folder = pilot_folder(charter.run, name)
    folder.mkdir(parents=True)
    (folder / _CHARTER).write_text(json.dumps(charter._asdict(), indent=1))
    return folder


def read_charter(folder: str | os.PathLike[str]) -> Charter:
    """Read what a pilot is to be; raises OSError or ValueError."""
    try:
        told = json.loads(_text(Path(folder, _CHARTER)))
        known = {name: told[name] for name in Charter._fields if name in told}
        charter = Charter(**{**known, "python": tuple(known["python"])})
        numbers = (known.get(name, 0) for name in ("width", "grace", "beat", "silence", "idle"))
        is_ours = isinstance(known["run"], str) and all(isinstance(each, (int, float)) for each in numbers)
        is_ours = is_ours and charter.width >= 1
    except (TypeError, KeyError, ValueError, RecursionError):  # somebody else has written it
        is_ours = False
    if not is_ours:
        raise ValueError(f"{folder} has no charter of a pilot")
    return charter


def _text(path: Path) -> str:
    """Read a small file; raises OSError or ValueError, at once, where there is something else."""
    with open_file(os.fspath(path)) as file:
        data = file.read(_LONGEST + 1)
    if len(data) > _LONGEST:
        raise ValueError(f"{path} is longer than any file of ours")
    return data.decode()


def instance_file(folder: Path, instance: int) -> Path:
    """Return the file that says that there is an instance of that number."""
    return folder / f"instance-{instance}"


def heard_from(folder: Path, instance: int) -> Path:
    """Return the stream of an instance."""
    return folder / f"from-{instance}"


def told_to(folder: Path, instance: int, coordinator: int = 1) -> Path:
    """Return the stream of an instance's coordinator: of the first, or of one that has taken it over."""
    return folder / f"to-{instance}-{coordinator}"


def taken_by(folder: Path, instance: int, coordinator: int) -> Path:
    """Return the file that names the run which has taken an instance over, as its second coordinator or a later one."""
    return folder / f"taken-{instance}-{coordinator}"


def last_instance(folder: Path) -> int:
    """Return the number of a pilot's last instance that has said anything; 0 where there is none."""
    number = 0
    while heard_from(folder, number + 1).exists():
        number += 1
    return number


def last_coordinator(folder: Path, instance: int) -> int:
    """Return the number of an instance's last coordinator; one that died at once may have told it nothing."""
    number = 1
    while taken_by(folder, instance, number + 1).exists() or told_to(folder, instance, number + 1).exists():
        number += 1
    return number


def next_coordinator(folder: Path, instance: int, present: int) -> int:
    """Return the number of the next coordinator that has told an instance something; 0 where there is none."""
    later = range(present + 1, last_coordinator(folder, instance) + 1)
    return next((number for number in later if told_to(folder, instance, number).exists()), 0)


def who_took(folder: Path, instance: int, coordinator: int) -> str:
    """Return the run that has taken an instance over; raises OSError or ValueError where nobody can say."""
    return _text(taken_by(folder, instance, coordinator))


def note_over(folder: Path) -> None:
    """Note that a pilot was ended, which may not have told so itself."""
    with contextlib.suppress(OSError):
        (folder / _OVER).touch()


def is_noted_over(folder: Path) -> bool:
    """Tell whether somebody has ended a pilot."""
    return (folder / _OVER).exists()


def pilot_command(
    run_folder: str | os.PathLike[str], name: str, *more: str, python: str = "", forked: bool = False
) -> list[str]:
    """Return the command that starts a pilot of this run.

    Parameters
    ----------
    run_folder : path
        The run's folder in work, as the pilot sees it.
    name : str
        The pilot's name.
    *more : str
        "--with-parent": it ends when its standard input does.
    python : str
        The interpreter; by default this one.
    forked : bool
        For `lent_worker.run_child`: a forker's program, before what its pilot is given.
    """
    home = str(Path(__file__).resolve().parents[3])
    code = (
        # The folder it is started in has no say in what is imported, and a source tree needs no installation.
        f"import sys; sys.path[:1] = []; sys.path.append({home!r});"
        f" from memento.executors.pilots.{'forker' if forked else 'pilot'} import main; main()"
        f"  # {__version__}"  # a worker that keeps the forker of another version does not use that
    )
    return [python or sys.executable, "-c", code, os.fspath(run_folder), checked_name(name), *more]
