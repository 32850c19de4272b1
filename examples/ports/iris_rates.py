"""A script that takes its parameters as options, run for each regularization rate.

After run.py and iris_sklearn.py of Microsoft's MachineLearningSamples-Iris
(https://github.com/Azure-Samples/MachineLearningSamples-Iris), written anew. The script itself is iris_script.py.
Lines without imports, comments and figures: LINES there, LINES here.

    python examples/ports/iris_rates.py
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from memento import Memento


def accuracy(reg):
    command = [sys.executable, Path(__file__).with_name("iris_script.py"), f"--reg={reg}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


results = Memento(accuracy).run({"parameters": {"reg": [10, 1, 0.1, 0.01]}})
print(results.to_frame()[["reg", "value"]].to_string(index=False))
