"""What `digest` promises of the values of libraries."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memento.errors import UnkeyableValue
from memento.keys.value_digest import digest

dtypes = st.sampled_from(["f8", "f4", "i4", "u1", "bool", "c16", "U3", "S2", "M8[s]"])


class Special(np.ndarray):
    pass


def same(*values: Any) -> bool:
    return len({digest(value) for value in values}) == 1


def different(*values: Any) -> bool:
    return len({digest(value) for value in values}) == len(values)


@pytest.mark.slow
@given(dtypes, st.lists(st.integers(0, 4), min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_layout_and_byte_order_of_an_array_do_not_count(dtype: str, shape: list[int], rng: Any) -> None:
    numbers = [rng.randrange(2) for _ in range(int(np.prod(shape)))]
    plain = np.array(numbers).astype("i8").astype(dtype).reshape(shape)
    swapped = plain.astype(plain.dtype.newbyteorder(">"))
    spread = np.zeros([2 * n for n in shape], dtype=dtype)[tuple(slice(None, None, 2) for _ in shape)]
    spread[...] = plain
    assert same(plain, swapped, np.asfortranarray(plain), spread)


def test_dtype_shape_and_content_of_an_array_count() -> None:
    zeros = np.zeros(4)
    assert different(
        zeros, zeros.astype("f4"), zeros.reshape(2, 2), zeros + 1, -zeros, zeros.tolist(), zeros.astype(object),
        np.zeros(4, "M8[s]"), np.zeros(4, "M8[ms]"), np.zeros(0), np.zeros((0, 4)), zeros.tobytes(),
        zeros.view(Special),
    )  # fmt: skip


@pytest.mark.parametrize(
    "alike",
    [
        (4, np.int8(4), np.uint64(4), np.longlong(4)), (0.5, np.float16(0.5), np.float64(0.5), np.longdouble(0.5)),
        (True, np.bool_(True)), ("a", np.str_("a")), (b"a", np.bytes_(b"a")), (1 + 2j, np.complex64(1 + 2j)),
        (float("nan"), np.float32("nan")), ({"lr": [0.5]}, {"lr": [np.float32(0.5)]}), ({4}, {np.int64(4)}),
    ],
)  # fmt: skip
def test_a_scalar_of_numpy_is_the_plain_value_that_it_equals(alike: tuple[Any, ...]) -> None:
    assert same(*alike)


def test_scalars_of_numpy_differ_by_kind_from_arrays_and_by_what_no_plain_value_holds() -> None:
    assert different(1.0, np.array(1.0), np.int64(1), np.bool_(True), np.str_("1"), np.float32(0.1), 0.1)
    assert different(1.0, 1 + np.finfo(np.longdouble).eps) or np.finfo(np.longdouble).nmant == 52
    assert different(
        *(np.datetime64("2024-01-01", unit) for unit in ("D", "s", "ns")), np.timedelta64(1, "s")
    )


def test_every_nan_in_an_array_is_the_same() -> None:
    odd = np.array([0x7FF8000000000001, 0xFFF8000000000000], dtype="u8").view("f8")
    assert same(odd, np.array([np.nan, np.nan]))


def test_a_large_array_is_read_in_pieces_wherever_it_lies() -> None:
    large = np.arange(3_000_000.0).reshape(1500, 2000)
    assert same(large, np.asfortranarray(large))
    changed = large.copy()
    changed[-1, -1] = 0
    assert different(large, changed)


def test_what_lies_under_a_mask_does_not_count() -> None:
    assert same(
        np.ma.masked_array([1, 2], mask=[False, True]), np.ma.masked_array([1, 9], mask=[False, True])
    )
    assert different(
        np.ma.masked_array([1, 2], mask=[False, True]), np.ma.masked_array([1, 2], mask=[False, False])
    )


def test_padding_in_a_record_does_not_count() -> None:
    aligned = np.dtype({"names": ["a", "b"], "formats": ["i1", "f8"]}, align=True)
    one, two = np.zeros(2, aligned), np.zeros(2, aligned)
    two.view("u1")[1] = 7  # a byte between the fields
    assert same(one, two)


def test_elements_of_an_object_array_are_keyed_one_by_one() -> None:
    assert different(np.array([1, "a"], dtype=object), np.array([True, "a"], dtype=object))
    with pytest.raises(UnkeyableValue, match=r"x\[0\]"):
        digest(np.array([object()], dtype=object), "x")


def test_an_array_that_is_mapped_from_a_file_is_its_content(tmp_path: Any) -> None:
    np.save(tmp_path / "a.npy", np.arange(4))
    assert same(np.load(tmp_path / "a.npy", mmap_mode="r"), np.arange(4))


def test_a_generator_is_its_state() -> None:
    used = np.random.default_rng(3)
    used.random()
    assert same(np.random.default_rng(3), np.random.default_rng(3))
    assert different(np.random.default_rng(3), used, np.random.default_rng(4), np.random.RandomState(3))


def test_what_a_generator_spawned_counts() -> None:
    parent = np.random.default_rng(3)
    parent.spawn(1)
    assert different(np.random.default_rng(3), parent)


def test_the_fields_of_a_record_are_masked_one_by_one() -> None:
    def record(hidden: int, mask: Any) -> Any:
        return np.ma.array([(1, hidden)], mask=[mask], dtype=[("a", "i4"), ("b", "i4")])

    assert same(record(2, (0, 1)), record(3, (0, 1)))
    assert different(record(2, (0, 1)), record(2, (1, 0)), record(2, (0, 0)), record(3, (0, 0)))


def frame(**more: Any) -> Any:
    return pd.DataFrame({"a": [1, 2], "b": ["x", "y"], **more})


def test_a_frame_is_its_names_types_and_content() -> None:
    assert same(frame(), frame().copy(), frame()[["a", "b"]], pd.concat([frame().iloc[:1], frame().iloc[1:]]))
    assert different(
        frame(), frame()[["b", "a"]], frame().rename(columns={"a": "c"}), frame().set_index("a"), frame().iloc[::-1],
        frame().astype({"a": float}), frame().astype({"b": "category"}), frame().astype({"a": "Int64"}), frame(c=1),
        frame()["a"], frame()["a"].rename("z"), frame()["a"].to_numpy(),
        frame().rename_axis("i"), frame().iloc[:0],
    )  # fmt: skip


def test_blocks_of_a_frame_do_not_count() -> None:
    grown = frame()[["a"]]
    grown["b"] = ["x", "y"]
    assert same(grown, frame())


def test_what_a_frame_holds_beside_its_table_counts() -> None:
    class Places(pd.DataFrame):
        _metadata = ["crs"]  # noqa: RUF012 - as pandas wants it

    def noted(**attrs: Any) -> Any:
        table = frame()
        table.attrs |= attrs
        return table

    def places(crs: str) -> Any:
        table = Places({"a": [1]})
        table.crs = crs
        return table

    assert same(noted(source="a"), noted(source="a"))
    assert same(places("x"), places("x"))
    strict = frame().set_flags(allows_duplicate_labels=False)
    assert different(frame(), noted(source="a"), noted(source="b"), places("x"), places("y"), strict)
    days = pd.date_range("2024-01-01", periods=3)
    assert different(days, pd.DatetimeIndex(list(days)))


def test_missing_text_is_what_it_was_written_as() -> None:
    assert different(pd.Series(["a", None], dtype=object), pd.Series(["a", np.nan], dtype=object))


def test_text_and_times_are_the_same_however_a_release_of_pandas_keeps_them() -> None:
    old = int(pd.__version__.partition(".")[0]) < 3  # where text is of objects unless somebody says otherwise
    assert (same if old else different)(frame(), frame().astype({"b": object}))
    days = pd.Series(pd.to_datetime(["2024-01-01", "NaT"]))
    assert same(days, days.astype("datetime64[ns]"), days.astype("datetime64[s]"))
    assert different(
        days, days + pd.Timedelta(1, "ns"), days.dt.tz_localize("UTC"), days - days, days.fillna(days[0])
    )


def test_an_index_is_its_content_however_it_is_kept() -> None:
    assert same(pd.RangeIndex(3), pd.Index([0, 1, 2]))
    part = pd.MultiIndex.from_product([["a", "b"], [1, 2]])[2:]  # still holds the level "a"
    assert same(part, pd.MultiIndex.from_tuples([("b", 1), ("b", 2)]))
    assert different(pd.Index([0, 1]), pd.Index([0, 1], name="n"), pd.Index([0.0, 1.0]), pd.Index(["0", "1"]))


def test_missing_values_of_extension_types_are_told_from_zeros() -> None:
    assert different(
        pd.Series([1, None], dtype="Int64"), pd.Series([1, 0], dtype="Int64"), pd.Series([1, None], dtype="Float64"),
        pd.Series(["a", None], dtype="string"), pd.Series(["a", ""], dtype="string"),
        pd.Series([True, None], dtype="boolean"), pd.Series([True, False], dtype="boolean"),
    )  # fmt: skip


def test_categories_and_their_order_count() -> None:
    assert different(
        pd.Categorical(["a"]),
        pd.Categorical(["a"], ["a", "b"]),
        pd.Categorical(["a"], ordered=True),
        pd.array(["a"]),
    )


def test_polars_tables_are_their_content_not_their_chunks() -> None:
    pl = pytest.importorskip("polars")
    one = pl.DataFrame({"a": [1, None, 3], "b": ["x", "y", None]})
    chunked = pl.concat([one[:1], one[1:]], rechunk=False)
    assert same(one, chunked)
    assert different(one, one.fill_null(0), one.rename({"a": "c"}), one["a"], one.select("b", "a"), one[:2])


def test_arrow_tables_are_their_content_not_their_chunks() -> None:
    pa = pytest.importorskip("pyarrow")
    one = pa.table({"a": [1, 2, 3], "b": ["x", None, "z"]})
    chunked = pa.concat_tables([one.slice(0, 1), one.slice(1)])
    assert same(one, chunked)
    assert different(
        one, one.slice(1), one.select(["b", "a"]), one["a"], one.rename_columns(["x", "b"]), one.to_batches()[0],
        one.replace_schema_metadata({"k": "v"}), one.replace_schema_metadata({"k": "w"}),
    )  # fmt: skip


def test_sparse_matrices_are_their_content() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    one = sparse.csr_matrix(([1.0, 2.0], [1, 0], [0, 2, 2]), shape=(2, 2))  # indices out of order
    two = one.copy()
    two.sort_indices()
    assert same(one, two)
    assert different(one, one.tocsc(), one.toarray(), one * 2)


def test_an_estimator_is_its_class_and_its_changed_parameters() -> None:
    pytest.importorskip("sklearn")
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.svm import SVC, NuSVC

    assert same(SVC(), SVC(C=1.0))
    assert same(TfidfVectorizer(), TfidfVectorizer(ngram_range=tuple([1, 1])))  # noqa: C409 - another tuple
    assert different(SVC(), SVC(C=2), SVC(C=1), NuSVC(), SVC, SVC(kernel="linear"))


def test_a_fitted_estimator_is_all_that_it_learned() -> None:
    pytest.importorskip("sklearn")
    from sklearn.linear_model import LinearRegression

    X = [[0.0], [1.0]]
    one, two = LinearRegression().fit(X, [0.0, 1.0]), LinearRegression().fit(X, [0.0, 2.0])
    assert same(one, LinearRegression().fit(X, [0.0, 1.0]))
    assert different(one, two, LinearRegression())


def test_what_is_set_on_an_estimator_beside_its_parameters_counts() -> None:
    pytest.importorskip("sklearn")
    from sklearn.base import BaseEstimator
    from sklearn.feature_extraction.text import HashingVectorizer
    from sklearn.preprocessing import StandardScaler

    class Own(BaseEstimator):  # type: ignore[misc]
        def __init__(self, size: int = 1) -> None:
            self.size = size

    warm = Own()
    warm.start = [1.0]
    used = HashingVectorizer()
    used.transform(["some text"])
    assert same(HashingVectorizer(), used)
    assert different(StandardScaler(), StandardScaler().set_output(transform="pandas"), Own(), warm)


def test_an_estimator_names_the_parameter_that_cannot_be_keyed() -> None:
    pytest.importorskip("sklearn")
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import SVC

    with pytest.raises(UnkeyableValue, match=r"^model\.steps\[0\]\[1\]\.C: "):
        digest(make_pipeline(SVC(C=object())), "model")


def test_words_of_a_dictionary_count_though_no_row_uses_them() -> None:
    pa = pytest.importorskip("pyarrow")

    def column(*words: str) -> Any:
        return pa.DictionaryArray.from_arrays(pa.array([0, 0]), pa.array(words))

    chunked = pa.chunked_array([column("a", "b")[:1], column("a", "b")[1:]])
    assert same(column("a", "b"), column("a", "b"))
    assert same(chunked, pa.chunked_array([column("a", "b")]))
    assert different(column("a", "b"), column("a", "c"), pa.array(["a", "a"]), chunked)


def test_attrs_and_pydantic_records_are_their_fields() -> None:
    attrs, pydantic = pytest.importorskip("attrs"), pytest.importorskip("pydantic")
    record = attrs.make_class("Record", ["x", "y"], slots=True)
    model = pydantic.create_model("Model", x=(int, 1), y=(int, 2))
    assert same(record(1, 2), record(y=2, x=1))
    assert same(model(), model(x=1), model(x=1, y=2))
    assert different(record(1, 2), record(2, 1), model(), model(x=2))


def test_a_tensor_is_its_type_shape_and_content() -> None:
    torch = pytest.importorskip("torch")
    ones = torch.ones(4)
    assert same(ones, torch.ones(8)[::2], torch.ones(4).clone())
    assert different(
        ones, ones.double(), ones.reshape(2, 2), ones.clone().requires_grad_(), ones * 2, ones.numpy(),
        ones.to(torch.bfloat16), ones.to_sparse(), torch.nn.Parameter(ones),
    )  # fmt: skip


def test_a_module_is_its_structure_and_weights() -> None:
    torch = pytest.importorskip("torch")

    def net(p: float = 0.5, weight: float = 1.0) -> Any:
        layers = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Dropout(p))
        for parameter in layers.parameters():
            torch.nn.init.constant_(parameter, weight)
        return layers

    assert same(net(), net())
    assert different(net(), net(p=0.4), net(weight=2.0), net().eval(), net()[0])


def test_what_a_module_s_class_adds_counts_however_it_is_called() -> None:
    torch = pytest.importorskip("torch")

    class Net(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, flag: bool, extra: Any = None) -> None:
            super().__init__()
            self._flag, self._extra = flag, extra

    assert same(Net(True), Net(True))
    assert different(Net(True), Net(False), Net(True, []), Net(True, {}))


def test_a_recurrent_module_has_a_digest_that_its_use_does_not_change() -> None:
    torch = pytest.importorskip("torch")

    def recurrent() -> Any:
        torch.manual_seed(0)
        return torch.nn.LSTM(2, 3)

    used = recurrent()
    used(torch.zeros(1, 1, 2))
    assert same(recurrent(), used)
    assert different(recurrent(), torch.nn.LSTM(2, 3))


def test_hooks_of_a_module_count_but_not_how_many_were_made_before() -> None:
    torch = pytest.importorskip("torch")

    def hooked() -> Any:
        module = torch.nn.Dropout()
        module.register_forward_hook(print)
        return module

    assert same(hooked(), hooked())
    assert different(hooked(), torch.nn.Dropout())


def test_no_library_is_imported_to_make_a_digest() -> None:
    code = (
        "import sys; from memento.keys.value_digest import digest; digest({'a': [1, len, dict, lambda: 0]});"
        "print([m for m in ('numpy', 'pandas', 'cloudpickle', 'rich') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True
    )
    assert done.stdout.strip() == "[]"
