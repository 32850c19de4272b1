"""Tasks that need GPUs get their own, or shares of one, as far as there are any."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memento.errors import WorkerStartError
from memento.executors.gpus import Device, Seat, assign, find, seats_for, variables
from tests.executors.drivers import GB, nvml_tells, smi_tells

Monkey = pytest.MonkeyPatch
TWO: list[dict[str, Any]] = [
    {"uuid": "GPU-slow-1", "name": "T4", "bus": "00000000:81:00.0", "total": 16 * GB, "free": 15 * GB},
    {"uuid": "GPU-fast-2", "name": "H100", "bus": "00000000:0B:00.0", "total": 80 * GB, "free": 79 * GB},
]
SLICED = {"uuid": "GPU-a", "bus": "1", "mig": [{"uuid": f"MIG-{n}", "total": 5 * GB} for n in range(4)]}
CUDA = "CUDA_VISIBLE_DEVICES"


def visible_gpus(environment: dict[str, str]) -> list[str]:
    """Return the devices that a process may use, as they would stand in ``CUDA_VISIBLE_DEVICES``."""
    return [device.name for device in find(environment).devices]


@pytest.fixture
def bare(monkeypatch: Monkey, tmp_path: Path) -> None:
    """A machine whose driver is not there, as a container may have it."""
    nvml_tells(monkeypatch, tmp_path, init="LibraryNotFound")
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.fixture
def two(monkeypatch: Monkey, tmp_path: Path) -> None:
    """Two GPUs that the driver lists in another order than that of their buses."""
    nvml_tells(monkeypatch, tmp_path, TWO)


# -- which devices there are


@pytest.mark.parametrize(
    ("told", "devices"),
    [
        ("2, 3", ["2", "3"]),
        ("2,-1,3", ["2"]),
        ("-1", []),
        ("", []),
        ("NoDevFiles", []),  # Slurm, in a job without GPUs
        ("1,0,1", ["1", "0"]),
        ("GPU-8932f937-d72c-4106-c12f-20bd9faed9f6", ["GPU-8932f937-d72c-4106-c12f-20bd9faed9f6"]),
        ("MIG-41b3b1a0-04ea,MIG-e2a8", ["MIG-41b3b1a0-04ea", "MIG-e2a8"]),
        ("MIG-GPU-8932f937/1/0", ["MIG-GPU-8932f937/1/0"]),
    ],
)
def test_devices_are_those_that_were_given(bare: None, told: str, devices: list[str]) -> None:
    assert visible_gpus({CUDA: told}) == devices
    assert visible_gpus({CUDA: told, "SLURM_JOB_ID": "7", "SLURM_JOB_GPUS": "4,5"}) == devices


@pytest.mark.parametrize("name", ["HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"])
def test_devices_of_amd_are_those_that_were_given(bare: None, name: str) -> None:
    assert visible_gpus({name: "1,2"}) == ["1", "2"]


def test_where_none_were_given_they_are_found_and_named_by_what_is_theirs_alone(two: None) -> None:
    assert visible_gpus({}) == ["GPU-fast-2", "GPU-slow-1"]


def test_given_devices_are_known_by_number_and_by_the_beginning_of_a_name(two: None) -> None:
    found = find({CUDA: "1,GPU-fast"}).devices
    assert [(one.name, one.label, one.total) for one in found] == [
        ("1", "GPU 1 (T4)", 16 * GB),
        ("GPU-fast", "GPU 0 (H100)", 80 * GB),
    ]


def test_one_device_by_two_names_is_one(two: None) -> None:
    assert visible_gpus({CUDA: "1,GPU-slow,0"}) == ["1", "0"]


def test_numbers_in_an_order_that_only_cuda_knows_say_nothing_of_memory(two: None) -> None:
    (device,) = find({CUDA: "1", "CUDA_DEVICE_ORDER": "FASTEST_FIRST"}).devices
    assert (device.name, device.total) == ("1", None)


def test_slices_are_devices_of_their_own(monkeypatch: Monkey, tmp_path: Path) -> None:
    nvml_tells(monkeypatch, tmp_path, [SLICED])
    assert visible_gpus({}) == ["MIG-0", "MIG-1", "MIG-2", "MIG-3"]
    assert visible_gpus({CUDA: "MIG-2"}) == ["MIG-2"]


@pytest.mark.parametrize(
    "shown", [[{"uuid": "GPU-a", "mig": []}], [{"uuid": "GPU-a"}]], ids=["in MIG mode", "as a whole"]
)
def test_slices_that_slurm_gave_are_taken_though_the_driver_hides_them(
    monkeypatch: Monkey, tmp_path: Path, shown: Any
) -> None:
    nvml_tells(monkeypatch, tmp_path, shown)
    job = {CUDA: "MIG-x,MIG-y", "SLURM_JOB_ID": "7", "SLURM_JOB_GPUS": "0"}
    assert visible_gpus(job) == ["MIG-x", "MIG-y"]
    assert visible_gpus({**job, CUDA: "0"}) == ["0"]


def test_a_device_that_the_driver_does_not_show_is_taken_as_given_and_told(two: None) -> None:
    found = find({CUDA: "0,5"})
    assert [one.name for one in found.devices] == ["0", "5"]
    assert found.left_out == ("5 was given, and is none of the 2 GPUs that the driver shows",)


def test_of_a_node_that_shows_all_a_slurm_job_takes_its_own(two: None) -> None:
    job = {"SLURM_JOB_ID": "7"}
    assert visible_gpus({**job, "SLURM_JOB_GPUS": "1"}) == ["GPU-slow-1"]
    assert visible_gpus({**job, "SLURM_JOB_GPUS": "0,1", "SLURM_STEP_GPUS": "1"}) == ["GPU-slow-1"]
    assert visible_gpus({**job, "SLURM_JOB_GPUS": "6,7"}) == ["GPU-fast-2", "GPU-slow-1"]  # shows only these


def test_a_slurm_job_without_gpus_takes_none_of_those_that_it_sees(two: None) -> None:
    found = find({"SLURM_JOB_ID": "7"})
    assert found.devices == ()
    assert "was given no GPU" in found.left_out[0]


def test_without_a_driver_a_slurm_job_has_what_it_was_given(bare: None) -> None:
    assert visible_gpus({"SLURM_JOB_ID": "7", "SLURM_JOB_GPUS": "2,3"}) == ["2", "3"]


@pytest.mark.parametrize("told", [{}, {CUDA: "0,1"}])
def test_a_lost_device_is_left_out_and_told(
    monkeypatch: Monkey, tmp_path: Path, told: dict[str, str]
) -> None:
    nvml_tells(monkeypatch, tmp_path, [{"uuid": "GPU-a", "memory": "GpuIsLost"}, {"uuid": "GPU-b"}])
    found = find(told)
    assert [one.name for one in found.devices] == ["1" if told else "GPU-b"]
    assert found.left_out == ("GPU 0 (Fake) is left out: GPU is lost",)


def test_nvidia_smi_serves_where_its_library_does_not(monkeypatch: Monkey, tmp_path: Path) -> None:
    smi_tells(monkeypatch, tmp_path, "GPU 0: T4\nGPU 1: T4 (UUID: GPU-b)\n", "1, 16384, 16000\n")
    assert visible_gpus({}) == ["0", "GPU-b"]
    assert len(seats_for(0, 4 * GB, {}).seats) == 4


# -- who gets which


def plain(*names: str) -> list[Device]:
    return [Device(name) for name in names]


def gpus(seats: list[Seat]) -> list[tuple[str, ...]]:
    return [seat.gpus for seat in seats]


def test_each_worker_has_devices_of_its_own_or_its_share() -> None:
    assert gpus(assign(plain("0", "1", "2"), 2)) == [("0", "1")]
    assert gpus(assign(plain("0", "1"), 0.5)) == [("0",), ("1",), ("0",), ("1",)]
    assert gpus(assign(plain("0", "1"), 1, most=1)) == [("0",)]


def test_as_many_tasks_share_a_device_as_have_room_in_what_is_free_of_it() -> None:
    devices = [Device("0", total=40 * GB, free=39 * GB), Device("1", total=40 * GB, free=9 * GB)]
    assert Counter(gpus(assign(devices, 0, 10 * GB))) == {("0",): 3}
    assert Counter(gpus(assign(devices, 0, 9 * GB))) == {("0",): 4, ("1",): 1}
    assert Counter(gpus(assign(devices, 0.5, 9 * GB))) == {("0",): 2, ("1",): 1}
    assert gpus(assign(devices, 1, 20 * GB)) == [("0",)]
    assert gpus(assign(devices, 2, 9 * GB)) == [("0", "1")]


def test_devices_that_others_use_come_last() -> None:
    devices = [Device("0", busy=True), Device("1")]
    assert gpus(assign(devices, 1)) == [("1",), ("0",)]
    assert gpus(assign(devices, 0.5)) == [("1",), ("1",), ("0",), ("0",)]


def test_a_task_has_one_slice_at_most() -> None:
    slices = plain("MIG-a", "MIG-b")
    assert gpus(assign(slices, 1)) == [("MIG-a",), ("MIG-b",)]
    assert gpus(assign(slices, 2)) == []


def test_a_task_is_told_its_share_of_the_memory() -> None:
    (half, _) = assign([Device("0", total=80 * GB, free=70 * GB)], 0.5)
    assert (half.share, half.memory) == (0.5, 40 * GB)
    first, *_ = assign([Device("0", total=80 * GB, free=70 * GB)], 0, 10 * GB)
    assert (first.share, first.memory) == (0.125, 10 * GB)


devices_drawn = st.lists(
    st.tuples(st.integers(1, 100), st.integers(0, 100), st.booleans()), min_size=0, max_size=6
).map(
    lambda drawn: [
        Device(str(number), total=total * GB, free=min(free, total) * GB, busy=busy)
        for number, (total, free, busy) in enumerate(drawn)
    ]
)
shares = st.one_of(st.floats(0.01, 1.0), st.sampled_from([0.0, 0.1, 0.2, 0.25, 0.3, 1 / 3, 0.5, 1, 2, 3]))
memories = st.one_of(st.none(), st.integers(1, 60).map(lambda amount: amount * GB))


@given(devices_drawn, shares, memories, st.integers(1, 40))
def test_no_device_is_given_beyond_its_share_and_none_is_idle_for_which_there_is_a_task(
    devices: list[Device], per_task: float, memory: int | None, most: int
) -> None:
    if not per_task and memory is None:
        memory = GB
    seats = assign(devices, per_task, memory, most)
    assert len(seats) <= most
    tasks = Counter(name for seat in seats for name in seat.gpus)
    used = {device.name: tasks[device.name] for device in devices}
    size = max(int(per_task), 1)
    one_more = []
    for device in devices:
        share = 1.0 if per_task >= 1 else per_task
        count = used[device.name]
        assert count * share <= 1 + 1e-6
        assert memory is None or count * memory <= (device.free or 0)
        fits = (count + 1) * share <= 1 + 1e-9
        if fits and (memory is None or (count + 1) * memory <= (device.free or 0)):
            one_more.append(device)
    assert all(len(set(seat.gpus)) == size for seat in seats)
    if len(seats) < most:  # a device is left over only where a task needs more of them
        assert len(one_more) < size
    busy = [number for number, seat in enumerate(seats) if len(seat.gpus) == 1 and _busy(devices, seat)]
    assert busy == list(range(len(seats) - len(busy), len(seats))) or size > 1
    # However few workers there are, they spread: nobody shares an idle device while another has nobody.
    if size == 1:
        quiet = [seat for seat in seats if not _busy(devices, seat)]
        first = gpus(quiet)[: len(set(gpus(quiet)))]
        assert len(set(first)) == len(first)


def _busy(devices: list[Device], seat: Seat) -> bool:
    return any(device.busy for device in devices if device.name in seat.gpus)


# -- what is said


@pytest.mark.parametrize(
    ("told", "per_task", "memory", "text"),
    [
        ({CUDA: ""}, 1, None, "gpus_per_task=1, and no GPU can be used here: CUDA_VISIBLE_DEVICES='' hides"),
        ({}, 3, None, "there are 2 GPUs here. Write gpus_per_task=2."),
        ({CUDA: "0"}, 2, None, "there is 1 GPU here. Write gpus_per_task=1."),
        ({}, 0, 100 * GB, "GPU 0 (H100) has 79 GB, GPU 1 (T4) has 15 GB. Write gpu_memory='79GB'."),
        ({}, 2, 40 * GB, "Write gpu_memory='15GB'."),
        ({CUDA: "MIG-a,MIG-b"}, 2, None, "one MIG slice only. Write gpus_per_task=1."),
        ({CUDA: "MIG-a"}, 0, GB, "how much memory is free cannot be seen"),
    ],
)
def test_what_cannot_be_had_is_told_with_what_would_be_right(
    two: None, told: dict[str, str], per_task: float, memory: int | None, text: str
) -> None:
    with pytest.raises(WorkerStartError) as caught:
        seats_for(per_task, memory, told)
    assert text in str(caught.value)


def test_a_machine_without_gpus_says_so(bare: None) -> None:
    with pytest.raises(WorkerStartError, match=r"no GPU can be used here: .* gpus_per_task=0 runs without"):
        seats_for(1, None, {})


def test_who_uses_a_device_already_is_told(monkeypatch: Monkey, tmp_path: Path) -> None:
    taken = {"uuid": "GPU-a", "total": 80 * GB, "free": 30 * GB, "pids": [1]}
    nvml_tells(monkeypatch, tmp_path, [taken, {"uuid": "GPU-b"}])
    found = seats_for(1, None, {})
    assert gpus(list(found.seats)) == [("GPU-b",), ("GPU-a",)]
    assert found.notes == ("GPU 0 (Fake) is used by others too (50 GB of it), so its turn comes last",)


def test_a_device_without_room_for_a_task_is_told(monkeypatch: Monkey, tmp_path: Path) -> None:
    nvml_tells(monkeypatch, tmp_path, [*TWO, {"uuid": "GPU-x", "bus": "9", "memory": "NotSupported"}])
    found = seats_for(0, 20 * GB, {})
    assert {seat.gpus for seat in found.seats} == {("GPU-fast-2",)}
    assert found.notes == (
        "GPU 1 (T4) is left out: 15 GB of it are free, and a task needs more",
        "GPU 2 (Fake) is left out: how much of its memory is free cannot be seen",
    )


def test_a_driver_that_does_not_work_is_told_and_given_devices_are_taken(
    monkeypatch: Monkey, tmp_path: Path
) -> None:
    nvml_tells(monkeypatch, tmp_path, init="LibRmVersionMismatch")
    found = seats_for(1, None, {CUDA: "0,1"})
    assert gpus(list(found.seats)) == [("0",), ("1",)]
    assert "version mismatch" in found.notes[0]
    with pytest.raises(WorkerStartError, match=r"no GPU can be used here: NVIDIA's driver says"):
        seats_for(1, None, {})


# -- what a worker sees


def test_a_worker_sees_its_own_devices_in_the_drivers_order() -> None:
    assert variables(Seat(("GPU-b", "GPU-a")), {}) == {CUDA: "GPU-b,GPU-a", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


def test_the_order_that_the_user_has_set_stays() -> None:
    told = {CUDA: "0,1", "CUDA_DEVICE_ORDER": "FASTEST_FIRST"}
    assert variables(Seat(("1",)), told) == {CUDA: "1", "CUDA_DEVICE_ORDER": "FASTEST_FIRST"}


@pytest.mark.parametrize(
    ("told", "sees"),
    [
        ({"ROCR_VISIBLE_DEVICES": "2,3"}, {"ROCR_VISIBLE_DEVICES": "3"}),
        ({"HIP_VISIBLE_DEVICES": "2,3"}, {"HIP_VISIBLE_DEVICES": "3"}),
        # Numbers of HIP count what ROCR leaves, so that stays.
        ({"HIP_VISIBLE_DEVICES": "2,3", "ROCR_VISIBLE_DEVICES": "4,5,6,7"}, {"HIP_VISIBLE_DEVICES": "3"}),
    ],
)
def test_of_amds_variables_the_topmost_is_narrowed(told: dict[str, str], sees: dict[str, str]) -> None:
    assert variables(Seat(("3",)), told) == sees


def test_libraries_that_take_a_whole_device_are_told_of_a_share() -> None:
    found = variables(Seat(("0",), share=0.5), {})
    assert found["XLA_PYTHON_CLIENT_MEM_FRACTION"] == "0.375"
    assert found["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"
    assert variables(Seat(("0",), share=0.5), {"TF_FORCE_GPU_ALLOW_GROWTH": "false"})[
        "TF_FORCE_GPU_ALLOW_GROWTH"
    ] == ("false")
