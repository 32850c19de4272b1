"""A script that takes its parameters as options, run for each regularization rate.

After run.py and iris_sklearn.py of Microsoft's MachineLearningSamples-Iris
(https://github.com/Azure-Samples/MachineLearningSamples-Iris), written anew. The script itself is iris_script.py.
Lines without imports, comments and figures: 4 there, 3 here.

    python examples/ports/iris_rates.py
"""

from __future__ import annotations

from pathlib import Path

import memento

script = memento.command(["python", Path(__file__).with_name("iris_script.py"), "--reg", "{reg}"])
results = memento.Memento(script).run({"parameters": {"reg": [1, 0.1, 0.01]}})
print(results.to_frame()[["reg", "accuracy"]].to_string(index=False))
