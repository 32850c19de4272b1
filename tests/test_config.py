"""A config says where to find what it does not have."""

from __future__ import annotations

import copy
import pickle

import pytest

from memento import Config

CONFIG = Config.build({"lr": 0.1, "hidden": 3}, {"folds": 5})


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("lrr", "Did you mean config.lr?"),
        ("hiden", "Did you mean config.hidden?"),
        ("folds", "write config.settings['folds']."),
        ("seed", "Did you mean context.seed?"),
        ("items", "Did you mean config.asdict().items()?"),
        ("to_dict", "Did you mean config.asdict()?"),
        ("n_jobs", "Did you mean context.resources.cpus?"),
        ("batch", "it has: lr, hidden"),
    ],
)
def test_a_name_that_no_parameter_has_is_answered_by_the_right_line(name: str, line: str) -> None:
    with pytest.raises(AttributeError) as as_attribute:
        getattr(CONFIG, name)
    with pytest.raises(KeyError) as as_key:
        CONFIG[name]
    assert line in str(as_attribute.value)
    assert line in str(as_key.value)


def test_a_name_that_is_no_text_is_no_parameter_either() -> None:
    with pytest.raises(KeyError, match="it has: lr, hidden"):
        CONFIG[3]  # type: ignore[index]  # what a user may try


def test_asking_whether_a_config_has_something_harms_nothing() -> None:
    assert not hasattr(CONFIG, "items")
    assert CONFIG.get("items", 1) == 1
    assert copy.deepcopy(CONFIG) == CONFIG == pickle.loads(pickle.dumps(CONFIG))


def test_configs_that_hold_arrays_can_be_compared() -> None:
    import numpy as np

    def make(last: int) -> Config:
        return Config.build({"x": np.arange(3), "deep": {"y": [np.array([0, last])]}}, {"s": np.ones(2)})

    assert make(1) == make(1)
    assert make(1) != make(2)
    assert pickle.loads(pickle.dumps(make(1))) == make(1)
