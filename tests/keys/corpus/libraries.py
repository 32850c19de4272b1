# ruff: noqa: E501 - a table of values
# mypy: disable-error-code="call-arg,import-not-found"
"""Values of the libraries that are installed here."""

from __future__ import annotations

import datetime
import importlib.util
from typing import Any


def values() -> dict[str, dict[str, Any]]:
    """Return the values of each library that is installed, by name, all made anew."""
    builders = {
        "numpy": _numpy, "scipy": _scipy, "pandas": _pandas, "polars": _polars, "pyarrow": _pyarrow, "sklearn": _sklearn,
        "torch": _torch, "attrs": _attrs, "pydantic": _pydantic, "xarray": _xarray,
    }  # fmt: skip
    return {name: build() for name, build in builders.items() if importlib.util.find_spec(name) is not None}


def _numpy() -> dict[str, Any]:
    import numpy as np

    record = np.array([(1, 2.0, "a"), (3, 4.0, "b")], dtype=[("i", "i4"), ("x", "f8"), ("s", "U3")])
    used = np.random.default_rng(5)
    used.random(3)
    old = np.random.RandomState(3)
    old.normal()
    vectorized = np.vectorize(lambda x: x + 1)
    vectorized([1, 2])
    masked = np.ma.masked_array([1.0, 2.0, 3.0], mask=[False, True, False])
    return {
        "own float": Share(0.5), "float64": np.float64(1.5), "int8": np.int8(7), "bool": np.bool_(True), "str": np.str_("np"), "bytes": np.bytes_(b"np"),
        "complex": np.complex64(1 + 3j), "half": np.float16(0.25), "longdouble": np.longdouble(1) / 3,
        "day": np.datetime64("2024-01-01"), "moment": np.datetime64("2024-01-01T00:00:00.000000001"), "nat": np.datetime64("NaT"),
        "delta": np.timedelta64(3, "h"), "void": record[0], "array": np.arange(6.0).reshape(2, 3), "ints": np.arange(3, dtype="i4"),
        "0-d": np.array(3.0), "nothing": np.zeros((0, 3)), "bools": np.array([True, False]), "texts": np.array(["a", "bb"]),
        "bytes array": np.array([b"a", b"bb"]), "objects": np.array(["a", None, {1, 2}], dtype=object), "record": record,
        "complex array": np.array([1 + 2j]), "big-endian": np.array([1, 2], dtype=">i4"), "dates": np.array(["2024-01-01", "NaT"], "M8[ns]"),
        "strided": np.arange(10)[::3], "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)), "big": np.ones(5000),
        "recarray": record.view(np.recarray), "matrix": np.asmatrix([[1, 2]]), "masked": masked, "longdoubles": np.array([1], "g") / 3,
        "dtype": np.dtype("f4"), "record dtype": record.dtype, "date dtype": np.dtype("M8[25s]"), "sub dtype": np.dtype(("i4", (2,))),
        "noted dtype": np.dtype("f8", metadata={"unit": "m"}), "titled dtype": np.dtype([(("title", "a"), "i4")]),
        "string dtype": np.dtypes.StringDType(na_object=None), "strings": np.array(["a", "long" * 9], np.dtypes.StringDType()),
        "type": np.float32, "ufunc": np.sin, "function": np.mean, "own ufunc": np.frompyfunc(lambda x: x + 1, 1, 1),
        "vectorized": vectorized, "poly": np.polynomial.Polynomial([1.0, 2.0]), "poly1d": np.poly1d([1.0, 2.0]),
        "generator": used, "random state": old, "seeds": np.random.SeedSequence(3), "bits": np.random.PCG64(3),
        "global normal": np.random.normal, "global state": np.random.mtrand._rand, "finfo": np.finfo("f4"), "iinfo": np.iinfo("i4"),
        "masked one": np.ma.masked,
    }  # fmt: skip


def _scipy() -> dict[str, Any]:
    import numpy as np
    import scipy.interpolate
    import scipy.sparse
    import scipy.spatial
    import scipy.special
    import scipy.stats

    dense = np.array([[0, 1.0, 0], [2.0, 0, 3.0]])
    cube = np.zeros((2, 2, 2))
    cube[1, 0, 1] = 1
    formats = ("csr", "csc", "coo", "lil", "dok", "dia", "bsr")
    values = {f"{kind} array": getattr(scipy.sparse, f"{kind}_array")(dense) for kind in formats}
    values |= {f"{kind} matrix": getattr(scipy.sparse, f"{kind}_matrix")(dense) for kind in ("csr", "coo")}
    points = np.arange(20.0).reshape(10, 2) ** 1.5
    return values | {
        "three axes": scipy.sparse.coo_array(cube), "norm": scipy.stats.norm(0, 1), "several normal": scipy.stats.multivariate_normal([0.0], [[1.0]]), "log-uniform": scipy.stats.loguniform(0.01, 100),
        "integers": scipy.stats.randint(1, 5), "bare norm": scipy.stats.norm, "seeded": scipy.stats.norm(0, 1).dist.__class__(seed=3),
        "histogram": scipy.stats.rv_histogram(np.histogram([1, 2, 2, 3], bins=3), density=False), "tree": scipy.spatial.cKDTree(points),
        "k-d tree": scipy.spatial.KDTree(points, leafsize=3), "special": scipy.special.expit,
        "spline": scipy.interpolate.CubicSpline([0, 1, 2], [0, 1, 4]), "interpolated": scipy.interpolate.interp1d([0, 1], [1, 2]),
        "rotation": scipy.spatial.transform.Rotation.from_euler("x", 90, degrees=True),
    }  # fmt: skip


def _pandas() -> dict[str, Any]:
    import pandas as pd

    frame = pd.DataFrame(
        {"a": [1, 2], "b": ["x", float("nan")], "c": pd.Categorical(["u", "v"]), "d": [0.5, None]}
    )
    noted = frame[["a"]].copy()
    noted.attrs["source"] = "s"
    days = pd.date_range("2024-01-01", periods=3)
    holidays = pd.offsets.CustomBusinessDay(holidays=["2024-06-01"])
    zone = datetime.timezone(datetime.timedelta(hours=1), "X")
    return {
        "frame": frame, "noted": noted, "no frame": pd.DataFrame(), "series": pd.Series([1.0, 2.0], name="s"),
        "index": pd.Index([1, 2, 3], name="i"), "range index": pd.RangeIndex(3), "nullable": pd.Series([1, None], dtype="Int64"),
        "nullable bool": pd.Series([True, None], dtype="boolean"), "string": pd.Series(["a", None], dtype="string"),
        "objects": pd.Series([1, "a", None, (1, 2)], dtype=object), "categorical": pd.Categorical(["a", "b"], ordered=True),
        "multi": pd.MultiIndex.from_product([["a", "b"], [1, 2]], names=["l", "n"]), "nat": pd.NaT, "na": pd.NA,
        "zoned": pd.Series(pd.to_datetime(["2024-01-01"], utc=True)), "timestamp": pd.Timestamp("2024-01-01T00:00:00.000000001"),
        "zoned timestamp": pd.Timestamp("2024-01-01", tz="UTC"), "own zone": pd.Timestamp("2024-01-01", tz=zone),
        "timedelta": pd.Timedelta(1, "ns"), "period": pd.Period("2024-01", freq="M"), "interval": pd.Interval(0, 1),
        "intervals": pd.interval_range(0, 3), "periods": pd.period_range("2024-01", periods=2, freq="M"), "days": days,
        "business days": pd.date_range("2024-01-01", periods=2, freq=holidays), "offset": pd.offsets.DateOffset(months=1),
        "holidays": holidays, "tick": pd.offsets.Day(3), "sparse": pd.Series(pd.arrays.SparseArray([0, 0, 1])),
        "sparse dtype": pd.SparseDtype(float, 0.0), "category dtype": pd.CategoricalDtype(["a", "b"]),
        "zone dtype": pd.DatetimeTZDtype(tz="UTC"), "interval dtype": pd.IntervalDtype("int64"), "period dtype": pd.PeriodDtype("M"),
        "int dtype": pd.Int64Dtype(), "array": pd.array([1, 2]), "timedeltas": pd.to_timedelta([1, 2], unit="s"),
        "berlin": pd.Timestamp("2024-01-01", tz="Europe/Berlin"), "arrow": pd.Series([1], dtype=_arrow_dtype()),
        "groups": frame.groupby("a"), "rolling": frame["a"].rolling(2), "grouper": pd.Grouper(key="a", freq="D"),
        "class": pd.DataFrame, "function": pd.concat,
    }  # fmt: skip


def _arrow_dtype() -> Any:
    import pandas as pd
    import pyarrow as pa

    return pd.ArrowDtype(pa.int32())


def _polars() -> dict[str, Any]:
    import polars as pl

    struct = pl.Struct({"a": pl.Time, "b": pl.List(pl.Duration("ns"))})
    return {
        "frame": pl.DataFrame({"a": [1, None], "b": ["x", "y"], "c": [[1], [2, 3]], "d": [True, None]}),
        "no frame": pl.DataFrame(), "series": pl.Series("s", [1.0, 2.0]), "texts": pl.Series(["a", None]), "bools": pl.Series([True, None]),
        "nanoseconds": pl.Series([1]).cast(pl.Datetime("ns")), "zoned": pl.Series([1]).cast(pl.Datetime("us", "UTC")),
        "durations": pl.Series([1]).cast(pl.Duration("ns")), "times": pl.Series([1]).cast(pl.Time), "dates": pl.Series([1]).cast(pl.Date),
        "lists": pl.Series([[1], [], None]), "arrays": pl.Series([[1, 2], None], dtype=pl.Array(pl.Int64, 2)),
        "structs": pl.Series([{"a": 1, "b": [2]}]).cast(struct), "categories": pl.Series(["a", "b"], dtype=pl.Categorical),
        "enum": pl.Series(["a"], dtype=pl.Enum(["a", "b"])), "decimals": pl.Series(["1.10"]).cast(pl.Decimal(10, 2)),
        "bytes": pl.Series([b"a"]), "objects": pl.Series([{1}], dtype=pl.Object), "nulls": pl.Series([None, None]),
        "dtype": pl.Int64(), "list dtype": pl.List(pl.Int8), "struct dtype": struct, "enum dtype": pl.Enum(["a", "b"]),
        "time dtype": pl.Datetime("ns", "UTC"), "class": pl.DataFrame,
    }  # fmt: skip


def _pyarrow() -> dict[str, Any]:
    import numpy as np
    import pyarrow as pa

    field = pa.field("a", pa.int8(), nullable=False, metadata={"unit": "m"})
    table = pa.table({"a": [1, None], "b": ["x", "y"], "c": [1.0, 2.0], "d": [[1], []]})
    return {
        "table": table, "noted": pa.table({"a": [1]}).replace_schema_metadata({"k": "v" * 300}), "batch": table.to_batches()[0],
        "array": pa.array([1, 2]), "with nulls": pa.array([1, None]), "texts": pa.array(["a", None]), "bools": pa.array([True, False]),
        "chunked": pa.chunked_array([[1], [2]]), "nanoseconds": pa.array([1], pa.time64("ns")), "moments": pa.array([1], pa.timestamp("ns", "UTC")),
        "durations": pa.array([1], pa.duration("ns")), "dates": pa.array([1], pa.date32()), "lists": pa.array([[1], None, []]),
        "large lists": pa.array([[1]], pa.large_list(pa.int8())), "fixed lists": pa.array([[1, 2]], pa.list_(pa.int8(), 2)),
        "structs": pa.array([{"a": 1, "b": "x"}, None]), "map": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int8())),
        "dictionary": pa.array(["a", "b", "a"]).dictionary_encode(), "decimals": pa.array([1], pa.decimal128(5, 2)),
        "bytes": pa.array([b"a"]), "halves": pa.array([1.5], pa.float16()), "nulls": pa.nulls(2),
        "runs": pa.RunEndEncodedArray.from_arrays([2], [3]), "extension": pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"0" * 16], pa.binary(16))),
        "scalar": pa.scalar(3), "time scalar": pa.scalar(1, pa.time64("ns")), "text scalar": pa.scalar("a"), "type": pa.int64(),
        "struct type": pa.struct([field]), "time type": pa.timestamp("ns", "UTC"), "dictionary type": pa.dictionary(pa.int8(), pa.string()),
        "extension type": pa.uuid(), "tensors": pa.FixedShapeTensorArray.from_numpy_ndarray(np.zeros((1, 2, 3))),
        "other tensors": pa.FixedShapeTensorArray.from_numpy_ndarray(np.zeros((1, 3, 2))), "field": field, "schema": pa.schema([field], {"k": "v"}), "class": pa.Table,
    }  # fmt: skip


def _sklearn() -> dict[str, Any]:
    import numpy as np
    from sklearn.base import BaseEstimator
    from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
    from sklearn.datasets import load_digits, load_iris
    from sklearn.decomposition import PCA
    from sklearn.ensemble import RandomForestClassifier, StackingClassifier
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
    from sklearn.gaussian_process.kernels import RBF, WhiteKernel
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.metrics import make_scorer, mean_squared_error
    from sklearn.model_selection import (
        GridSearchCV,
        KFold,
        ParameterGrid,
        RandomizedSearchCV,
        StratifiedKFold,
    )
    from sklearn.neighbors import KDTree, KNeighborsClassifier
    from sklearn.pipeline import FeatureUnion, make_pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
    from sklearn.svm import SVC
    from sklearn.tree import DecisionTreeClassifier
    from sklearn.utils import Bunch

    X = np.arange(20.0).reshape(10, 2) ** 1.5
    y = np.arange(10) % 2
    columns = ColumnTransformer([("scale", StandardScaler(), [0]), ("rest", "passthrough", [1])])
    return {
        "class": SVC, "default": SVC(), "estimator": SVC(C=10), "loader": load_digits, "own": Own(2, noted=1), "own default": Own(),
        "of a library's": Scaler(with_mean=False), "pipeline": make_pipeline(StandardScaler(), SVC()), "columns": columns,
        "union": FeatureUnion([("a", PCA(1)), ("b", StandardScaler())]), "function": FunctionTransformer(np.log1p),
        "own function": FunctionTransformer(lambda x: x + 1), "grid search": GridSearchCV(SVC(), {"C": [1, 10]}), "folds": KFold(3),
        "stratified": StratifiedKFold(3, shuffle=True, random_state=1), "grid": ParameterGrid({"C": [1, 2]}), "kernel": RBF(2.0) + WhiteKernel(),
        "scorer": make_scorer(mean_squared_error, greater_is_better=False), "search": RandomizedSearchCV(Ridge(), {"alpha": [1, 2]}, n_iter=2),
        "target": TransformedTargetRegressor(Ridge(), transformer=StandardScaler()), "stack": StackingClassifier([("a", SVC())]),
        "seeded": RandomForestClassifier(random_state=np.random.RandomState(3)), "scaled": StandardScaler().set_output(transform="pandas"),
        "fitted scaler": StandardScaler().fit(X), "fitted ridge": Ridge().fit(X, y), "fitted logistic": LogisticRegression().fit(X, y),
        "fitted tree": DecisionTreeClassifier(random_state=0).fit(X, y), "fitted neighbours": KNeighborsClassifier(2).fit(X, y),
        "fitted forest": RandomForestClassifier(2, random_state=0).fit(X, y), "fitted pipeline": make_pipeline(StandardScaler(), Ridge()).fit(X, y),
        "fitted columns": ColumnTransformer([("scale", StandardScaler(), [0])]).fit(X), "fitted svc": SVC().fit(X, y),
        "fitted encoder": OneHotEncoder().fit([["a"], ["b"]]), "fitted words": TfidfVectorizer().fit(["a bc", "bc de"]),
        "hashing": HashingVectorizer(), "tree": KDTree(X), "bunch": Bunch(a=1, b=[2]), "iris": load_iris, "base": BaseEstimator(),
    }  # fmt: skip


def _torch() -> dict[str, Any]:
    import torch
    from torch import nn

    def filled(module: Any) -> Any:
        with torch.no_grad():
            for i, parameter in enumerate(module.parameters()):
                parameter.copy_(torch.arange(parameter.numel()).reshape(parameter.shape) / 8 + i)
        return module

    tied = filled(nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)))
    tied[1].weight = tied[0].weight
    hooked = filled(nn.Linear(2, 1))
    hooked.register_forward_hook(print)
    net = filled(nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Dropout(0.5), nn.Linear(3, 1)))
    generator = torch.Generator()
    generator.manual_seed(3)
    parametrized = filled(nn.Linear(2, 2))
    nn.utils.parametrize.register_parametrization(parametrized, "weight", nn.Identity())
    return {
        "tensor": torch.arange(6.0).reshape(2, 3), "grad": torch.ones(2, requires_grad=True), "0-d": torch.tensor(3), "bool": torch.tensor([True]),
        "bfloat16": torch.ones(2, dtype=torch.bfloat16), "complex": torch.ones(2, dtype=torch.complex64), "sparse": torch.eye(2).to_sparse(),
        "csr": torch.eye(2).to_sparse_csr(), "nothing": torch.zeros(0, 2), "meta": torch.ones(2, device="meta"),
        "quantized": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8), "nested": torch.nested.nested_tensor([torch.ones(1), torch.ones(2)]),
        "parameter": nn.Parameter(torch.ones(2)), "dtype": torch.float32, "device": torch.device("cpu"), "size": torch.Size([1, 2]),
        "generator": generator, "global generator": torch.default_generator, "module": net, "tied": tied, "hooked": hooked, "parametrized": parametrized,
        "limits": torch.finfo(torch.float32), "evaluated": filled(nn.Linear(1, 1)).eval(),
        "frozen": filled(nn.Linear(1, 1)).requires_grad_(False), "lstm": filled(nn.LSTM(2, 3)), "loss": nn.CrossEntropyLoss(weight=torch.ones(2)),
        "list": filled(nn.ModuleList([nn.Linear(1, 1)])), "optimizer": torch.optim.SGD(filled(nn.Linear(1, 1)).parameters(), lr=0.1),
        "adam": torch.optim.Adam(filled(nn.Linear(1, 1)).parameters(), lr=0.1), "distribution": torch.distributions.Normal(torch.zeros(1), 1.0),
        "data": torch.utils.data.TensorDataset(torch.ones(2)), "class": nn.Linear, "function": torch.relu, "layout": torch.strided,
    }  # fmt: skip


def _attrs() -> dict[str, Any]:
    import attrs

    made = attrs.make_class("Made", {"x": attrs.field(default=1)})
    return {
        "slotted": Record(1, {"a"}),
        "dict": Loose(1),
        "frozen": Frozen(2),
        "hidden": Hidden(1, 2),
        "made": made(2),
        "class": Record,
        "made class": made,
    }


def _pydantic() -> dict[str, Any]:
    import pydantic

    model = pydantic.create_model("Settings", x=(int, 1), words=(list[str], ["a"]))
    return {
        "model": Model(x=2), "nested": Outer(inner=Model(x=1)), "extra": Extra(x=1, y=2), "made": model(), "made class": model,
        "secret": pydantic.SecretStr("s"), "data": Data(1), "root": Root([1, 2]), "class": Model,
    }  # fmt: skip


def _xarray() -> dict[str, Any]:
    import numpy as np
    import xarray as xr

    array = xr.DataArray(
        np.arange(6.0).reshape(2, 3), dims=("x", "y"), coords={"x": [1, 2]}, name="a", attrs={"unit": "m"}
    )
    return {
        "array": array,
        "dataset": array.to_dataset(),
        "variable": xr.Variable("t", [1, 2], {"u": 1}),
        "bare": xr.DataArray([1.0]),
    }


if importlib.util.find_spec("numpy") is not None:
    import numpy

    class Share(numpy.float64):
        pass


if importlib.util.find_spec("sklearn") is not None:
    from sklearn.base import BaseEstimator
    from sklearn.preprocessing import StandardScaler

    class Own(BaseEstimator):  # type: ignore[misc]
        def __init__(self, size: int = 1, rate: float = 0.5, noted: Any = None) -> None:
            self.size, self.rate, self.noted = size, rate, noted
            self.beside = size * 2

    class Scaler(StandardScaler):  # type: ignore[misc]
        pass


if importlib.util.find_spec("attrs") is not None:
    import attrs

    @attrs.define
    class Record:
        x: int
        y: Any = None

    @attrs.define(slots=False)
    class Loose:
        x: int

    @attrs.frozen
    class Frozen:
        x: int

    @attrs.define
    class Hidden:
        x: int
        y: Any = attrs.field(eq=False, repr=False)


if importlib.util.find_spec("pydantic") is not None:
    import pydantic

    class Model(pydantic.BaseModel):
        x: int
        y: list[int] = [1]
        _private: int = pydantic.PrivateAttr(default=3)

    class Outer(pydantic.BaseModel):
        inner: Model
        table: dict[str, float] = {"a": 1.0}

    class Extra(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(extra="allow")
        x: int

    class Root(pydantic.RootModel[list[int]]):
        pass

    @pydantic.dataclasses.dataclass
    class Data:
        x: int
