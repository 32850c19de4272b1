"""Run a plan: the one loop over outcomes, retries, signals, the count of what is done.

Knows: plan, store's run, executor, events. May not know: the public class, the command line.
"""

from memento.runner.loop import Runner
from memento.runner.retry import Retries, Retry, RetryPolicy
from memento.runner.signals import Interrupt

__all__ = ["Interrupt", "Retries", "Retry", "RetryPolicy", "Runner"]
