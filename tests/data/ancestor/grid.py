"""A grid with settings and exclude, a dry run, metrics and results: after 1.2.0's README."""

import logging
from decimal import Decimal
from fractions import Fraction

from memento import Config, Configurations, Context, Memento, generate_configurations


def fit(model, dataset):
    return int(len(dataset) * model)


def experiment(context: Context, config: Config):
    classifier = config.model(config.settings["rate"])
    context.record({"loss": 0.5})
    context.record({"loss": (1.0, 0.25), "size": (2.0, 3.0)})
    return fit(classifier, config.dataset)


matrix = {
    "parameters": {"model": [Fraction, Decimal], "dataset": ["iris", "mnist"]},
    "settings": {"rate": 2},
    "exclude": [{"model": Decimal, "dataset": "mnist"}],
}

configs = generate_configurations(matrix)
print(isinstance(configs, Configurations), len(configs), configs.settings, configs[0].dataset)
for config in configs:
    print(
        config, config.settings["rate"], config.asdict() == {"model": config.model, "dataset": config.dataset}
    )


class Lines(logging.Handler):
    def emit(self, record):
        if record.getMessage().startswith("  {"):
            print(record.getMessage().partition("}")[0])


handler = Lines()
logging.getLogger("memento").addHandler(handler)
logging.getLogger("memento").setLevel(logging.INFO)
print("dry run:", Memento(experiment).run(matrix, dry_run=True))
logging.getLogger("memento").removeHandler(handler)

results = Memento(experiment, num_workers=2).run(matrix)
for result in results:
    print(result.config.model.__name__, result.config.dataset, result.inner, result.was_cached)
    print(result.metrics["loss"]["y"].tolist(), list(result.metrics["loss"].columns))
    print(result.runtime.total_seconds() >= 0, result.start_time.year > 2000)
print(max(result.inner for result in results), len(results), results[-1].inner)
