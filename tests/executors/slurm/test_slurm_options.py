"""What is asked of Slurm is checked before anything is submitted; submitit's names are understood."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memento.executors import Slurm
from memento.executors.slurm.script import JobRequest, batch_script
from memento.executors.slurm.slurm_options import SlurmOptions, read_options


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"slurm_partition": "gpu"}, {"partition": "gpu"}),
        ({"timeout_min": 90}, {"time": 5400.0}),
        ({"slurm_time": 60}, {"time": 3600.0}),
        ({"slurm_time": "1-00:00:00"}, {"time": 86_400.0}),
        ({"mem_gb": 8}, {"mem": 8_000_000_000}),
        ({"slurm_mem": "8GB"}, {"mem": 8_000_000_000}),
        ({"slurm_array_parallelism": 7}, {"max_jobs": 7}),
        ({"gpus_per_node": 2}, {"gpus_per_task": 2.0}),
        ({"slurm_gpus_per_task": 1}, {"gpus_per_task": 1.0}),
        ({"slurm_setup": ["module load x"]}, {"setup": ("module load x",)}),
        ({"slurm_job_name": "mine"}, {"name": "mine"}),
        ({"nodes": 1, "tasks_per_node": 1, "stderr_to_stdout": True}, {}),
        ({"slurm_comment": "hello there"}, {"extra": (("comment", "hello there"),)}),
        (
            {"slurm_additional_parameters": {"mail_type": "END", "exclusive": True}},
            {"extra": (("mail-type", "END"), ("exclusive", None))},
        ),
        ({"exclude": ["n1", "n2"]}, {"exclude": "n1,n2"}),
    ],
)
def test_submitits_names_are_understood(given: dict[str, Any], found: dict[str, Any]) -> None:
    assert read_options(given) == SlurmOptions(**found)


@pytest.mark.parametrize(
    ("time", "seconds"),
    [
        ("4h", 14_400),
        ("90min", 5_400),
        ("1h30m", 5_400),
        ("04:00:00", 14_400),
        ("30:00", 1_800),
        ("2-0", 172_800),
        ("1-06:30", 109_800),
        (timedelta(hours=2), 7_200),
    ],
)
def test_a_time_is_read_as_people_and_as_slurm_write_it(time: Any, seconds: int) -> None:
    assert read_options({"time": time}).time == seconds


@pytest.mark.parametrize(
    ("given", "error", "told"),
    [
        ({"partion": "gpu"}, TypeError, "Did you mean 'partition'"),
        ({"max_job": 3}, TypeError, "Did you mean 'max_jobs'"),
        ({"slurm_partitoin": "gpu"}, TypeError, "Did you mean 'slurm_partition'"),
        ({"mail_type": "END"}, TypeError, r"extra=\{'mail-type': \.\.\.\}"),
        ({"partition": "a", "slurm_partition": "b"}, TypeError, "leave one out"),
        ({"partition": ""}, ValueError, "partition"),
        ({"partition": "a\n#SBATCH --account=other"}, ValueError, "newline"),
        ({"account": 'a"b'}, ValueError, "quotes"),
        ({"constraint": "$(rm)"}, ValueError, r"\$"),
        ({"time": 90}, ValueError, "time='90min'"),
        ({"time": "90"}, ValueError, "'4h'"),
        ({"time": "30s"}, ValueError, "1min or more"),
        ({"time": "soon"}, ValueError, "'4h'"),
        ({"mem": "8"}, ValueError, "lacks a unit"),
        ({"mem": 8}, ValueError, "'8GB'"),
        ({"max_jobs": 0}, ValueError, "1 or more"),
        ({"max_jobs": 2.5}, ValueError, "whole number"),
        ({"tasks_per_job": True}, ValueError, "whole number"),
        ({"gpus_per_task": 1.5}, ValueError, "fraction below 1"),
        ({"nodes": 2}, ValueError, "one node"),
        ({"setup": ["#SBATCH --exclusive"]}, ValueError, "extra="),
        ({"name": "my job"}, ValueError, "letters"),
        ({"extra": ["--exclusive"]}, ValueError, "dict"),
        ({"extra": {"array": "0-9"}}, ValueError, "sets --array itself"),
        ({"extra": {"partition": "gpu"}}, ValueError, r"Slurm\(partition='gpu'\)"),
        ({"extra": {"comment": "a\nb"}}, ValueError, "newline"),
        ({"extra": {"a b": "c"}}, ValueError, "long name"),
        ({"extra": {"exclusive": False}}, ValueError, "True stands for"),
    ],
)
def test_what_slurm_could_not_take_is_told_with_what_would_be_right(
    given: dict[str, Any], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        Slurm(**given)


@given(
    st.sampled_from(["partition", "account", "qos", "constraint", "nodelist", "exclude", "gpu_type"]),
    st.text(max_size=30),
)
def test_no_value_adds_a_line_or_a_command_to_a_script(name: str, value: str) -> None:
    try:
        options = read_options({name: value, "extra": {"comment": value}})
    except ValueError:
        return
    request = JobRequest("memento-1", ["python"], ["p1"], cpus=1, gpus=1)
    plain = batch_script(read_options({name: "x", "extra": {"comment": "x"}}), request)
    lines = batch_script(options, request).split("\n")
    assert len(lines) == len(plain.split("\n"))
    assert [line for line in lines if not line.startswith("#")] == [
        line for line in plain.split("\n") if not line.startswith("#")
    ]


def test_how_many_tasks_run_at_once_follows_from_jobs() -> None:
    assert Slurm().at_once == 40
    assert Slurm(max_jobs=3, tasks_per_job=8).at_once == 24
