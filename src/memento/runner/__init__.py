"""Run a plan: the one loop over outcomes, retries, signals, the count of what is done.

Knows: plan, store's run, executor, events. May not know: the public class, the command line.

Names are imported on first use: a run whose results are all there needs no loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memento.lazily import on_first_use

if TYPE_CHECKING:
    from memento.runner.loop import Runner
    from memento.runner.remote_control import Control, control
    from memento.runner.retry import Retries, Retry, RetryPolicy
    from memento.runner.signals import Interrupt

__all__ = [
    "Control",
    "Interrupt",
    "Retries",
    "Retry",
    "RetryPolicy",
    "Runner",
    "control",
]

_HOMES = {
    "Control": "memento.runner.remote_control",
    "Interrupt": "memento.runner.signals",
    "Retries": "memento.runner.retry",
    "Retry": "memento.runner.retry",
    "RetryPolicy": "memento.runner.retry",
    "Runner": "memento.runner.loop",
    "control": "memento.runner.remote_control",
}

__getattr__ = on_first_use(__name__, _HOMES)
