"""Two matrices, the second of which works on the results of the first.

Shows: `add_matrix` and `run_all`. Every simulated data set is a task; every fit gets one of them as a parameter
and is known by the *task* that made it. Change how data sets are simulated and only what depends on them runs.

    python examples/dependent_matrices.py
"""

from __future__ import annotations

import numpy as np

from memento import Config, Context, Memento

simulate = {
    "id": "simulated",
    "parameters": {"noise": [0.05, 0.2, 0.8], "points": [20, 200]},
}
fit = {
    "id": "fitted",
    "dependencies": ["simulated"],  # config.simulated is the result of one task above
    "parameters": {"degree": [1, 3, 5, 9]},
}


def truth(x):
    return np.sin(3 * x)


def experiment(context: Context, config: Config):
    if "degree" not in config:
        x = context.rng.uniform(-1, 1, size=config.points)
        y = truth(x) + context.rng.normal(scale=config.noise, size=config.points)
        return {"noise": config.noise, "points": config.points, "x": x, "y": y}
    data = config.simulated
    polynomial = np.polynomial.Polynomial.fit(data["x"], data["y"], config.degree, domain=[-1, 1])
    grid = np.linspace(-1, 1, 200)
    error = float(np.sqrt(np.mean((polynomial(grid) - truth(grid)) ** 2)))
    return {"noise": data["noise"], "points": data["points"], "error": error}


memento = Memento(experiment)
memento.add_matrix(fit)  # the order does not matter
memento.add_matrix(simulate)
results = memento.run_all()

frame = results["fitted"].to_frame()
table = frame.pivot_table(index=["points", "noise"], columns="degree", values="error")
print("Distance of the fitted polynomial from the truth\n")
print(table.round(3).to_string())
cached = sum(result.was_cached for of_one in results.values() for result in of_one)
print(f"{cached} of {sum(map(len, results.values()))} results were there already.")
