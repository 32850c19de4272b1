"""Give every value a digest, every task a key, and every version of the user's code a name.

Knows: values, their digests, source code. May not know: matrices, stores, plans.

Names are imported on first use: a worker that only asks for the script's name does not load what reads source code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memento.lazily import on_first_use

if TYPE_CHECKING:
    from memento.keys.changes import explain_code
    from memento.keys.code import CodeVersion, code_version, combined, value_code
    from memento.keys.experiments import experiment_name, is_named_by_code
    from memento.keys.fragments import described, json_fragment
    from memento.keys.kinds import digest, register_key
    from memento.keys.names import qualified_name
    from memento.keys.places import SCRIPT_ATTRIBUTE, Script, script, script_folder
    from memento.keys.task import VERSION, TaskKeys, part, renamed_keys, repeat_part, task_digest

__all__ = [
    "SCRIPT_ATTRIBUTE",
    "VERSION",
    "CodeVersion",
    "Script",
    "TaskKeys",
    "code_version",
    "combined",
    "described",
    "digest",
    "experiment_name",
    "explain_code",
    "is_named_by_code",
    "json_fragment",
    "part",
    "qualified_name",
    "register_key",
    "renamed_keys",
    "repeat_part",
    "script",
    "script_folder",
    "task_digest",
    "value_code",
]

_HOMES = {
    "SCRIPT_ATTRIBUTE": "memento.keys.places",
    "VERSION": "memento.keys.task",
    "CodeVersion": "memento.keys.code",
    "Script": "memento.keys.places",
    "TaskKeys": "memento.keys.task",
    "code_version": "memento.keys.code",
    "combined": "memento.keys.code",
    "described": "memento.keys.fragments",
    "digest": "memento.keys.kinds",
    "experiment_name": "memento.keys.experiments",
    "explain_code": "memento.keys.changes",
    "is_named_by_code": "memento.keys.experiments",
    "json_fragment": "memento.keys.fragments",
    "part": "memento.keys.task",
    "qualified_name": "memento.keys.names",
    "register_key": "memento.keys.kinds",
    "renamed_keys": "memento.keys.task",
    "repeat_part": "memento.keys.task",
    "script": "memento.keys.places",
    "script_folder": "memento.keys.places",
    "task_digest": "memento.keys.task",
    "value_code": "memento.keys.code",
}

__getattr__ = on_first_use(__name__, _HOMES)
