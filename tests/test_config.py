"""A config says where to find what it does not have."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memento import Config, Context, Matrix, Memento
from memento.config import Deferred, short_text
from memento.keys.value_digest import digest
from memento.settings import Settings

CONFIG = Config.build({"lr": 0.1, "hidden": 3}, {"folds": 5})


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("lrr", "Did you mean config.lr?"),
        ("hiden", "Did you mean config.hidden?"),
        ("seed", "Did you mean context.seed?"),
        ("to_dict", "Did you mean config.asdict()?"),
        ("n_jobs", "Did you mean context.resources.cpus?"),
        ("fold", "Did you mean config.folds?"),
        ("batch", "it has: lr, hidden, and the settings folds"),
    ],
)
def test_a_name_that_no_parameter_has_is_answered_by_the_right_line(name: str, line: str) -> None:
    with pytest.raises(AttributeError) as as_attribute:
        getattr(CONFIG, name)
    with pytest.raises(KeyError) as as_key:
        CONFIG[name]
    assert line in str(as_attribute.value)
    assert line in str(as_key.value)


def test_a_setting_is_an_attribute_where_its_name_is_free_and_no_item() -> None:
    config = Config.build({"lr": 0.1}, {"lr": 9, "folds": 5, "my setting": 1}, 2)
    assert (config.lr, config.folds, config.repeat) == (0.1, 5, 2)
    assert "folds" not in config
    assert config.get("folds") is None
    with pytest.raises(KeyError, match=r"It is a setting: write config\.folds\."):
        config["folds"]
    with pytest.raises(KeyError, match=r"write config\.settings\['my setting'\]\."):
        config["my setting"]
    assert not hasattr(config, "fold")


class TestMapping:
    @pytest.mark.slow
    @given(
        parameters=st.dictionaries(st.text(), st.integers() | st.text()),
        settings=st.dictionaries(st.text(), st.none()),
    )
    def test_it_is_the_mapping_of_its_parameters(
        self, parameters: dict[str, Any], settings: dict[str, Any]
    ) -> None:
        if "keys" in parameters:
            return
        config = Config.build(parameters, settings)
        assert dict(config) == config.asdict() == parameters
        assert (lambda **given: given)(**config) == parameters
        assert {**config, "more": 1} == {**parameters, "more": 1}
        assert (len(config), list(config)) == (len(parameters), list(parameters))
        assert isinstance(config, Mapping)
        for name in ("keys", "items", "values"):
            if name not in parameters:
                assert list(getattr(config, name)()) == list(getattr(parameters, name)())
        assert all(name in config and config[name] == value for name, value in parameters.items())

    def test_what_is_iterated_over_is_loaded(self) -> None:
        config = Config.build({"clean": Result([1, 2]), "lr": 3}, {})
        assert dict(config.items()) == {"clean": [1, 2], "lr": 3}
        assert list(config.values()) == [[1, 2], 3]

    def test_a_parameter_of_a_methods_name_stays_the_attribute(self) -> None:
        config = Matrix({"values": [[1, 2]], "items": ["x"], "lr": [3]}).config(0)
        assert [getattr(config, name) for name in ("values", "items")] == [[1, 2], "x"]
        assert dict(config) == {**config} == {"values": [1, 2], "items": "x", "lr": 3}
        assert getattr(Matrix({"keys": ["x"]}).config(0), "keys") == "x"  # noqa: B009 - to type checkers it is the method

    def test_it_matches_patterns_and_equals_configs_only(self) -> None:
        assert Config(a=1) == Config(a=1)
        assert Config(a=1) != {"a": 1}
        match Config(a=1, b=2):
            case {"a": found}:
                assert found == 1
            case _:
                raise AssertionError

    def test_it_is_pickled_as_before(self) -> None:
        then = (
            b"\x80\x04\x95N\x00\x00\x00\x00\x00\x00\x00\x8c\x0ememento.config\x94\x8c\x06Config\x94\x93\x94)\x81\x94}\x94("
            b"\x8c\x05_dict\x94}\x94\x8c\x01a\x94K\x01s\x8c\x08settings\x94}\x94\x8c\x06repeat\x94K\x00ub."
        )
        assert pickle.loads(then) == Config(a=1)


def test_a_name_that_is_no_text_is_no_parameter_either() -> None:
    with pytest.raises(KeyError, match="it has: lr, hidden"):
        CONFIG[3]  # type: ignore[index]  # what a user may try


def test_asking_whether_a_config_has_something_harms_nothing() -> None:
    assert not hasattr(CONFIG, "gamma")
    assert CONFIG.get("items", 1) == 1
    assert copy.deepcopy(CONFIG) == CONFIG == pickle.loads(pickle.dumps(CONFIG))


def test_configs_that_hold_arrays_can_be_compared() -> None:
    import numpy as np

    def make(last: int) -> Config:
        return Config.build({"x": np.arange(3), "deep": {"y": [np.array([0, last])]}}, {"s": np.ones(2)})

    assert make(1) == make(1)
    assert make(1) != make(2)
    assert pickle.loads(pickle.dumps(make(1))) == make(1)


class Result(Deferred):
    """The result of a task with some parameters; loaded once, as workers may see."""

    def __init__(self, value: object, /, **parameters: object) -> None:
        self.value, self.parameters, self.loads = value, parameters, 0

    def load(self) -> object:
        self.loads += 1
        return self.value

    def origin(self) -> dict[str, object]:
        return self.parameters


class TestUpstream:
    @staticmethod
    def config() -> Config:
        base = Result(7, n=1, **{"a.b": 2})
        return Config.build({"model": "svm", "clean": Result([1, 2], dataset="a", base=base)}, {})

    def test_the_parameters_of_upstream_tasks_are_items_at_every_depth(self) -> None:
        config = self.config()
        assert config["clean.dataset"] == config.get("clean.dataset") == "a"
        assert (config["clean.base.n"], config["clean.base.a.b"], config["clean.base"]) == (1, 2, 7)
        assert "clean.base.n" in config
        assert "clean.x" not in config
        assert config.get("clean.x", 5) == 5
        assert config.asdict() == {"model": "svm", "clean": [1, 2]}

    def test_they_are_there_when_the_result_was_loaded_and_it_stays_itself(self) -> None:
        config = self.config()
        assert config.clean is config.clean
        assert config["clean.dataset"] == "a"
        assert config["clean.base"] is config["clean.base"]

    def test_asking_for_a_parameter_loads_no_result(self) -> None:
        result = Result(1, n=1)
        assert Config(up=result)["up.n"] == 1
        assert result.loads == 0

    def test_it_is_shown_by_them(self) -> None:
        config, shown = self.config(), "Config(model=svm, clean.dataset=a, clean.base.n=1, clean.base.a.b=2)"
        assert repr(config) == shown
        assert config.clean == [1, 2]
        assert repr(config) == shown

    def test_a_name_without_its_matrix_is_answered_by_the_right_line(self) -> None:
        with pytest.raises(AttributeError, match=r"Did you mean config\['clean.dataset'\]\?"):
            self.config().dataset  # noqa: B018 - what a user may try
        with pytest.raises(KeyError, match=r"Did you mean config\['clean.dataset'\]\?"):
            self.config()["clean.datasets"]


def test_of_a_large_array_or_frame_the_text_says_what_it_is() -> None:
    assert short_text(np.ones(5_000)).startswith("ndarray 5000: array([1., 1.")
    assert short_text(pd.DataFrame({"a": range(30), "b": 0})).startswith("DataFrame 30x2: ")
    assert short_text(np.arange(3)) == "array([0, 1, 2])"


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("folds", "settings are items: write config.settings['folds'], or config.folds"),
        ("fold", "there are: folds. Did you mean config.settings['folds']?"),
        ("batch", "there is no setting 'batch'; there are: folds"),
    ],
)
def test_a_setting_that_is_not_there_is_answered_by_those_that_are(name: str, line: str) -> None:
    settings = Settings(folds=5)
    with pytest.raises(AttributeError) as as_attribute:
        getattr(settings, name)
    assert line in str(as_attribute.value)
    if name not in settings:
        with pytest.raises(KeyError) as as_key:
            settings[name]
        assert line in str(as_key.value)


def test_settings_are_pickled_copied_and_keyed_as_the_dict_that_they_were() -> None:
    settings = Settings(folds=5, classes=[dict])
    for copied in (pickle.loads(pickle.dumps(settings)), copy.copy(settings), copy.deepcopy(settings)):
        assert type(copied) is dict
        assert copied == settings
    assert digest(settings) == digest(dict(settings))
    assert settings.get("fold") is None


def test_a_task_that_asks_for_a_setting_by_a_wrong_name_says_which_there_are(tmp_path: Path) -> None:
    def experiment(context: Context, config: Config) -> Any:
        return config.settings["n_folds"]

    runs = Memento(experiment, store=tmp_path, executor="serial", on_error="return", progress=False)
    results = runs.run({"parameters": {"a": [1]}, "settings": {"n_fold": 3}})
    assert results is not None
    assert "there are: n_fold. Did you mean config.settings['n_fold']?" in str(results[0].error)


def test_settings_that_a_task_returns_are_plain_data(tmp_path: Path) -> None:
    def experiment(context: Context, config: Config) -> Any:
        return {"with": config.settings} if config.a else config.settings

    runs = Memento(experiment, store=tmp_path, executor="serial", progress=False)
    some = runs.run({"parameters": {"a": [True, False]}, "settings": {"n_fold": 3}})
    assert some is not None
    assert [result.value for result in some] == [{"with": {"n_fold": 3}}, {"n_fold": 3}]
    assert some.to_frame()["with.n_fold"].tolist()[0] == 3
    assert {type(result.value) for result in some} == {dict}
