"""Runtimes are expected from those of similar configurations."""

from __future__ import annotations

import json
import math

import pytest

from memento.plan.runtime_forecast import fit_costs


def test_the_model_finds_effects_that_multiply() -> None:
    seconds = {"svc": 1.0, "forest": 20.0}
    scale = {"small": 1.0, "large": 10.0}
    past = [
        (json.dumps({"model": m, "data": d}), s * t) for m, s in seconds.items() for d, t in scale.items()
    ] * 20
    fitted = fit_costs(past, ["model", "data"], [['"svc"', '"forest"'], ['"small"', '"large"']])
    assert fitted is not None
    mean, (model, data) = fitted
    assert math.exp(mean + model[1] + data[1]) == pytest.approx(200.0, rel=0.1)
    assert math.exp(mean + model[0] + data[0]) == pytest.approx(1.0, rel=0.1)


def test_an_unknown_value_is_expected_to_be_like_the_mean() -> None:
    fitted = fit_costs([('{"n": 1}', 2.0)] * 10, ["n"], [["99"]])
    assert fitted is not None
    mean, (effects,) = fitted
    assert math.exp(mean + effects[0]) == pytest.approx(2.0)


def test_without_a_past_nothing_is_said() -> None:
    assert fit_costs([], ["n"], [["1"]]) is None


def test_parameters_that_are_no_json_do_no_harm() -> None:
    assert fit_costs([("not json", 1.0), ("[1]", 1.0)], ["n"], [["1"]]) is not None
