"""Caches of functions: the decorator, the providers, one's own provider and keys, several processes."""

from memento import (
    Cache,
    CacheProvider,
    FileSystemCacheProvider,
    MemoryCacheProvider,
    TaskManager,
    default_key_provider,
    delayed,
)


def square(x, power=2):
    print("computing", x)
    return x**power


@Cache
def cube(x):
    print("computing", x)
    return x**3


print(cube(2), cube(2), cube(3))

cached = Cache(square, cache_provider=MemoryCacheProvider())
print(cached(2), cached(2), cached(2, power=3), cached(2, force_run=True))
try:
    cached(9, force_cache=True)
except KeyError:
    print("missing")

provider = FileSystemCacheProvider(filepath="calls.sqlite", table_name="squares")
print(Cache(square, provider)(5))
again = FileSystemCacheProvider(filepath="calls.sqlite", table_name="squares")
print(Cache(square, again)(5))
provider["key"] = {"a": 1}
print("key" in again, again["key"], again.contains("other"))
try:
    again.get("other")
except KeyError:
    print("KeyError")
with provider as database:
    print(database.execute("SELECT count(*) FROM squares").fetchone())
print(
    str(provider).startswith("Filesystem cache, using"),
    default_key_provider(max, 1) == default_key_provider(max, 1),
)


class Named(CacheProvider):
    """A provider of one's own."""

    def __init__(self):
        self.values = {}

    def __str__(self):
        return "named"

    def get(self, key):
        return self.values[key]

    def set(self, key, item):
        self.values[key] = item

    def contains(self, key):
        return key in self.values

    def make_key(self, func, *args, **kwargs):
        return f"{func.__name__} {args}"


named = Named()
print(Cache(square, named)(6), named.values)
memory = MemoryCacheProvider({"a": 1}, key_provider=lambda func, *args, **kwargs: args[0])
print(memory["a"], "b" in memory, memory.make_key(square, "k"))

shared = Cache(lambda x: x + 1, cache_provider=FileSystemCacheProvider())
manager = TaskManager(workers=2)
manager.add_tasks(delayed(shared)(1) for _ in range(6))
print(manager.run())
