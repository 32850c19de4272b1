"""Ask the operating system; the one place in which operating systems differ."""

from memento.system.files import (
    absolute,
    disk_space,
    fsync_folder,
    is_network_path,
    map_private,
    out_of_reach,
    punch_hole,
    start_writing,
    try_lock,
    unlock,
)
from memento.system.memory import (
    PeakReset,
    cpu_and_peak_reader,
    memory_left,
    oom_kills,
    peak_memory,
    peak_of,
    tree_mapped_memory,
    tree_memory,
    tree_own_memory,
    virtual_memory,
)
from memento.system.platform import (
    LINUX,
    MACOS,
    WINDOWS,
    boot_identity,
    hostname,
    machine,
    person,
    platform_name,
    read_text,
)
from memento.system.process import (
    adopt_orphans,
    can_fork,
    descendants,
    die_with,
    has_children,
    is_alive,
    is_marked_gone,
    is_resource_tracker,
    is_stopped,
    kill_marked,
    kill_tree,
    outlive_parent,
    own_mark,
    process_start,
    program_start,
    signal_group,
    thread_count,
)

# fmt: off
__all__ = [
    "LINUX", "MACOS", "WINDOWS", "PeakReset", "absolute", "adopt_orphans", "boot_identity", "can_fork",
    "cpu_and_peak_reader", "descendants", "die_with", "disk_space", "fsync_folder", "has_children", "hostname",
    "is_alive", "is_marked_gone", "is_network_path", "is_resource_tracker", "is_stopped", "kill_marked",
    "kill_tree", "machine", "map_private", "memory_left", "oom_kills", "out_of_reach", "outlive_parent",
    "own_mark", "peak_memory", "peak_of", "person", "platform_name", "process_start", "program_start",
    "punch_hole", "read_text", "signal_group", "start_writing", "thread_count", "tree_mapped_memory", "tree_memory",
    "tree_own_memory", "try_lock", "unlock", "virtual_memory",
]
# fmt: on
