"""A matrix in a YAML file: conditional parameters, parameters that advance together, repeats.

Shows: `when`, `zip` and `repeats` (conditional_grid.yaml explains them line by line), `context.seed`, and
`summary`: mean, spread and 95 % interval over the repeats.

    pip install memento-ml[demo]
    python examples/conditional_grid.py
"""

from __future__ import annotations

import warnings
from pathlib import Path

from sklearn.datasets import make_moons
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from memento import Config, Context, Memento


def experiment(context: Context, config: Config) -> float:
    parameters = config.asdict()
    model = parameters.pop("model")(**parameters)
    if "random_state" in model.get_params():
        model.set_params(random_state=context.seed % 2**32)
    X, y = make_moons(
        n_samples=config.settings["points"], noise=config.settings["noise"], random_state=config.repeat
    )
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.5, random_state=config.repeat)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X_train, y_train)
    return model.score(X_test, y_test)


results = Memento(experiment).run(Path(__file__).with_name("conditional_grid.yaml"))

print(results.summary().round(3).to_string(index=False, na_rep="-"))
print(f"{sum(result.was_cached for result in results)} of {len(results)} results were there already.")
