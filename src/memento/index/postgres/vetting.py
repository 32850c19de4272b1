"""Tell whether a question in SQL only reads the views: it may be anybody's, and wrong or hostile.

Knows: how PostgreSQL reads a statement, word by word. May not know: connections, the views' columns.

A transaction that may only read still lets a statement call any function: to sleep, to read files, to end others, to
take locks. So only functions that are known stand in a question, no names of PostgreSQL's own (``pg_...``), none of
another schema, and one statement. What is left, a question that takes too long or reads too much, the server ends.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from memento.index.types import QueryFailed

_TOKEN = re.compile(
    r"""
    (?P<space>   \s+ | --[^\n\r]* )
  | (?P<comment> /\* )
  | (?P<text>    '(?:[^']|'')*' )
  | (?P<dollar>  \$(?:[A-Za-z_]\w*)?\$ )
  | (?P<quoted>  "(?:[^"]|"")*" )
  | (?P<name>    [^\W\d][\w$]* )
  | (?P<number>  (?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)? )
  | (?P<other>   ::|:=|. )
    """,
    re.VERBOSE | re.DOTALL,
)
_FIRST = frozenset({"select", "with", "values", "table", "("})
# Words of the language that a bracket may follow; and types that take one.
_WORDS = frozenset(
    "all and any array as asc between by case cast cross cube desc distinct else end except exists filter from full"
    " group grouping having ilike in inner intersect interval is join lateral left like limit materialized not null"
    " offset on or order over partition recursive right rollup row rows select sets similar some then union using"
    " values when where with within bit char character decimal float numeric time timestamp varchar".split()
)
FUNCTIONS = frozenset(
    "abs acos age array_agg array_append array_length array_position array_to_string asin atan atan2 avg bit_length"
    " bool_and bool_or btrim cardinality cbrt ceil ceiling char_length coalesce concat concat_ws corr cos count"
    " covar_pop covar_samp cume_dist date_part date_trunc decode degrees dense_rank div encode every exp extract"
    " first_value floor greatest initcap isfinite jsonb_agg jsonb_array_elements"
    " jsonb_array_elements_text jsonb_array_length jsonb_build_array jsonb_build_object jsonb_each jsonb_each_text"
    " jsonb_extract_path jsonb_extract_path_text jsonb_object_agg jsonb_object_keys jsonb_path_exists jsonb_path_query"
    " jsonb_path_query_first jsonb_pretty jsonb_strip_nulls jsonb_typeof justify_interval lag last_value lead least"
    " left length ln log log10 lower ltrim make_date make_interval make_timestamp max md5 min mod mode now nth_value"
    " ntile nullif octet_length percent_rank percentile_cont percentile_disc pi position power radians random rank"
    " regexp_match regexp_matches regexp_replace regexp_split_to_array regr_count regr_intercept regr_r2 regr_slope"
    " replace reverse right round row_number row_to_json rtrim scale sign sin split_part sqrt starts_with stddev"
    " stddev_pop stddev_samp string_agg string_to_array strpos substr substring sum tan to_char to_date to_jsonb"
    " to_number to_timestamp translate trim trunc unnest upper var_pop var_samp variance width_bucket".split()
)
_INSTEAD = {
    "median": "percentile_cont(0.5) WITHIN GROUP (ORDER BY x)",
    "stdev": "stddev_samp(x)",
    "json_extract": "params ->> 'name'",
    "total": "sum(x)",
    "group_concat": "string_agg(x, ',')",
    "ifnull": "coalesce(x, y)",
    "instr": "strpos(text, part)",
}


def vet(statement: str, schemas: Collection[str], todo: str) -> set[str]:
    """Return the names in a question; raises QueryFailed, with `todo`, where it is not one that only reads views."""

    def refused(problem: str) -> QueryFailed:
        return QueryFailed(problem, todo)

    words = [word for word in _words(statement, todo) if word[0] != "text"]
    texts = [text for _, text in words]
    while texts and texts[-1] == ";":
        words.pop()
        texts.pop()
    if ";" in texts:
        raise QueryFailed("there is more than one statement.", "Ask one question at a time.")
    if not texts or texts[0] not in _FIRST:
        raise refused("a query may only read" + (f", and {texts[0]} is not for that." if texts else "."))
    depth = 0
    for place, (kind, text) in enumerate(words):
        depth += (text == "(") - (text == ")")
        if depth < 0:
            raise refused("a bracket closes that none has opened.")
        if kind != "name":
            continue
        before = texts[place - 1] if place else ""
        after = texts[place + 1] if place + 1 < len(texts) else ""
        if text.startswith("pg_") or (after == "." and before != "." and text in schemas):
            raise refused(f"a query may only read the views, and {text} is none.")
        if before == "." and after == ".":
            raise refused("a name has three parts.")
        if (
            after == "("
            and text not in _WORDS
            and text not in FUNCTIONS
            and before not in ("as", "recursive")
        ):
            instead = f" Write {_INSTEAD[text]}." if text in _INSTEAD else ""
            raise refused(f"a query may only read, and the function {text} is not for that.{instead}")
    if depth:
        raise refused("a bracket is not closed.")
    return {text for kind, text in words if kind == "name"}


def _words(statement: str, todo: str) -> Iterator[tuple[str, str]]:
    """Yield the words of a statement: names as the server folds them, texts without their content."""
    at = 0
    while at < len(statement):
        found = _TOKEN.match(statement, at)
        assert found is not None, at  # the last kind is any character
        kind, text, at = str(found.lastgroup), found[0], found.end()
        if kind == "comment":
            at = _after_comment(statement, at)
        elif kind == "dollar":
            end = statement.find(text, at)
            at = len(statement) if end < 0 else end + len(text)
            yield "text", ""
        elif kind == "quoted":
            yield "name", text[1:-1].replace('""', '"')
        elif kind == "name":
            if statement[at : at + 1] in ("'", "&") and text.lower() in ("e", "u"):
                # They go on in the next text after a new line, with other rules than that shows.
                raise QueryFailed("texts and names with escapes (E'...', U&'...') are not taken.", todo)
            yield "name", text.lower()
        elif kind == "other" and (text in "'\"\\" or text == "\0"):
            raise QueryFailed("a quote is not closed.", todo)
        elif kind != "space":
            yield kind, text


def _after_comment(statement: str, at: int) -> int:
    """Return where a comment ends, which may have others in it."""
    depth = 1
    while depth:
        found = re.compile(r"/\*|\*/").search(statement, at)
        if found is None:
            raise QueryFailed("a comment is not closed.", "End it by */.")
        depth += 1 if found[0] == "/*" else -1
        at = found.end()
    return at
