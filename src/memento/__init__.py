"""Run large sets of experiments: nothing lost, nothing computed twice, every failure explained.

Everything public stands in `__all__` and is imported when it is first used, so that
`import memento` costs next to nothing.

>>> import memento
>>> memento.Config(model="svc").model
'svc'
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memento._version import __version__
from memento.lazily import on_first_use

if TYPE_CHECKING:
    from memento.ancestor.caching import (
        Cache,
        CacheProvider,
        FileSystemCacheProvider,
        MemoryCacheProvider,
        default_key_provider,
    )
    from memento.ancestor.checkpointing import FileSystemCheckpointing
    from memento.ancestor.parallel import (
        TASK_PRIORITY_HIGH,
        TASK_PRIORITY_LOW,
        TASK_PRIORITY_MEDIUM,
        TaskManager,
        delayed,
    )
    from memento.config import Config, Configurations
    from memento.context import Context
    from memento.errors import (
        AggregateException,
        CacheMiss,
        CyclicDependency,
        MementoError,
        RunInterrupted,
    )
    from memento.keys import register_key
    from memento.matrix import Matrix, generate_configurations
    from memento.memento import Memento
    from memento.notify import (
        AppriseNotificationProvider,
        ConsoleNotificationProvider,
        DefaultNotificationProvider,
        EmailNotificationProvider,
        FileSystemNotificationProvider,
        NotificationProvider,
        SmtpConfiguration,
    )
    from memento.results import MemoryUsage, Result, Results, load
    from memento.runner import Retry
    from memento.store.maintenance import forget, gc, retry, verify

_HOMES = {
    "memento.ancestor.caching": (
        "Cache",
        "CacheProvider",
        "FileSystemCacheProvider",
        "MemoryCacheProvider",
        "default_key_provider",
    ),
    "memento.ancestor.checkpointing": ("FileSystemCheckpointing",),
    "memento.ancestor.parallel": (
        "TASK_PRIORITY_HIGH",
        "TASK_PRIORITY_LOW",
        "TASK_PRIORITY_MEDIUM",
        "TaskManager",
        "delayed",
    ),
    "memento.config": ("Config", "Configurations"),
    "memento.context": ("Context",),
    "memento.errors": (
        "AggregateException",
        "CacheMiss",
        "CyclicDependency",
        "MementoError",
        "RunInterrupted",
    ),
    "memento.keys": ("register_key",),
    "memento.matrix": ("Matrix", "generate_configurations"),
    "memento.memento": ("Memento",),
    "memento.notify": (
        "AppriseNotificationProvider",
        "ConsoleNotificationProvider",
        "DefaultNotificationProvider",
        "EmailNotificationProvider",
        "FileSystemNotificationProvider",
        "NotificationProvider",
        "SmtpConfiguration",
    ),
    "memento.results": ("MemoryUsage", "Result", "Results", "load"),
    "memento.runner": ("Retry",),
    "memento.store.maintenance": ("forget", "gc", "retry", "verify"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "TASK_PRIORITY_HIGH",
    "TASK_PRIORITY_LOW",
    "TASK_PRIORITY_MEDIUM",
    "AggregateException",
    "AppriseNotificationProvider",
    "Cache",
    "CacheMiss",
    "CacheProvider",
    "Config",
    "Configurations",
    "ConsoleNotificationProvider",
    "Context",
    "CyclicDependency",
    "DefaultNotificationProvider",
    "EmailNotificationProvider",
    "FileSystemCacheProvider",
    "FileSystemCheckpointing",
    "FileSystemNotificationProvider",
    "Matrix",
    "Memento",
    "MementoError",
    "MemoryCacheProvider",
    "MemoryUsage",
    "NotificationProvider",
    "Result",
    "Results",
    "Retry",
    "RunInterrupted",
    "SmtpConfiguration",
    "TaskManager",
    "__version__",
    "default_key_provider",
    "delayed",
    "forget",
    "gc",
    "generate_configurations",
    "load",
    "register_key",
    "retry",
    "verify",
]

__getattr__ = on_first_use(__name__, _HOME_OF)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
