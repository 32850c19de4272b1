"""Tell messages that say the same of different tasks from messages that say different things.

Knows: texts. May not know: exceptions, warnings, tasks.

A message is cut into what is fixed and what varies from task to task: numbers with their units, shapes, dates, ids,
addresses, paths, quoted values, objects' reprs. Those with the same fixed parts say the same.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import re

_LIMIT = 2_000  # characters of a message that are looked at
_MASK = "…"

_UNITS = r"[numµ]?s|sec(?:ond)?s?|min(?:ute)?s?|h(?:(?:ou)?rs?)?|d(?:ays?)?|[kKMGTP]?i?[bB](?:ytes?)?|%|°C|st|nd|rd|th"
_DATA_FILES = (
    "csv|tsv|txt|jsonl?|ya?ml|toml|np[yz]|pkl|pickle|pth?|ckpt|safetensors|parquet|feather|arrow|h5|hdf5|nc|zarr|mat|bin"
    "|dat|png|jpe?g|gif|bmp|tiff?|wav|mp[34]|gz|bz2|xz|zip|tar|log|db|sqlite|xml|html|pdf"
)
# Where several fit at one place, the first is taken. What begins with a run of letters looks behind itself: tried again
# at each letter of a long word, it would take seconds.
_VARYING = (
    r"(?<!\w)[bBrRuU]?(?:'(?:[^'\\\n]|\\.)*'(?!\w)|\"(?:[^\"\\\n]|\\.)*\")|`[^`\n]*`|“[^”\n]*”|‘[^’\n]*’",  # quoted
    r"(?<![\w+.-])[a-z][a-z0-9+.-]{0,20}://[^\s'\"<>]+",  # address on the net
    r"(?<!\w)[A-Za-z]:\\[^\s'\"<>|]+",  # path on Windows
    r"(?:~|(?<![\w.+@-])[\w.+@-]+)?(?:[\\/][\w.+~@%=,-]+){2,}[\\/]?",  # path
    rf"(?<![\w.+~@%=-])(?:[\w.+~@%=-]+/)*[\w.+~@%=-]+\.(?:{_DATA_FILES})(?!\w)",  # file beside the script
    r"<(?=[A-Za-z_])[^<>\n]{1,200}>",  # repr
    r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b",  # uuid
    r"\b0[xX][0-9a-fA-F]+",  # address in memory
    r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[-+]\d\d:?\d\d)?",  # time
    r"\b(?=[0-9a-fA-F]*\d)(?=[0-9a-fA-F]*[a-fA-F])[0-9a-fA-F]{8,}\b",  # hash
    r"(?<!\w)\d+(?:[x×]\d+)+(?!\w)",  # shape
    rf"(?<!\w)[-+]?(?:(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?:\s?(?:{_UNITS})(?!\w))?|(?:nan|inf)(?!\w))",  # number
    r"(?<=[^\w)\]][\[({])(?=[\])}])",  # an empty list
)
# Nothing begins between two letters: for most places there is no more to look at than this.
_NOT_IN_WORDS = r"(?:(?<![A-Za-z])|(?![A-Za-z]))"
_BETWEEN = r"[\s.,;:x×()\[\]{}|/*=<>!+-]*"  # between two that vary, this makes one list of them
_TAIL = r"\s*,\s*(?=[)\]}])"  # after the only element of a tuple


@functools.lru_cache(maxsize=256)
def pieces(message: str) -> tuple[str, ...]:
    """Cut a message into fixed and varying pieces, in turn, a fixed one first and last.

    Examples
    --------
    >>> pieces("layer 3: no column 'petal' in /data/run-3/iris.csv")
    ('layer ', '3', ': no column ', "'petal'", ' in ', '/data/run-3/iris.csv', '')
    """
    varying, between, tail = _patterns()
    text = message[:_LIMIT]
    found: list[str] = []
    begun, end = 0, -1  # of the last varying piece
    for match in varying.finditer(text):
        start = match.start()
        if end >= 0 and between.fullmatch(text, end, start):
            found.pop()
        else:
            found.append(text[max(end, 0) : start])
            begun = start
        comma = tail.match(text, match.end())
        end = comma.end() if comma else match.end()
        found.append(text[begun:end])
    return (*found, text[max(end, 0) :])


def shown(parts: Sequence[str], varies: set[int] | None = None) -> str:
    """Put what `pieces` returns together, with a mark at those that vary: all that may, or those at some places."""
    text = "".join(
        _MASK if place % 2 and (varies is None or place in varies) else part
        for place, part in enumerate(parts)
    )
    return " ".join(text.split())


@functools.cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """Compile the patterns when the first task fails: it takes some milliseconds."""
    import re

    varying = _NOT_IN_WORDS + "(?:" + "|".join(f"(?:{one})" for one in _VARYING) + ")"
    return re.compile(varying), re.compile(_BETWEEN), re.compile(_TAIL)
