"""Give every value a digest, every task a key, and every version of the user's code a name.

Knows: values, their digests, source code. May not know: matrices, stores, plans.

Names are imported on first use: a worker that only asks for the script's name does not load what reads source code.
"""

from __future__ import annotations

from memento.hints import TYPE_CHECKING
from memento.lazily import on_first_use

if TYPE_CHECKING:
    from memento.keys.code import CodeVersion, code_version, explain_code
    from memento.keys.experiments import experiment_name
    from memento.keys.fragments import described, json_fragment
    from memento.keys.kinds import digest, register_key
    from memento.keys.names import SCRIPT_ATTRIBUTE, qualified_name, script_name
    from memento.keys.task import VERSION, TaskKeys, part, repeat_part, task_digest

__all__ = [
    "SCRIPT_ATTRIBUTE",
    "VERSION",
    "CodeVersion",
    "TaskKeys",
    "code_version",
    "described",
    "digest",
    "experiment_name",
    "explain_code",
    "json_fragment",
    "part",
    "qualified_name",
    "register_key",
    "repeat_part",
    "script_name",
    "task_digest",
]

_HOMES = {
    "SCRIPT_ATTRIBUTE": "memento.keys.names",
    "VERSION": "memento.keys.task",
    "CodeVersion": "memento.keys.code",
    "TaskKeys": "memento.keys.task",
    "code_version": "memento.keys.code",
    "described": "memento.keys.fragments",
    "digest": "memento.keys.kinds",
    "experiment_name": "memento.keys.experiments",
    "explain_code": "memento.keys.code",
    "json_fragment": "memento.keys.fragments",
    "part": "memento.keys.task",
    "qualified_name": "memento.keys.names",
    "register_key": "memento.keys.kinds",
    "repeat_part": "memento.keys.task",
    "script_name": "memento.keys.names",
    "task_digest": "memento.keys.task",
}

__getattr__ = on_first_use(__name__, _HOMES)
