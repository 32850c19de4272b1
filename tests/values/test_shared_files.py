"""A large value is written once, and everybody who asks gets memory of his own for it."""

from __future__ import annotations

import errno
import gc
import io
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as of_numpy

from memento import system
from memento.errors import StoreError, StoreUnwritable
from memento.values import pickling, shared_files
from memento.values.shared_files import LARGE, SharedFiles, mapped, sweep
from memento.values.worker_serializer import picklers

PLACES = ["in memory", "in memory, read", "on the disk", "by its name"]
BIG = LARGE // 8 + 1  # doubles
linux = pytest.mark.skipif(not system.LINUX, reason="elsewhere files have names, and no /proc")


def no_room(pid: int) -> tuple[int, int]:
    return 0, 1


# The others differ in where the memory is from: all kinds of values on all of them are for the slow tests.
@pytest.fixture(
    params=[
        pytest.param(name, marks=() if name in ("in memory", "by its name") else pytest.mark.slow)
        for name in PLACES
    ]
)
def files(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SharedFiles]:
    monkeypatch.setattr(shared_files, "_MAP", 1 << 62 if request.param == "in memory, read" else 0)
    if request.param == "on the disk":
        monkeypatch.setattr(system, "memory_left", no_room)
    made = SharedFiles(str(tmp_path), "run-1", same_host=request.param != "by its name")
    yield made
    made.close()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def mapped_files() -> list[str]:
    return [line for line in system.read_text("/proc/self/maps").splitlines() if "memento-values" in line]


@dataclass
class Sample:
    x: Any
    y: Any


def frame(kind: str) -> Any:
    pandas = pytest.importorskip("pandas")
    made = pandas.DataFrame(
        {
            "a": np.arange(BIG),
            "b": np.arange(BIG) / 2,
            "c": np.arange(BIG) % 3 == 0,
            "t": ["x", "yy"] * (BIG // 2) + ["z"],
        }
    )
    if kind == "pandas":
        return made
    arrow = pytest.importorskip("pyarrow")
    if kind.startswith("polars"):
        polars = pytest.importorskip("polars")
        of_polars = polars.from_pandas(made).with_columns(
            polars.col("t").cast(polars.Categorical).alias("category"),
            polars.col("a").cast(polars.Datetime("us")).alias("time"),
            polars.concat_list("a", "b").alias("list"),
        )
        return of_polars["list"] if kind == "polars series" else of_polars
    return arrow.Table.from_pandas(made)


def sparse() -> Any:
    scipy = pytest.importorskip("scipy.sparse")
    return scipy.csr_matrix(np.eye(700))  # 700 × 12 bytes and more


KINDS: dict[str, Callable[[], Any]] = {
    "array": lambda: np.arange(float(BIG)),
    "Fortran": lambda: np.asfortranarray(np.arange(2.0 * BIG).reshape(2, -1)),
    "with steps": lambda: np.arange(4.0 * BIG)[::2],
    "backwards": lambda: np.arange(float(BIG))[::-1],
    "structured": lambda: np.zeros(BIG, dtype=[("a", "i4"), ("b", "f8")]),
    "dates": lambda: np.arange(BIG).astype("M8[s]"),
    "texts": lambda: np.array(["abc", "de"] * BIG),
    "objects": lambda: np.array([{"a": 1}, None] * BIG, dtype=object),
    "matrix": lambda: np.arange(float(BIG)).view(np.matrix),
    "records": lambda: np.zeros(BIG, dtype=[("a", "i4"), ("b", "f8")]).view(np.recarray),
    "masked": lambda: np.ma.masked_less(np.arange(float(BIG)), 5),
    "many small": lambda: {f"image {i}": np.full(600, i) for i in range(400)},
    "nested": lambda: [Sample(np.ones(BIG), ("a", {"b": np.zeros(3)})), np.float32(1), np.zeros((0, 4)), np.array(5)],
    "bytes": lambda: bytes(LARGE) + b"!",
    "bytearray": lambda: [bytearray(LARGE)],
    "text": lambda: ["x" * LARGE],
    "plain": lambda: {str(i): [i, i / 2, str(i) * 12] for i in range(LARGE // 64)},
    "pandas": lambda: frame("pandas"),
    "arrow": lambda: frame("arrow"),
    "polars": lambda: frame("polars"),
    "polars series": lambda: frame("polars series"),
    "sparse": sparse,
}  # fmt: skip


def pickling_body(value: Any, parts: list[memoryview]) -> bytes:
    """Pickle a value as for workers; its buffers come in `parts`."""
    file = io.BytesIO()
    picklers()[1](file, buffer_callback=shared_files.beside(parts)).dump(value)
    return file.getvalue()


def same(one: Any, two: Any) -> bool:
    """Compare exactly; type, layout and whether it may be written included."""
    if type(one) is not type(two):
        return False
    if type(one) in (int, float, str):
        return bool(one == two)
    if isinstance(one, np.ndarray):
        flags = [(a.dtype, a.shape, a.flags.writeable, a.flags.f_contiguous) for a in (one, two)]
        if one.dtype.kind in "fc" and type(one) is np.ndarray:
            return flags[0] == flags[1] and one.tobytes() == two.tobytes()
        return flags[0] == flags[1] and bool(np.all(one == two))
    if isinstance(one, dict):
        return list(one) == list(two) and all(same(one[key], two[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(two) and all(map(same, one, two))
    if isinstance(one, Sample):
        return same(one.x, two.x) and same(one.y, two.y)
    if hasattr(one, "equals"):
        return bool(one.equals(two))
    if hasattr(one, "nnz"):
        return bool((one != two).nnz == 0)
    return bool(one == two)


@pytest.mark.parametrize("kind", KINDS)
def test_a_value_comes_back_the_same(kind: str, files: SharedFiles) -> None:
    value = KINDS[kind]()
    data = pickling.dumps(value, files)
    back = pickling.loads(data)
    assert same(back, pickling.loads(pickling.dumps(value)))
    assert len(data) < LARGE


ARRAYS = st.builds(
    lambda array, order, writeable: _laid_out(array, order, writeable),
    of_numpy.arrays(
        st.one_of(of_numpy.scalar_dtypes(), of_numpy.array_dtypes(max_size=3)),
        of_numpy.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=20),
    ),
    st.sampled_from("CFS"),
    st.booleans(),
)


def _laid_out(array: Any, order: str, writeable: bool) -> Any:
    if order == "S" and array.ndim:
        array = np.repeat(array, 2, axis=0)[::2]
    elif order != "S":
        array = np.array(array, order="F" if order == "F" else "C")
    array.flags.writeable = writeable
    return array


NESTED = st.recursive(
    st.one_of(ARRAYS, st.integers(), st.text(max_size=3), st.none()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(max_size=2), inner, max_size=3),
        st.tuples(inner, inner),
        st.builds(Sample, inner, inner),
    ),
    max_leaves=6,
)


def spoil(value: Any) -> None:
    """Change all that can be changed of a value, in place."""
    if isinstance(value, np.ndarray):
        if value.flags.writeable and value.nbytes:
            value.view(np.ndarray)[...] = np.zeros(1, value.dtype)[0]
    elif isinstance(value, dict):
        for part in value.values():
            spoil(part)
        value.clear()
    elif isinstance(value, (list, tuple)):
        for part in value:
            spoil(part)
    elif isinstance(value, Sample):
        spoil(value.x)
        spoil(value.y)


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(value=NESTED, least=st.sampled_from([1, 64]))
def test_what_one_task_changes_the_next_does_not_see(value: Any, least: int, files: SharedFiles) -> None:
    expected = pickle.loads(pickle.dumps(value, protocol=5))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared_files, "LARGE", 64)
        patch.setattr(shared_files, "_LEAST", least)
        data = pickling.dumps(value, files)
        for _ in range(3):
            back = pickling.loads(data)
            assert pickle.dumps(back, protocol=5) == pickle.dumps(expected, protocol=5) or same(
                back, expected
            )
            spoil(back)


@pytest.mark.parametrize(
    "kind",
    [
        "array",
        "Fortran",
        "structured",
        "matrix",
        "records",
        "nested",
        "pandas",
        "arrow",
        "polars",
        "polars series",
    ],
)
def test_its_memory_is_copied_for_nobody(kind: str, files: SharedFiles) -> None:
    parts: list[memoryview] = []
    body = pickling_body(KINDS[kind](), parts)
    assert len(body) < LARGE // 3  # with a column of texts, which pandas 2 has as objects
    assert sum(part.nbytes for part in parts) >= LARGE


def test_what_polars_alone_knows_comes_back_too(files: SharedFiles) -> None:
    polars = pytest.importorskip("polars")
    values = {
        "enum": polars.Series("e", ["a", "b"] * BIG, dtype=polars.Enum(["a", "b", "c"])),
        "decimal": polars.Series("d", range(BIG)).cast(polars.Decimal(20, 3)),
        "of a slice": polars.DataFrame({"x": range(3 * BIG)}).slice(BIG, BIG),
    }
    for name, value in values.items():
        back = pickling.loads(pickling.dumps(value, files))
        assert back.equals(value)
        assert type(back) is type(value)
        assert (back.schema if name == "of a slice" else (back.name, back.dtype)) == (
            value.schema if name == "of a slice" else (value.name, value.dtype)
        )


def test_what_may_not_be_written_before_may_not_be_written_after(files: SharedFiles) -> None:
    array = np.arange(float(BIG))
    array.flags.writeable = False
    back = pickling.loads(pickling.dumps({"a": array, "b": np.zeros(BIG)}, files))
    assert not back["a"].flags.writeable
    assert back["b"].flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        back["a"][0] = 1


def test_a_mapped_file_of_numpy_comes_as_a_mapping_too(files: SharedFiles, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(float(BIG)))
    array = np.load(tmp_path / "a.npy", mmap_mode="r")
    data = pickling.dumps(array, files)
    back = pickling.loads(data)
    assert type(back) is np.memmap
    assert not back.flags.writeable
    assert np.array_equal(back, array)
    assert len(data) < 1_000
    (tmp_path / "a.npy").unlink()


def test_small_values_travel_as_ever(files: SharedFiles) -> None:
    for value in (1, "a", [1, 2], {"a": np.zeros(5)}, np.arange(400), int):
        assert pickling.dumps(value, files) == pickling.dumps(value)
    middling = np.arange(1000.0)
    assert np.array_equal(pickling.loads(pickling.dumps(middling, files)), middling)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    sizes: list[int] = []
    real = os.pwrite

    def pwrite(descriptor: int, data: memoryview, at: int) -> int:
        sizes.append(len(data))
        return real(descriptor, data, at)

    monkeypatch.setattr(os, "pwrite", pwrite)
    return sizes


def test_an_array_of_two_values_is_written_once(files: SharedFiles, written: list[int]) -> None:
    array, other = np.arange(float(BIG)), np.zeros(BIG)
    one = pickling.dumps(array, files)
    two = pickling.dumps({"a": array, "T": array.reshape(-1, 1).T, "b": other}, files)
    assert [size for size in written if size > 100] == [array.nbytes, other.nbytes]
    assert np.array_equal(pickling.loads(two)["a"], array)
    assert np.array_equal(pickling.loads(two)["T"], array.reshape(1, -1))
    assert np.array_equal(pickling.loads(two)["b"], other)
    assert np.array_equal(pickling.loads(one), array)


def test_memory_that_has_gone_to_another_array_is_written_again(files: SharedFiles) -> None:
    for n in range(20):  # the system gives the same addresses again
        array = np.full(BIG, float(n))
        assert pickling.loads(pickling.dumps(array, files))[-1] == n
        del array


def test_threads_write_at_once(files: SharedFiles) -> None:
    found: dict[int, Any] = {}

    def write(n: int) -> None:
        found[n] = pickling.loads(pickling.dumps(np.full(BIG, float(n)), files))

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [np.all(found[n] == n) for n in range(8)] == [True] * 8


@pytest.mark.slow
@linux
def test_a_mapping_lives_as_long_as_the_objects_made_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_files, "_MAP", 0)
    files = SharedFiles(str(tmp_path), "run", same_host=True)
    data = pickling.dumps({"a": np.ones(BIG), "b": np.zeros(BIG)}, files)
    part = pickling.loads(data)["a"][5:10]
    files.close()
    gc.collect()
    assert len(mapped_files()) == 1
    assert part.sum() == 5
    del part
    gc.collect()
    assert mapped_files() == []


@pytest.mark.slow
@linux
def test_files_of_this_machine_have_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for room in (system.memory_left, no_room):
        monkeypatch.setattr(system, "memory_left", room)
        files = SharedFiles(str(tmp_path), "run", same_host=True)
        data = pickling.dumps(np.ones(BIG), files)
        assert not [path for path in tmp_path.rglob("*") if path.is_file()]
        other = (
            "import sys; from memento.values import pickling; print(pickling.loads(eval(sys.argv[1])).sum())"
        )
        done = subprocess.run(
            [sys.executable, "-c", other, repr(data)], capture_output=True, text=True, check=True
        )
        assert float(done.stdout) == BIG
        files.close()


def fails(number: int) -> Callable[..., Any]:
    def call(*args: Any, **options: Any) -> Any:
        raise OSError(number, os.strerror(number))

    return call


@linux
def test_where_memory_is_full_it_lies_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = SharedFiles(str(tmp_path), "run", same_host=True)
    first = pickling.dumps(np.ones(BIG), files)
    real = os.pwrite

    def pwrite(descriptor: int, data: memoryview, at: int) -> int:
        if "memento-values" in os.readlink(f"/proc/self/fd/{descriptor}"):
            real(descriptor, data[:100], at)
            raise OSError(errno.ENOSPC, "full")
        return real(descriptor, data, at)

    monkeypatch.setattr(os, "pwrite", pwrite)
    second = pickling.dumps(np.full(BIG, 2.0), files)
    monkeypatch.undo()
    third = pickling.dumps(np.full(BIG, 3.0), files)
    assert [pickling.loads(data)[-1] for data in (first, second, third)] == [1, 2, 3]
    files.close()


def test_where_the_disk_is_full_too_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = SharedFiles(str(tmp_path), "run", same_host=True)
    monkeypatch.setattr(os, "pwrite", fails(errno.ENOSPC))
    with pytest.raises(StoreUnwritable, match=r"a value of 1 MB cannot be written here .*No space left"):
        pickling.dumps(np.ones(BIG), files)
    files.close()


def test_what_cannot_be_mapped_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = SharedFiles(str(tmp_path), "run", same_host=False)
    monkeypatch.setattr(shared_files, "_MAP", 0)
    monkeypatch.setattr(system, "map_private", fails(errno.ENODEV))
    array = np.arange(float(BIG))
    back = pickling.loads(pickling.dumps({"a": array, "b": 1}, files))
    assert np.array_equal(back["a"], array)
    back["a"][0] = 1.0
    files.close()


def test_what_is_not_there_any_more_is_said(tmp_path: Path) -> None:
    files = SharedFiles(str(tmp_path), "run", same_host=False)
    data = pickling.dumps(np.ones(BIG), files)
    files.close()
    with pytest.raises(StoreError, match="the run has ended, or"):
        pickling.loads(data)
    with pytest.raises(StoreError, match="the run has ended, or"):
        pickling.dumps(np.ones(BIG), files)
    mark = b"sixteen bytes so"
    (tmp_path / "short").write_bytes(mark + b"abc")
    with pytest.raises(StoreError, match="cut short"):
        mapped(str(tmp_path / "short"), mark, 0, 50)


@linux
def test_a_later_runs_file_is_not_taken_for_an_earlier_ones(tmp_path: Path) -> None:
    data, paths = [], []
    for number in (1.0, 2.0):
        files = SharedFiles(str(tmp_path), "run", same_host=True)
        data.append(pickling.dumps(np.full(BIG, number), files))
        paths.append(data[-1][data[-1].index(b"/proc/") :].partition(b"\x94")[0])
        if number == 1.0:
            files.close()
    assert paths[0] == paths[1]  # the system gives the same number again
    with pytest.raises(StoreError, match="another file is"):
        pickling.loads(data[0])
    assert pickling.loads(data[1])[-1] == 2.0
    files.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
def test_a_copy_of_the_program_writes_nothing_into_its_files(tmp_path: Path) -> None:
    script = f"""
import os, sys
import numpy as np
from memento.values import pickling
from memento.values.shared_files import SharedFiles
files = SharedFiles({str(tmp_path)!r}, "run", same_host=True)
pid = os.fork()
if pid == 0:
    os._exit(0 if len(pickling.dumps(np.ones({BIG}), files)) > 1_000_000 else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    subprocess.run([sys.executable, "-c", script], check=True)


OWNER = """
import sys, time
import numpy as np
from memento.values import pickling
from memento.values.shared_files import SharedFiles
files = SharedFiles(sys.argv[1], sys.argv[2], same_host=False, outlives=len(sys.argv) > 3)
pickling.dumps(np.ones(200_000), files)
print("written", flush=True)
time.sleep(600)
"""


@pytest.mark.slow
def test_what_a_killed_run_left_goes_with_the_next_and_what_the_living_have_stays(tmp_path: Path) -> None:
    owners = {
        run: subprocess.Popen(
            [sys.executable, "-c", OWNER, str(tmp_path), run, *more], stdout=subprocess.PIPE
        )
        for run, more in {"r-dead": [], "r-living": [], "r-handed": ["outlives"]}.items()
    }
    try:
        for owner in owners.values():
            assert owner.stdout is not None
            assert owner.stdout.readline() == b"written\n"
        sweep(str(tmp_path))
        work = tmp_path / "work"
        assert {path.name for path in work.iterdir()} == set(owners)
        for run in ("r-dead", "r-handed"):
            owners[run].kill()
            owners[run].wait()
        sweep(str(tmp_path))
        left = {path.relative_to(work).as_posix() for path in work.rglob("*") if path.is_file()}
        assert left == {"r-living/values", "r-handed/values.handed"}
        assert not (work / "r-dead").exists()
    finally:
        for owner in owners.values():
            owner.kill()
            owner.communicate()
    sweep(str(tmp_path / "nothing"))


def test_where_there_are_no_locks_files_are_written_and_stay_until_their_owner_removes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system, "try_lock", fails(errno.ENOLCK))
    files = SharedFiles(str(tmp_path), "run-1", same_host=False)
    data = pickling.dumps(np.ones(BIG), files)
    sweep(str(tmp_path))
    assert pickling.loads(data).sum() == BIG
    files.close()
    assert not (tmp_path / "work" / "run-1").exists()


def test_a_process_does_not_sweep_its_own_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "try_lock", lambda descriptor: True)  # as where locks are the process'
    files = SharedFiles(str(tmp_path), f"20260101-000000-{os.getpid()}-0001", same_host=False)
    data = pickling.dumps(np.ones(BIG), files)
    sweep(str(tmp_path))
    assert pickling.loads(data).sum() == BIG
    files.close()
