"""A script that takes its parameters as options, run for each regularization rate.

After run.py and iris_sklearn.py of Microsoft's MachineLearningSamples-Iris
(https://github.com/Azure-Samples/MachineLearningSamples-Iris), written anew. The script itself is iris_script.py.
Lines without imports, comments and figures: 4 there, 4 here.

    python examples/ports/iris_rates.py
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from memento import Memento

SCRIPT = Path(__file__).with_name("iris_script.py")


def accuracy(reg):
    return float(subprocess.check_output([sys.executable, SCRIPT, f"--reg={reg}"], text=True).split()[-1])


print(Memento(accuracy).run({"parameters": {"reg": [10, 1, 0.1, 0.01]}}).to_frame()[["reg", "value"]])
