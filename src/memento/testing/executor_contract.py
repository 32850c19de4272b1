"""What every executor must do, as tests: a new executor passes them before it is used.

Knows: the executor's contract. May not know: any one executor.

    class TestMine(ExecutorContract):
        @pytest.fixture
        def executor(self): return Mine()

What an executor declares of itself (`isolates`, `preempts`, `resizable`, ...) decides which promises are asked of it.
Where its tasks have places that can end, override `take_place_away`; where they outlive the coordinator, `program`.
"""

from __future__ import annotations

from memento.testing.executor_ends import EndTests
from memento.testing.executor_outcomes import OutcomeTests
from memento.testing.executor_runs import RunTests
from memento.testing.executor_steering import SteeringTests


class ExecutorContract(OutcomeTests, EndTests, SteeringTests, RunTests):
    """The promises; override `executor`."""
