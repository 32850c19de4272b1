"""Give every value a digest, every task a key, and every version of the user's code a name.

Knows: values, their digests, source code. May not know: matrices, stores, plans.

Names are imported on first use: a worker that only asks for the script's name does not load what reads source code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memento.lazily import on_first_use

if TYPE_CHECKING:
    from memento.keys.code_diff import explain_code
    from memento.keys.code_versions import CodeVersion, code_version, combined, value_code
    from memento.keys.experiment_names import experiment_name, is_named_by_code
    from memento.keys.names import qualified_name
    from memento.keys.project_files import SCRIPT_ATTRIBUTE, Script, script, script_folder
    from memento.keys.readable import described, json_fragment
    from memento.keys.task_key import VERSION, TaskKeys, part, renamed_keys, repeat_part, task_digest
    from memento.keys.value_digest import digest, register_key

__all__ = [
    "SCRIPT_ATTRIBUTE", "VERSION", "CodeVersion", "Script", "TaskKeys", "code_version", "combined", "described",
    "digest", "experiment_name", "explain_code", "is_named_by_code", "json_fragment", "part", "qualified_name",
    "register_key", "renamed_keys", "repeat_part", "script", "script_folder", "task_digest", "value_code",
]  # fmt: skip

_HOMES = {
    "code_diff": "explain_code",
    "code_versions": "CodeVersion code_version combined value_code",
    "experiment_names": "experiment_name is_named_by_code",
    "names": "qualified_name",
    "project_files": "SCRIPT_ATTRIBUTE Script script script_folder",
    "readable": "described json_fragment",
    "task_key": "VERSION TaskKeys part renamed_keys repeat_part task_digest",
    "value_digest": "digest register_key",
}

__getattr__ = on_first_use(
    __name__, {name: f"{__name__}.{home}" for home, names in _HOMES.items() for name in names.split()}
)
