"""A task that raises: the others finish, and the exceptions come back together."""

from memento import AggregateException, Memento


def experiment(context, config):
    if config.x == 2:
        raise ValueError("two is bad")
    return config.x


try:
    Memento(experiment, num_workers=2).run({"parameters": {"x": [1, 2, 3]}}, cache_path="memento.sqlite")
except AggregateException as error:
    print([type(e).__name__ for e in error.exceptions], [str(e) for e in error.exceptions])
    print("ValueError: two is bad" in str(error))

results = Memento(experiment).run({"parameters": {"x": [1, 3]}}, cache_path="memento.sqlite")
print([r.inner for r in results], [r.was_cached for r in results])
