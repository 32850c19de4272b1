"""Run large sets of experiments: nothing lost, nothing computed twice, every failure explained.

Everything public stands in `__all__` and is imported when it is first used, so that
`import memento` costs next to nothing.

>>> import memento
>>> memento.Config(model="svc").model
'svc'
"""

from __future__ import annotations

from memento._version import __version__
from memento.lazily import on_first_use

# For type checkers, which know this name whoever sets it: to import `typing` takes longer than all else here.
TYPE_CHECKING = False
# `X as X` says to them that X is public. A test compares it with the table.
if TYPE_CHECKING:
    from memento.caching import Cache as Cache
    from memento.caching import CacheProvider as CacheProvider
    from memento.caching import FileSystemCacheProvider as FileSystemCacheProvider
    from memento.caching import FileSystemCheckpointing as FileSystemCheckpointing
    from memento.caching import MemoryCacheProvider as MemoryCacheProvider
    from memento.caching import default_key_provider as default_key_provider
    from memento.commands.command import command as command
    from memento.config import Config as Config
    from memento.config import Configurations as Configurations
    from memento.context.context import Context as Context
    from memento.errors import AggregateException as AggregateException
    from memento.errors import CacheMiss as CacheMiss
    from memento.errors import CommandFailed as CommandFailed
    from memento.errors import CyclicDependency as CyclicDependency
    from memento.errors import MementoError as MementoError
    from memento.errors import RunInterrupted as RunInterrupted
    from memento.keys.value_digest import register_key as register_key
    from memento.matrix.matrix import Matrix as Matrix
    from memento.matrix.matrix import generate_configurations as generate_configurations
    from memento.matrix.ranges import Linear as Linear
    from memento.matrix.ranges import Log as Log
    from memento.matrix.ranges import Range as Range
    from memento.memento import Memento as Memento
    from memento.notify.apprise import AppriseNotificationProvider as AppriseNotificationProvider
    from memento.notify.base import ConsoleNotificationProvider as ConsoleNotificationProvider
    from memento.notify.base import DefaultNotificationProvider as DefaultNotificationProvider
    from memento.notify.base import FileSystemNotificationProvider as FileSystemNotificationProvider
    from memento.notify.base import NotificationProvider as NotificationProvider
    from memento.notify.email import EmailNotificationProvider as EmailNotificationProvider
    from memento.notify.email import SmtpConfiguration as SmtpConfiguration
    from memento.parallel import TASK_PRIORITY_HIGH as TASK_PRIORITY_HIGH
    from memento.parallel import TASK_PRIORITY_LOW as TASK_PRIORITY_LOW
    from memento.parallel import TASK_PRIORITY_MEDIUM as TASK_PRIORITY_MEDIUM
    from memento.parallel import TaskManager as TaskManager
    from memento.parallel import delayed as delayed
    from memento.results.loading import load as load
    from memento.results.result import MemoryUsage as MemoryUsage
    from memento.results.result import Result as Result
    from memento.results.results import Results as Results
    from memento.runner.remote_control import control as control
    from memento.runner.retry import Retry as Retry
    from memento.store.maintenance import forget as forget
    from memento.store.maintenance import gc as gc
    from memento.store.maintenance import merge as merge
    from memento.store.maintenance import retry as retry
    from memento.store.maintenance import sizes as sizes
    from memento.store.maintenance import verify as verify
    from memento.values.codecs import Codec as Codec
    from memento.values.encoding import register_codec as register_codec

_HOMES = {
    "memento.caching": "Cache CacheProvider FileSystemCacheProvider FileSystemCheckpointing MemoryCacheProvider "
    "default_key_provider",
    "memento.commands.command": "command",
    "memento.config": "Config Configurations",
    "memento.context.context": "Context",
    "memento.errors": "AggregateException CacheMiss CommandFailed CyclicDependency MementoError RunInterrupted",
    "memento.keys.value_digest": "register_key",
    "memento.matrix.matrix": "Matrix generate_configurations",
    "memento.matrix.ranges": "Linear Log Range",
    "memento.memento": "Memento",
    "memento.notify.apprise": "AppriseNotificationProvider",
    "memento.notify.base": "ConsoleNotificationProvider DefaultNotificationProvider FileSystemNotificationProvider "
    "NotificationProvider",
    "memento.notify.email": "EmailNotificationProvider SmtpConfiguration",
    "memento.parallel": "TASK_PRIORITY_HIGH TASK_PRIORITY_LOW TASK_PRIORITY_MEDIUM TaskManager delayed",
    "memento.results.loading": "load",
    "memento.results.result": "MemoryUsage Result",
    "memento.results.results": "Results",
    "memento.runner.remote_control": "control",
    "memento.runner.retry": "Retry",
    "memento.store.maintenance": "forget gc merge retry sizes verify",
    "memento.values.codecs": "Codec",
    "memento.values.encoding": "register_codec",
}

__getattr__, __all__ = on_first_use(__name__, _HOMES)
__all__ += ["__version__"]


def __dir__() -> list[str]:
    return sorted(__all__)
