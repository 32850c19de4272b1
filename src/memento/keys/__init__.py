"""Give every value a digest, every task a key, and every version of the user's code a name.

Knows: values, their digests, source code. May not know: matrices, stores, plans.
"""

from __future__ import annotations

from memento.keys.code import CodeVersion, code_version, explain_code
from memento.keys.fragments import json_fragment
from memento.keys.kinds import digest, register_key
from memento.keys.names import SCRIPT_ATTRIBUTE, experiment_name, qualified_name, script_name
from memento.keys.task import VERSION, TaskKeys, part, repeat_part, task_digest

__all__ = [
    "SCRIPT_ATTRIBUTE",
    "VERSION",
    "CodeVersion",
    "TaskKeys",
    "code_version",
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
