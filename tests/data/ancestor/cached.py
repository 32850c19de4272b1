"""Results that are kept: cache_path, MEMENTO_CACHE_PATH, force_run and force_cache."""

import os

from memento import CacheMiss, Memento
from memento.exceptions import CacheMiss as SameCacheMiss


def experiment(context, config):
    with open("calls.txt", "a") as file:
        file.write(f"{config.x}\n")
    return config.x**2


def run(xs, **options):
    results = Memento(experiment, num_workers=2).run({"parameters": {"x": xs}}, **options)
    print([r.inner for r in results], [r.was_cached for r in results])


run([1, 2], cache_path="first.sqlite")
run([1, 2, 3], cache_path="first.sqlite")
run([1, 2, 3], cache_path="first.sqlite", force_cache=True)
run([1, 2, 3], cache_path="first.sqlite", force_run=True)
try:
    run([1, 4], cache_path="first.sqlite", force_cache=True)
except CacheMiss as miss:
    print(str(miss).startswith("Config {'x': '4'} was not found in the cache"), CacheMiss is SameCacheMiss)

run([5], cache_path="second.sqlite")
run([1], cache_path="second.sqlite")

os.environ["MEMENTO_CACHE_PATH"] = "third.sqlite"
run([1])
run([1])
run([1], cache_path="second.sqlite")

with open("calls.txt") as file:
    print(sorted(file.read().split()))
