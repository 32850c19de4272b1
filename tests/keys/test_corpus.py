# ruff: noqa: E501 - a table of reasons
"""What keys promise of values of every kind: each difference counts, and what is rebuilt is the same.

The corpus has the values; `leaves` changes one leaf of one at a time. What does not count stands here, with the reason.
A kind that an encoder knows must have a value in the corpus: a new encoder comes with one.
"""

from __future__ import annotations

import ast
import copy
import importlib
import inspect
import json
import os
import pickle
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memento.errors import UnkeyableValue
from memento.keys import encode, encode_standard, value_digest
from memento.keys.value_digest import digest
from tests.keys.corpus import all as corpus
from tests.keys.corpus.leaves import variants

HERE = Path(__file__).parent


with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    VALUES = corpus.values()
    DIGESTS = {name: digest(value, name) for name, value in VALUES.items()}
SHORT = 12  # variants of a value that the short form tries

DOES_NOT_COUNT = {
    # caches, and what never counts
    r"own:lazy \.state(\.keys)?\['double'\]": "the value of a cached property",
    r"(own:guarded|standard:weak set) .*('seen'|'data'|'_remove'|'_pending_removals'|'_iterating'|\.state\[\+\])": "weak references",
    r"own:own key .*(noise|\[\+\])": "`__memento_key__` leaves it out",
    r"own:cached property .*(attrname|__doc__|__module__|lock|\[\+\])": "a cached property is its function",
    r"standard:global (random|choice) ": "the state of the process",
    r"numpy:vectorized .*_ufunc": "made by the first call",
    r"pandas:.*'_cache'": "made by use",
    r"(scipy|sklearn):.*\.keys\['_random_state'\]": "a name for NumPy's global state that nothing reads",
    r"numpy:iinfo .*('(kind|bits|key)'|\.state\[\+\])": "it follows from the type",
    # what follows from the class
    r"scipy:.*('_parse_arg_template'|'__doc__')": "text that SciPy writes from the class's signature",
    r"sklearn:(?!fitted).*\.state": "what a library's __init__ sets beside the parameters follows from its class",
    r"sklearn:fitted .*\['(estimator|base_estimator)'\]\.state": "as above, within a fitted one",
    r"torch:lstm .*_flat_weight": "references to the parameters",
    r"torch:hooked .*\.pairs\.keys": "hooks are numbered over the whole process",
    # one value, written in two ways
    r"standard:ip 6 \.args\[0\]<": "an address of True is that of 1",
    r"standard:os error \.args\[\+\]": "outside Windows the fourth argument is dropped",
    r"plain:(no )?range ": "ranges of the same elements are equal",
    r"numpy:matrix \.shape|numpy:noted dtype \.metadata|pandas:noted \.columns|pandas:multi \.dtype|pandas:timedeltas \.freq": "no change",
    r"polars:(texts|bools|lists|arrays) \.null|polars:objects \.object|pyarrow:(with nulls|texts|structs) \.null": "it is so already",
    r"torch:meta \.element": "it has no elements",
    r"pydantic:.*\.keys\['__pydantic_(private|extra)__'\]": "there are none, whether it says so or not",
    r"sklearn:.*'_stop_words_id'": "an address in memory, set by use",
    r"pydantic:.*fields_set": "which fields were given by name, not what they are",
    r"pydantic:(?!secret).*\.state\[\+\]": "not an attribute of the model",
    r"xarray:.*('_close'|'_cache')": "how a file is closed, and accessors",
    r"xarray:.*('_indexes'|'_dims'|\['array'\]|\['_data'\].state\[1\]\[\+\]|\.list)": "kept for speed; the variables tell it",
    r"sklearn:bunch \.args": "pickled twice over",
}  # fmt: skip
_EXEMPT = re.compile("|".join(f"(?:{pattern})" for pattern in DOES_NOT_COUNT))

REBUILT_OTHERWISE = {
    "pyarrow:time scalar": "its pickle loses nanoseconds",
    "own:slots child": "a pickle has one of two slots of a name",
    "numpy:own float": "NumPy's pickle makes a plain scalar of it",
    **dict.fromkeys(
        [f"scipy:{name}" for name in ("norm", "log-uniform", "integers", "bare norm", "histogram")],
        "where NumPy's global state was seeded, a copy of it cannot be told from the user's own; see test_ignored_state",
    ),
    **dict.fromkeys(("own:ratio", "own:place", "own:day"), "a pickle has not what the subclass added"),
    **dict.fromkeys(
        ("standard:global random", "standard:global choice", "numpy:global normal", "numpy:global state",
         "torch:global generator"),
        "a copy of the process's state is no longer that",
    ),
}  # fmt: skip


def unchanged(name: str, most: int | None) -> Iterator[str]:
    """Yield the leaves whose change leaves the digest as it was."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number, (path, other) in enumerate(variants(VALUES[name])):
            if number == most:
                return
            try:
                same = digest(other) == DIGESTS[name]
            except (UnkeyableValue, RecursionError):
                continue  # refused: no result can be served for it
            if same and not _EXEMPT.match(f"{name} {path}"):
                yield path


GROUPS = sorted({name.partition(":")[0] for name in VALUES})


def of_group(group: str) -> list[str]:
    return [name for name in VALUES if name.startswith(f"{group}:")]


@pytest.mark.parametrize("group", GROUPS)
def test_a_change_of_one_leaf_is_another_value(group: str) -> None:
    assert {name: paths for name in of_group(group) if (paths := list(unchanged(name, SHORT)))} == {}


@pytest.mark.slow
@pytest.mark.parametrize("group", GROUPS)
def test_a_change_of_any_leaf_is_another_value(group: str) -> None:
    assert {name: paths for name in of_group(group) if (paths := list(unchanged(name, None)))} == {}


def test_no_two_values_share_a_digest() -> None:
    by_digest: dict[bytes, list[str]] = {}
    for name, found in DIGESTS.items():
        by_digest.setdefault(found, []).append(name)
    shared = [names for names in by_digest.values() if len(names) > 1]
    assert shared in ([], [["plain:true", "numpy:bool"]])  # one value


def test_the_corpus_is_broad() -> None:
    assert len(VALUES) >= 300
    assert len(set(map(type, VALUES.values()))) >= 80


@pytest.fixture
def _unseeded() -> Iterator[None]:
    """Let NumPy's global generator be seeded by the system, whatever tests before this one did to it."""
    shared: Any = np.random  # its stubs lack these functions
    before = shared.get_bit_generator()
    shared.set_bit_generator(np.random.MT19937())
    yield
    shared.set_bit_generator(before)


@pytest.mark.usefixtures("_unseeded")
@pytest.mark.parametrize("group", GROUPS)
def test_what_is_pickled_or_copied_keeps_its_digest(group: str) -> None:
    for name in set(of_group(group)) - REBUILT_OTHERWISE.keys():
        for other in rebuilt(VALUES[name]):
            assert digest(other) == DIGESTS[name], name


def rebuilt(value: Any) -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rebuilds: list[Callable[[], Any]] = [
            lambda: pickle.loads(pickle.dumps(value)),
            lambda: copy.deepcopy(value),
        ]
        for rebuild in rebuilds:
            try:
                other = rebuild()
            except Exception:
                continue  # it cannot be pickled, or not copied
            yield other


def test_using_a_value_changes_no_digest() -> None:
    uses: dict[str, Any] = {
        "own:lazy": lambda v: v.double, "own:lru cache": lambda v: v(3), "own:single dispatch": lambda v: v(1.5),
        "standard:global random": lambda v: v(0, 1), "standard:network": lambda v: (v.hosts(), v.num_addresses),
        "numpy:vectorized": lambda v: v([1.5]), "numpy:global normal": lambda v: v(), "scipy:norm": lambda v: (v.rvs(2), v.ppf(0.3), v.entropy()),
        "numpy:finfo": repr, "standard:error": lambda v: (vars(v), dir(v)), "scipy:tree": lambda v: v.query([0.0, 0.0]), "pandas:groups": lambda v: (v.groups, v.a.sum()), "pandas:frame": lambda v: (v.a, v.describe()),
        "xarray:array": lambda v: (v.plot, v.x, v.values), "sklearn:fitted neighbours": lambda v: v.predict([[0.0, 0.0]]),
        "sklearn:hashing": lambda v: v.transform(["a b"]), "sklearn:tree": lambda v: v.query([[0.0, 0.0]]), "torch:lstm": lambda v: v(_zeros()),
        "torch:distribution": lambda v: v.sample(), "sklearn:fitted forest": lambda v: v.predict([[0.0, 0.0]]),
    }  # fmt: skip
    for name, use in uses.items():
        if name in VALUES:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                use(VALUES[name])
            assert digest(VALUES[name]) == DIGESTS[name], name


def _zeros() -> Any:
    import torch

    return torch.zeros(1, 1, 2)


@pytest.fixture(scope="module")
def elsewhere() -> dict[str, str]:
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-W", "ignore", "-m", "tests.keys.corpus"]
    done = subprocess.run(
        command, cwd=HERE.parents[1], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.mark.slow
def test_a_value_that_is_made_in_another_process_has_the_same_digest(elsewhere: dict[str, str]) -> None:
    assert {n: d for n, d in elsewhere.items() if d != DIGESTS[n].hex()} == {}


def test_digests_are_those_of_every_python_and_release() -> None:
    golden = json.loads((HERE / "corpus" / "golden.json").read_text())
    assert {n: d.hex() for n, d in DIGESTS.items() if golden.get(n, d.hex()) != d.hex()} == {}


# -- no encoder without a value ------------------------------------------------------------------------------

_ROOMS = (
    "encode_arrow", "encode_callable", "encode_models", "encode_numpy", "encode_object", "encode_pandas", "encode_standard",
    "ignored_state", "value_digest",
)  # fmt: skip
_NEEDS = {
    "encode_numpy": "scipy",
    "encode_arrow": "pyarrow",
    "encode_pandas": "xarray",
    "encode_models": "torch",
}
_NO_VALUE = {
    "empty cell": "a closure that is called before its variable is set",
    "made by its class": "see test_class_body",
    "names": "older releases of torch named axes",
}  # fmt: skip


def written_kinds(room: str) -> set[str]:
    """Return the kinds that a room's source names in calls of `node`."""
    tree = ast.parse(inspect.getsource(importlib.import_module(f"memento.keys.{room}")))
    calls = [c for c in ast.walk(tree) if isinstance(c, ast.Call) and getattr(c.func, "id", "") == "node"]
    return {str(c.args[0].value) for c in calls if isinstance(c.args[0], ast.Constant)}


@pytest.mark.parametrize("room", _ROOMS)
def test_every_kind_that_an_encoder_names_has_a_value_in_the_corpus(
    room: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(_NEEDS.get(room, "json"))
    met: set[str] = set()
    plain_node = encode.node

    def node(kind: str, *children: bytes) -> bytes:
        met.add(kind)
        return plain_node(kind, *children)

    monkeypatch.setattr(f"memento.keys.{room}.node", node, raising=False)
    for value in VALUES.values():
        digest(value)
    assert written_kinds(room) - met - _NO_VALUE.keys() == set()


def test_every_type_that_an_encoder_lists_has_a_value_in_the_corpus() -> None:
    listed: set[type] = {*encode.LEAVES, *value_digest._CONTAINERS, *encode_standard._SIMPLE}
    assert listed - set(map(type, VALUES.values())) == set()
    seldom = {name for _, name in encode_standard._SELDOM}
    assert (
        seldom
        - {type(value).__name__ for value in VALUES.values()}
        - {"IPv6Network", "IPv6Interface", "ForwardRef"}
        == set()
    )
