"""Say numbers and foreign text so that people, terminals and mail headers can take them.

Knows: text. May not know: any other room; terminals, mails and pages use it alike.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

_CAUSE = 400  # characters of a cause, and of what tasks have in common

# CSI, OSC (ended by BEL or ST, or by the end of the text) and the two-character escapes of ECMA-48.
_ESCAPES = r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_](?s:.*?)(?:\x07|\x1b\\|\Z)|[ -/]*[0-~])"
# What may still move a cursor or reorder a line: C0, DEL, C1, bidirectional overrides, lone surrogates.
_CONTROLS = "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"


def safe_text(text: str) -> str:
    """Take out of `text` what would steer a terminal; newlines and tabs stay."""
    if text.isascii() and text.isprintable():  # most texts; a cached run tells one line, and needs no `re`
        return text
    import re

    return re.sub(_CONTROLS, "?", re.sub(_ESCAPES, "", text.replace("\r\n", "\n")))


def one_line(text: str, limit: int | None = None) -> str:
    """Make `text` safe and one line, of at most `limit` characters."""
    line = " ".join(safe_text(text).split())
    return line if limit is None or len(line) <= limit else line[: max(limit - 1, 0)] + "…"


def duration(seconds: float) -> str:
    """Say a time in at most two units."""
    if seconds < 9.95:
        return f"{max(seconds, 0.0):.1f} s"
    left = round(seconds)
    if left < 60:
        return f"{left} s"
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    for (name, size), (next_name, next_size) in pairwise(units):
        if left >= size:
            whole, rest = divmod(left, size)
            rest //= next_size
            return f"{whole} {name} {rest} {next_name}" if rest else f"{whole} {name}"
    raise AssertionError(left)


def number_of(count: int, noun: str) -> str:
    """Count things.

    >>> number_of(1, "task"), number_of(12000, "task")
    ('1 task', '12,000 tasks')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def verb(count: int, word: str) -> str:
    """Return a verb as it stands after a count of things.

    >>> verb(1, "stay"), verb(2, "stay")
    ('stays', 'stay')
    """
    return f"{word}s" if count == 1 else word


def size_text(size: int) -> str:
    """Say a number of bytes in few characters.

    >>> size_text(1), size_text(134), size_text(15_680_128), size_text(999_999)
    ('1 byte', '134 bytes', '15.7 MB', '1 MB')
    """
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= 0.9995 * scale:
            return f"{float(f'{size / scale:.3g}'):.12g} {unit}"
    return number_of(size, "byte")


def counts(**parts: int) -> str:
    """List what is not zero.

    >>> counts(done=95, cached=0, failed=5)
    '95 done, 5 failed'
    """
    return ", ".join(f"{count:,} {name}" for name, count in parts.items() if count) or "nothing done"


def cause_line(tasks: int, title: str, rule: str, what: str = "") -> str:
    """Name what several tasks share, how many, and what they have in common, in one line.

    >>> cause_line(4, "ValueError: bad (exp.py:3)", "all 4 have n=1")
    '4 tasks: ValueError: bad (exp.py:3) - all 4 have n=1'
    """
    line = f"{number_of(tasks, 'task')}{what}: {one_line(title, _CAUSE)}"
    return f"{line} - {one_line(rule, _CAUSE)}" if rule else line


def short_name(experiment: str) -> str:
    """Return an experiment's name for people: with eight digits of the digest of what it was made with, if it has one.

    >>> short_name("train.py:make.<locals>.train#" + "0123456789abcdef" * 2)
    'train.py:make.<locals>.train#01234567'
    """
    rest, mark, digits = experiment.rpartition("#")
    return f"{rest}#{digits[:8]}" if mark and len(digits) == 32 else experiment


def named(asked: str, experiments: Iterable[str]) -> list[str]:
    """Return the experiments that a person may mean: the one of that name, or those whose name or file ends so."""
    names = list(experiments)

    def ends(name: str) -> bool:
        return f"/{name}".endswith((f"/{asked}", f":{asked}", f".{asked}"))

    return [name for name in names if asked in (name, short_name(name))] or [
        name for name in names if any(map(ends, (name, short_name(name), name.partition(":")[0])))
    ]


_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_UNITS |= {"ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


def bytes_of(size: int | str, name: str) -> int:
    """Read a size: bytes, or a text like "4GB"; ValueError, which says what `name` must be, where it is none.

    Examples
    --------
    >>> bytes_of("4GB", "keep"), bytes_of("1.5 KiB", "keep"), bytes_of(12, "keep")
    (4000000000, 1536, 12)
    """
    if isinstance(size, int) and not isinstance(size, bool):
        return size
    import re

    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([kmgt]i?)?b?\s*", str(size).lower())
    if match is None or isinstance(size, bool):
        raise ValueError(f"{name} must be bytes or a text like '4GB' or '512MiB', got {size!r}")
    return int(float(match[1]) * _UNITS[match[2] or ""])


_SECONDS = {"s": 1.0, "sec": 1.0, "second": 1.0, "min": 60.0, "minute": 60.0, "h": 3600.0, "hr": 3600.0}
_SECONDS |= {"hour": 3600.0, "d": 86400.0, "day": 86400.0, "w": 604800.0, "week": 604800.0}
_IN_SHORT = {"": 1.0, "ms": 0.001, "m": 60.0}  # of waits: an age of "6m" would be half a year to some


def seconds_of(time: object, name: str, *, short: bool = False) -> float:
    """Read a time: seconds, a timedelta, or a text like "30d" or "1h30m"; in `short` also "600" and "5m".

    Raises ValueError, which says what `name` must be, where it is none.

    Examples
    --------
    >>> seconds_of("30d", "older_than"), seconds_of("1.5 h", "older_than"), seconds_of(12, "older_than")
    (2592000.0, 5400.0, 12.0)
    >>> seconds_of("10min", "timeout", short=True), seconds_of("1h30m", "timeout", short=True)
    (600.0, 5400.0)
    """
    told = seconds_in(time, short=short)
    if told is None:
        if not short and isinstance(time, str) and time.strip().replace(".", "", 1).isdecimal():
            raise ValueError(f"{name} lacks a unit, got {time!r}: write 90s, 10min, 2h or 3d")
        texts = "'90s', '10min' or '1h30m'" if short else "'30d', '12h' or '2w'"
        raise ValueError(f"{name} must be seconds or a text like {texts}, got {time!r}")
    return told


def seconds_in(time: object, *, short: bool = False) -> float | None:
    """Return the seconds that a time says, as `seconds_of` reads it; None where it is none."""
    if isinstance(time, (int, float)) and not isinstance(time, bool):  # every run has one, and needs no more
        return float(time) if 0 <= time < float("inf") else None
    import re
    from numbers import Real

    if hasattr(time, "total_seconds"):
        time = time.total_seconds()
    if isinstance(time, bool):
        return None
    if isinstance(time, Real):
        return float(time) if 0 <= float(time) < float("inf") else None
    if not isinstance(time, str):
        return None
    units = {**_SECONDS, **_IN_SHORT} if short else _SECONDS
    text, number = time.strip().lower(), r"(\d+(?:\.\d*)?|\.\d+)\s*"
    parts = re.findall(rf"{number}([a-z]*)[\s,]*", text)
    if not re.fullmatch(rf"(?:{number}[a-z]+[\s,]*)+|{number}", text):
        return None
    sizes = [units.get(unit) or units.get(unit.removesuffix("s")) for _, unit in parts]
    known = [size for size in sizes if size is not None]
    if len(known) < len(sizes) or known != sorted(known, reverse=True) or len(set(known)) < len(known):
        return None
    return sum(float(amount) * size for (amount, _), size in zip(parts, known, strict=True))
