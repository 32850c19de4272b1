"""Files give the same matrix as a dict, build nothing but what they name, and fail with a line."""

from __future__ import annotations

import math
import tempfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memento.errors import MatrixError
from memento.matrix.matrix import Matrix
from memento.matrix.matrix_files import load_file


def write(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


YAML = """\
parameters:
  model: [!py collections:OrderedDict, !py "math:sqrt"]
  C: [1e-3, 1]
settings: {n_fold: 5}
exclude:
  - {model: !py math:sqrt, C: 1}
"""
TOML = """\
exclude = [{model = "!py math:sqrt", C = 1}]
[parameters]
model = ["!py collections:OrderedDict", "!py math:sqrt"]
C = [1e-3, 1]
[settings]
n_fold = 5
"""
JSON = """\
{"parameters": {"model": ["!py collections:OrderedDict", "!py math:sqrt"], "C": [1e-3, 1]},
 "settings": {"n_fold": 5}, "exclude": [{"model": "!py math:sqrt", "C": 1}]}
"""


@pytest.mark.parametrize(
    ("name", "text"), [("m.yaml", YAML), ("m.yml", YAML), ("m.toml", TOML), ("m.JSON", JSON)]
)
def test_every_format_gives_the_same_matrix(tmp_path: Path, name: str, text: str) -> None:
    matrix = Matrix.of(write(tmp_path, name, text))
    assert [c.asdict() for c in matrix.configs] == [
        {"model": OrderedDict, "C": 0.001}, {"model": OrderedDict, "C": 1}, {"model": math.sqrt, "C": 0.001},
    ]  # fmt: skip
    assert matrix.settings == {"n_fold": 5}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3), ("1.5e3", 1500.0), ("1E5", 1e5), (".5", 0.5), ("3.", 3.0), ("-.inf", -math.inf),

                ("0x1F", 31), ("0o17", 15), ("010", 10), ("+5", 5), ("true", True), ("False", False), ("null", None),
        ("~", None),
        ("", None), ("yes", "yes"), ("no", "no"), ("on", "on"), ("off", "off"), ("y", "y"), ("12:30", "12:30"),
        ("2026-01-01", "2026-01-01"), ("1_000", "1_000"), ("=", "="), ("'1'", "1"), ("!!str 1",
         "1"), ("!!float 1", 1.0),
        ("'!py math:sqrt'", "!py math:sqrt"),
    ],
)  # fmt: skip
def test_yaml_scalars_are_what_version_1_2_says(tmp_path: Path, text: str, value: Any) -> None:
    got = load_file(write(tmp_path, "m.yaml", f"key: {text}\n"))["key"]
    assert got == value
    assert type(got) is type(value)


def test_a_key_named_on_stays_a_name(tmp_path: Path) -> None:
    assert load_file(write(tmp_path, "m.yaml", "{on: 1, no: 2}")) == {"on": 1, "no": 2}


def test_yaml_merges_and_aliases(tmp_path: Path) -> None:
    text = "base: &b {x: 1, y: 2}\nmore: {<<: *b, y: 3}\nagain: *b\n"
    assert load_file(write(tmp_path, "m.yaml", text)) == {
        "base": {"x": 1, "y": 2}, "more": {"x": 1, "y": 3}, "again": {"x": 1, "y": 2},
    }  # fmt: skip


@pytest.mark.slow
def test_what_aliases_add_has_a_limit_and_what_is_written_out_has_none(tmp_path: Path) -> None:
    row = f"[{', '.join('0' * 1000)}]"
    few, many = (f"a: &a {row}\nb: [{', '.join(['*a'] * times)}]\n" for times in (99, 101))
    assert len(load_file(write(tmp_path, "m.yaml", few))["b"]) == 99
    with pytest.raises(MatrixError, match=r"b\[99\]\[\d+\]: aliases .* beyond measure"):
        load_file(write(tmp_path, "m.yaml", many))
    assert len(load_file(write(tmp_path, "m.yaml", f"b: [{', '.join([row] * 101)}]"))["b"]) == 101


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9)
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("m.yaml", "a: 1\nb: [1\n", "line 3: it is not YAML"),
        ("m.yaml", "a: 1\nb: 2\na: 3\n", "line 3: the key 'a' stands here twice"),
        ("m.yaml", "p:\n  x: !!python/object/apply:os.system [ls]\n", "line 2: p['x']: the tag !!python/object"),
        ("m.yaml", "a: !!python/name:os.system x", "is not allowed: a file builds no objects"),
        ("m.yaml", "a: !include other.yaml", "the tag !include is not allowed"),
        ("m.yaml", "a: !!set {x, y}", "the tag !!set is not allowed"),
        ("m.yaml", "a: !!int abc", "'abc' is no int"),
        ("m.yaml", "a: !!bool maybe", "'maybe' is no bool"),
        ("m.yaml", "a: !py [x]", "!py needs one name"),
        ("m.yaml", "[1, 2]: x", "a key must be a single value"),
        ("m.yaml", BOMB, "aliases (*name) grow it beyond measure"),
        ("m.yaml", "a: &a [*a]", "nested too deeply"),
        ("m.yaml", "a0: &a0 1\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 99)), "nested too deeply"),
        ("m.yaml", "a: " + "[" * 5000, "nested too deeply"),
        ("m.yaml", "a: " + "9" * 5000, "is no int"),
        ("m.yaml", "", "it holds nothing"),
        ("m.yaml", "- 1", "it holds a list"),
        ("m.yaml", "a: 1\n---\nb: 2\n", "line 2: it is not YAML"),
        ("m.yaml", b"a: \xff", "it is not UTF-8"),
        ("m.yaml", "a: \x07", "it is not YAML"),
        ("m.json", '{"a": 1,\n "b": }', "line 2: it is not JSON"),
        ("m.json", '{"p":\n {"a": 1, "a": 2}}', "an object has the key 'a' twice"),
        ("m.json", "[" * 100_000, "nested too deeply"),
        ("m.json", '{"a": ' + "9" * 5000 + "}", "it is not JSON"),
        ("m.toml", "a = 1\nb = \n", "line 2"),
        ("m.toml", "a = 1\na = 2\n", "it is not TOML"),
        ("m.txt", "", "'.txt' is no format"),
        ("matrix", "", "the name has no suffix"),
        ("m.yaml", "a: 1\nx: !py sklearn.svm.SVC",
         "line 2: x: 'sklearn.svm.SVC' is no name of a Python object. Write module:name, like sklearn.svm:SVC"),
        ("m.yaml", "x: !py math:sqrtt", "math has no 'sqrtt'. Did you mean 'sqrt'?"),
        ("m.json", '{"x": ["!py math:sqrtt"]}', "x[0]: math has no 'sqrtt'"),
        ("m.toml", 'x = "!py collections.abcd:Mapping"',
         "there is no module 'collections.abcd'. Did you mean collections.abc?"),
        ("m.yaml", "x: !py colections:OrderedDict", "Did you mean collections?"),
        ("m.yaml", "x: !py os:system('ls')", "is no name of a Python object"),
        ("m.yaml", "x: !py .local:thing", "is no name of a Python object"),
    ],
)  # fmt: skip
def test_a_wrong_file_says_what_is_wrong_and_where(
    tmp_path: Path, name: str, text: str | bytes, message: str
) -> None:
    path = write(tmp_path, name, text)
    with pytest.raises(MatrixError) as caught:
        load_file(path)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(path))


def test_a_missing_file_is_a_matrix_error(tmp_path: Path) -> None:
    with pytest.raises(MatrixError, match="there is no such file"):
        Matrix.load(tmp_path / "absent.yaml")


def test_a_wrong_matrix_in_a_file_names_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "m.yaml", "parameters: {a: [1]}\nexclude: [{aa: 1}]\n")
    with pytest.raises(MatrixError) as caught:
        Matrix.load(path)
    assert str(caught.value).startswith(f"{path}: exclude[0]: unknown parameter 'aa'")


def test_a_module_that_raises_or_exits_on_import_is_a_matrix_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    write(tmp_path, "raising_experiment.py", "import a_package_nobody_has\n")
    write(tmp_path, "exiting_experiment.py", "import sys; sys.exit(3)\n")
    for module, problem in [("raising", "ModuleNotFoundError"), ("exiting", "SystemExit")]:
        path = write(tmp_path, "m.yaml", f"x: !py {module}_experiment:train")
        with pytest.raises(MatrixError, match=f"importing '{module}_experiment' raised {problem}"):
            load_file(path)


# Pieces of the formats, so that the fuzzing gets past the first character.
PIECES = st.lists(
    st.one_of(
        st.sampled_from(
            ["parameters", ": ", "\n", "  ", "- ", "[", "]", "{", "}", ", ", "&a ", "*a", "<<: ", "!py ", "!!int ",
             "!!x ",
             "math:sqrt", "1e-3", "0x", ".nan", '"', "'", "#", "|", "? ", "---\n", "=", "true", "%", "\\u", "null"]
        ),
        st.text(max_size=3),
    ),
    max_size=25,
).map("".join)  # fmt: skip


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(["yaml", "toml", "json"]),
    st.one_of(PIECES.map(lambda text: text.encode("utf-8", "replace")), st.binary(max_size=40)),
)
def test_no_file_gives_anything_but_a_dict_or_a_matrix_error(suffix: str, content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), f"m.{suffix}", content)
        problem: MatrixError | None = None
        try:
            Matrix.load(path)
        except MatrixError as exc:
            problem = exc
        assert problem is None or problem.where.startswith(str(path))
