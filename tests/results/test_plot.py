"""`results.plot()` draws the figure that fits, with the numbers that the results have."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memento import Memento
from memento.errors import MissingExtra
from memento.results.results import Results
from tests.results.fakes import MISSING, START, FakeMatrix, FakeStore, failure, results_of

matplotlib = pytest.importorskip("matplotlib")

SEVERAL = [0.0, 1.0, 2.0]


def with_curves(matrix: FakeMatrix, curves: list[list[float]], x: list[float] | None = None) -> Results:
    """Make results whose tasks recorded these losses."""
    results, store = results_of(matrix, [1.0] * len(matrix))
    keep(store, curves, x)
    return results


def plot(results: Results, metric: str | None = None, ax: Any = None) -> Any:
    """Draw; of types that hold with and without matplotlib's own."""
    return results.plot(metric, ax)


def keep(store: FakeStore, curves: list[list[float]], x: list[float] | None = None) -> None:
    for number, curve in enumerate(curves):
        store.series[number + 1] = {
            "loss": ([float(i) for i in range(len(curve))] if x is None else x, curve)
        }


def image(ax: Any) -> np.ndarray[Any, Any]:
    (drawn,) = ax.images
    found: np.ndarray[Any, Any] = np.ma.filled(drawn.get_array(), np.nan)
    return found


def ticks(axis: Any) -> list[str]:
    return [label.get_text() for label in axis.get_ticklabels()]


def points(ax: Any) -> tuple[list[float], list[float], list[float] | None]:
    """Return x, y and the half lengths of the bars."""
    (container,) = ax.containers
    line, _, bars = container
    half = [float(s[1][1] - s[0][1]) / 2 for s in bars[0].get_segments()] if bars else None
    return line.get_xdata().tolist(), line.get_ydata().tolist(), half


# -- curves


def test_metrics_over_time_are_a_curve_a_configuration_with_a_band_over_repeats() -> None:
    matrix = FakeMatrix(lr=[0.1, 0.5], repeats=2)
    ax = plot(with_curves(matrix, [[1, 2, 3], [3, 4, 5], [0, 0, 0], [2, 2, 2]]))
    lines = {line.get_label(): line.get_xydata().tolist() for line in ax.lines}
    assert lines == {
        "lr=0.1": [[0, 2], [1, 3], [2, 4]],
        "lr=0.5": [[0, 1], [1, 1], [2, 1]],
    }
    band = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert band.min() == pytest.approx(2 - 2**0.5)
    assert band.max() == pytest.approx(4 + 2**0.5)
    assert ax.get_title() == "mean ± std of 2 tasks each (over repeat)"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("step", "loss")


@pytest.mark.parametrize("name", ["seed", "random_state", "fold"])
def test_what_people_repeat_by_is_a_band_and_no_curves(name: str) -> None:
    values: dict[str, Any] = {"model": ["a", "b"], name: [1, 2, 3]}
    only: Any = {name: [1, 2, 3]}
    ax = plot(with_curves(FakeMatrix(**values), [[i, i + 1.0] for i in range(6)]))
    assert [line.get_label() for line in ax.lines] == ["model=a", "model=b"]
    assert ax.lines[0].get_ydata().tolist() == [1, 2]
    alone = plot(with_curves(FakeMatrix(**only), [[i, i + 1.0] for i in range(3)]))
    assert [line.get_ydata().tolist() for line in alone.lines] == [[1, 2]]
    assert alone.get_legend() is None
    assert f"over {name}" in alone.get_title()


def test_of_many_curves_the_highest_and_the_lowest_are_named() -> None:
    ax = plot(with_curves(FakeMatrix(n=list(range(11))), [[0.0, float((n * 7) % 11)] for n in range(11)]))
    assert len(ax.lines) == 11
    named = [line for line in ax.lines if not line.get_label().startswith("_")]
    assert {line.get_label(): line.get_ydata()[-1] for line in named} == {"n=0": 0, "n=3": 10}
    assert ax.get_legend().get_title().get_text() == "highest and lowest of 11"
    ten = plot(with_curves(FakeMatrix(n=list(range(10))), [[0.0, float(n)] for n in range(10)]))
    assert len(ten.get_legend().get_texts()) == 10


def test_curves_of_other_steps_and_lengths_have_one_mean() -> None:
    matrix = FakeMatrix(repeats=2, lr=[1])
    results, store = results_of(matrix, [1.0, 1.0])
    store.series[1] = {"loss": ([0.0, 2.0, 4.0], [0.0, 2.0, 4.0])}
    store.series[2] = {"loss": ([0.0, 1.0, 2.0], [2.0, 3.0, float("nan")])}
    (line,) = plot(results).lines
    assert line.get_xydata().tolist() == [[0, 1], [1, 2], [2, 2], [4, 4]]


def test_values_without_a_step_are_counted() -> None:
    """Their x is the time, which no two tasks share."""
    matrix = FakeMatrix(lr=[1, 2])
    results, store = results_of(matrix, [1.0, 1.0])
    for row, late in ((1, 5.0), (2, 1000.0)):
        store.series[row] = {"loss": ([START + late, START + late + 7, START + late + 9], [1.0, 2.0, 3.0])}
    assert [line.get_xdata().tolist() for line in plot(results).lines] == [SEVERAL, SEVERAL]


def test_a_metric_is_named_or_the_first_that_has_a_course() -> None:
    matrix = FakeMatrix(lr=[1, 2])
    results, store = results_of(matrix, [5.0, 6.0])
    for row in (1, 2):
        store.series[row] = {
            "size": ([0.0], [3.0]),
            "loss": (SEVERAL, [1.0, 2.0, 3.0]),
            "acc": (SEVERAL, [0.5, 0.6, float(row)]),
        }
    assert plot(results).get_ylabel() == "loss"
    assert plot(results, "acc").lines[1].get_ydata().tolist() == [0.5, 0.6, 2.0]
    assert points(plot(results, "value"))[1] == [5, 6]
    assert points(plot(results, "size"))[1] == [3, 3]
    with pytest.raises(ValueError, match=r"'accuracy'.*there are: lr, .*acc"):
        plot(results, "accuracy")


# -- heatmaps


def test_two_parameters_are_a_heatmap_in_the_order_of_numbers_and_of_the_matrix() -> None:
    ax = plot(results_of(FakeMatrix(lr=[0.5, 0.1], model=["b", "a"]), [1.0, 2.0, 3.0, 4.0])[0])
    assert ticks(ax.yaxis) == ["0.1", "0.5"]
    assert ticks(ax.xaxis) == ["b", "a"]
    assert image(ax).tolist() == [[3, 4], [1, 2]]
    assert (ax.get_ylabel(), ax.get_xlabel(), ax.get_title()) == ("lr", "model", "value")
    assert sorted(text.get_text() for text in ax.texts) == ["1", "2", "3", "4"]


def test_what_failed_or_is_missing_is_an_empty_cell() -> None:
    ax = plot(results_of(FakeMatrix(a=[1, 2], b=[1, 2]), [1.0, failure(), MISSING, 4.0])[0])
    assert np.isnan(image(ax).astype(float)).tolist() == [[False, True], [True, False]]


def test_a_value_all_of_whose_tasks_failed_keeps_its_place() -> None:
    ax = plot(results_of(FakeMatrix(model=["a", "b"], lr=[1, 2]), [1.0, 2.0, failure(), failure()])[0])
    assert ticks(ax.yaxis) == ["a", "b"]
    assert np.isnan(image(ax).astype(float)).tolist() == [[False, False], [True, True]]


def test_of_more_parameters_the_two_that_matter_most_are_drawn() -> None:
    matrix = FakeMatrix(small=[0, 1], large=[0, 1], middle=[0, 1], repeats=2)
    configs = [matrix.config(number) for number in range(len(matrix))]
    values = [0.1 * c.small + 10.0 * c.large + 3.0 * c.middle + c.repeat for c in configs]
    ax = plot(results_of(matrix, values)[0])
    assert (ax.get_ylabel(), ax.get_xlabel()) == ("large", "middle")
    assert image(ax) == pytest.approx(np.array([[0, 3], [10, 13]]) + 0.05 + 0.5)
    assert ax.get_title() == "value, mean over small, repeat"


def test_parameters_that_advance_together_are_one() -> None:
    matrix = FakeMatrix(hidden=[1, 2, 3], lr=[0.1, 0.2, 0.3], kind=["x"])
    matrix._table = matrix._table._replace(columns=np.array([[0, 0, 0], [1, 1, 0], [2, 2, 0]]))
    ax = plot(results_of(matrix, [1.0, 2.0, 3.0])[0])
    assert ax.get_xlabel() == "hidden"
    assert points(ax)[:2] == ([1, 2, 3], [1, 2, 3])


def test_the_result_of_another_task_is_told_by_that_tasks_parameters(tmp_path: Path) -> None:
    def stage(context: Any, config: Any) -> float:
        return float(config.first * config.k if "k" in config else config.degree)

    runs = Memento(stage, store=tmp_path / "s", executor="serial", progress=False)
    runs.add_matrix({"id": "first", "parameters": {"degree": [3, 2]}})
    runs.add_matrix({"id": "second", "dependencies": ["first"], "parameters": {"k": [1, 10]}})
    second = runs.run_all()
    assert second is not None
    ax = plot(second["second"])  # type: ignore[arg-type]
    assert {ax.get_ylabel(), ax.get_xlabel()} == {"first.degree", "k"}
    assert sorted(image(ax).ravel().tolist()) == [2, 3, 20, 30]


# -- points


def test_one_numeric_parameter_is_a_line_with_bars_over_repeats() -> None:
    ax = plot(results_of(FakeMatrix(n=[30, 10, 20], repeats=2), [1.0, 3.0, 5.0, 5.0, 0.0, 4.0])[0])
    x, y, half = points(ax)
    assert (x, y) == ([10, 20, 30], [5, 2, 2])
    assert half == pytest.approx([0, 8**0.5, 2**0.5])
    assert ax.get_title() == "mean ± std (over repeat)"
    assert ax.get_xscale() == "linear"
    assert ax.containers[0][0].get_linestyle() == "-"
    assert ax.get_xticks().tolist() == [30, 10, 20]


def test_decades_are_on_a_logarithmic_axis() -> None:
    assert plot(results_of(FakeMatrix(lr=[1e-3, 1e-2, 1e-1]), SEVERAL)[0]).get_xscale() == "log"
    assert plot(results_of(FakeMatrix(lr=[0, 1, 1000]), SEVERAL)[0]).get_xscale() == "linear"


def test_numbers_are_told_in_few_digits_where_these_tell_them_apart() -> None:
    x = [0.1 + 0.2, 0.25]
    curves = [[0.0, 1.0], [1.0, 2.0]]
    assert [line.get_label() for line in plot(with_curves(FakeMatrix(x=x), curves)).lines] == [
        "x=0.3",
        "x=0.25",
    ]
    x = [0.1 + 0.2, 0.3000000001]
    labels = [line.get_label() for line in plot(with_curves(FakeMatrix(x=x), curves)).lines]
    assert labels == ["x=0.30000000000000004", "x=0.3000000001"]


def test_categories_are_points_with_their_texts() -> None:
    ax = plot(results_of(FakeMatrix(model=[dict, list, "$x$"]), [3.0, 1.0, 2.0])[0])
    assert points(ax) == ([0, 1, 2], [3, 1, 2], None)
    assert ticks(ax.xaxis) == ["dict", "list", r"\$x\$"]
    assert ax.containers[0][0].get_linestyle() == "None"
    ax.figure.savefig(Path("out.png"))


def test_numbers_with_labels_are_told_by_these() -> None:
    matrix = FakeMatrix(n=[1, 1000, 30])
    matrix.labels = {"n": ("small", "large", "middle")}
    ax = plot(results_of(matrix, SEVERAL)[0])
    assert (points(ax)[:2], ticks(ax.xaxis)) == ((SEVERAL, SEVERAL), ["small", "large", "middle"])


def test_where_only_repeats_vary_they_are_the_axis() -> None:
    ax = plot(results_of(FakeMatrix(x=[1], repeats=3), SEVERAL)[0])
    assert (ax.get_xlabel(), points(ax)[:2]) == ("repeat", (SEVERAL, SEVERAL))


@given(
    values=st.lists(st.floats(-1e6, 1e6), min_size=12, max_size=12),
    numbers=st.lists(st.integers(-1000, 1000), min_size=4, max_size=4, unique=True),
)
def test_points_are_the_means_that_numpy_finds(values: list[float], numbers: list[int]) -> None:
    ax = plot(results_of(FakeMatrix(n=numbers, repeats=3), values)[0])
    table = np.array(values).reshape(4, 3)
    order = np.argsort(numbers)
    x, y, half = points(ax)
    assert x == sorted(numbers)
    assert y == pytest.approx(table.mean(axis=1)[order], abs=1e-6)
    assert half == pytest.approx(table.std(axis=1, ddof=1)[order], abs=1e-6)


# -- what cannot be drawn, and where to


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([failure(), failure()], "none of 2 tasks has succeeded"),
        (["text", "text"], "'value' holds str, not numbers"),
        ([float("nan")] * 2, "no task has a number as 'value'"),
        ([None, None], "no task has a number as 'value'"),
    ],
)
def test_what_cannot_be_drawn_says_why(values: list[Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        plot(results_of(FakeMatrix(x=[1, 2]), values)[0])


def test_the_only_number_of_dicts_is_drawn_and_of_several_one_is_named() -> None:
    matrix = FakeMatrix(x=[1, 2])
    assert (
        plot(results_of(matrix, [{"acc": 1.0, "name": "a"}, {"acc": 2.0, "name": "b"}])[0]).get_ylabel()
        == "acc"
    )
    results = results_of(matrix, [{"acc": 1.0, "loss": 3.0}, {"acc": 2.0, "loss": 4.0}])[0]
    with pytest.raises(ValueError, match=r'acc, loss.*Name one: results\.plot\("acc"\)'):
        plot(results)
    assert points(plot(results, "loss"))[1] == [3, 4]


def test_one_configuration_says_what_it_lacks() -> None:
    with pytest.raises(
        ValueError, match=r"1 result of one configuration.*Vary a parameter, or record metrics"
    ):
        plot(results_of(FakeMatrix(x=[1]), [1.0])[0])


def test_it_draws_where_it_is_told() -> None:
    from matplotlib.figure import Figure

    ax = Figure().subplots()
    assert plot(results_of(FakeMatrix(x=[1, 2]), [1.0, 2.0])[0], ax=ax) is ax
    assert len(ax.containers) == 1


def test_without_matplotlib_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # as if it were not installed
    with pytest.raises(MissingExtra, match=r"pip install 'memento-ml\[plot\]'"):
        plot(results_of(FakeMatrix(x=[1, 2]), [1.0, 2.0])[0])


def test_without_a_screen_no_figure_is_left_in_pyplot(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        """
import sys
import matplotlib
from memento import Memento
def experiment(context, config):
    return config.a + config.b
results = Memento(experiment, executor="serial", progress=False).run({"parameters": {"a": [1, 2], "b": [1, 2]}})
results.plot().figure.savefig("first.png")
assert "matplotlib.pyplot" not in sys.modules
from matplotlib import pyplot
matplotlib.use("Agg")
results.plot().figure.savefig("second.png")
assert not pyplot.get_fignums()
"""
    )
    subprocess.run([sys.executable, script], cwd=tmp_path, check=True, timeout=300)
    first, second = (tmp_path / name for name in ("first.png", "second.png"))
    assert first.read_bytes()[:4] == b"\x89PNG"
    assert second.exists()
