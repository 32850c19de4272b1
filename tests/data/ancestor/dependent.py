"""Matrices that depend on each other, through add_matrix and run_all."""

from memento import CyclicDependency, Memento


def experiment(context, config):
    if hasattr(config, "load"):
        return {"task": config.task, "from": config.load["size"]}
    return {"size": config.size * 10}


memento = Memento(experiment, num_workers=2)
memento.add_matrix({"id": "train", "parameters": {"task": ["a", "b"]}, "dependencies": ["load"]})
memento.add_matrix({"id": "load", "parameters": {"size": [1, 2]}, "dependencies": []})
print("dry run:", memento.run_all(dry_run=True))


def build():
    memento = Memento(experiment, num_workers=2)
    memento.add_matrix({"id": "train", "parameters": {"task": ["a", "b"]}, "dependencies": ["load"]})
    memento.add_matrix({"id": "load", "parameters": {"size": [1, 2]}, "dependencies": []})
    return memento


for _ in range(2):
    results = build().run_all(cache_path="memento.sqlite")
    for id_ in sorted(results):
        for result in results[id_]:
            print(id_, result.inner, result.was_cached)

circle = Memento(experiment)
circle.add_matrix({"id": 1, "parameters": {"size": [1]}, "dependencies": [2]})
circle.add_matrix({"id": 2, "parameters": {"size": [1]}, "dependencies": [1]})
try:
    circle.run_all()
except CyclicDependency as error:
    print("cyclic:", str(error).startswith("Cyclic dependency detected"))
