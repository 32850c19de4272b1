"""TaskManager: priorities, results in the order of adding, errors of wrong use, failing tasks."""

import functools

from memento import (
    TASK_PRIORITY_HIGH,
    TASK_PRIORITY_LOW,
    TASK_PRIORITY_MEDIUM,
    AggregateException,
    TaskManager,
    delayed,
)
from memento.parallel import TaskManager as SameManager


class Point:
    def __init__(self, x):
        self.x = x

    def double(self):
        return self.x * 2


def note(name):
    with open("order.txt", "a") as file:
        file.write(name + "\n")
    return name


manager = TaskManager(workers=1, max_tasks_per_worker=1)
manager.add_task(delayed(note)("low"), priority=TASK_PRIORITY_LOW)
manager.add_task(delayed(note)("high"), TASK_PRIORITY_HIGH)
print(manager.run())
with open("order.txt") as file:
    print(file.read().split())
print(TASK_PRIORITY_HIGH, TASK_PRIORITY_MEDIUM, TASK_PRIORITY_LOW, manager.run())

manager = TaskManager(workers=2)
manager.add_tasks(delayed(lambda x: x + 1)(x) for x in range(5))
manager.add_task(delayed(functools.partial(max, 3))(2))
manager.add_task(delayed(Point(4).double)())
manager.add_task(delayed(Point)(5))
results = manager.run()
print(results[:-1], isinstance(results[-1], Point), results[-1].x)
print(delayed(sum)([1, 2])(), SameManager is TaskManager)

for wrong in ({"callable_": 3}, {"callable_": note, "priority": -1}):
    try:
        manager.add_task(**wrong)
    except (TypeError, ValueError) as error:
        print(type(error).__name__)


def fail(x):
    raise KeyError(x)


manager.add_tasks([delayed(fail)(1), delayed(note)("fine"), delayed(fail)(2)])
try:
    manager.run()
except AggregateException as error:
    print(sorted(repr(e) for e in error.exceptions))
