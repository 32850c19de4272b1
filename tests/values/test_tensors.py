"""PyTorch's tensors come back as they were, from their own memory."""

from __future__ import annotations

import io
import pickle
import warnings
from pathlib import Path
from typing import Any

import pytest

from memento.values import pickling, shared_files, store_serializer
from memento.values.checkpoints import CheckpointDir
from memento.values.encoding import decode, encode
from memento.values.payloads import PayloadDir
from memento.values.pickling import dumps_value, loads_value
from memento.values.torch_storages import reduce_storage

torch: Any = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")

BIG = 10_000  # well over what stands inside the pickle


@pytest.fixture
def checkpoints(tmp_path: Path) -> CheckpointDir:
    return CheckpointDir(tmp_path / "checkpoints", "00")


def there_and_back(value: Any, checkpoints: CheckpointDir) -> Any:
    checkpoints.save((value,))
    return checkpoints.load()[0][0]


TENSORS = {
    "plain": lambda: torch.arange(float(BIG)),
    "small": lambda: torch.arange(6.0).reshape(2, 3),
    "scalar": lambda: torch.tensor(3),
    "empty": lambda: torch.zeros(0, 3),
    "bfloat16": lambda: torch.arange(float(BIG)).to(torch.bfloat16),
    "float8": lambda: torch.arange(8.0).to(torch.float8_e4m3fn),
    "bool": lambda: torch.arange(BIG) % 3 == 0,
    "complex": lambda: torch.complex(torch.arange(float(BIG)), torch.ones(BIG)),
    "conjugate": lambda: torch.complex(torch.arange(float(BIG)), torch.ones(BIG)).conj(),
    "transposed": lambda: torch.arange(float(BIG)).reshape(100, 100).T,
    "strided": lambda: torch.arange(float(BIG))[5::3],
    "expanded": lambda: torch.ones(3, 1).expand(3, BIG),
    "channels last": lambda: torch.arange(float(BIG)).reshape(1, 4, 50, 50).to(memory_format=torch.channels_last),
    "sparse": lambda: torch.eye(200).to_sparse(),
    "compressed": lambda: torch.eye(200).to_sparse_csr(),
    "with gradient": lambda: torch.ones(BIG, requires_grad=True),
    "parameter": lambda: torch.nn.Parameter(torch.ones(BIG)),
    "frozen parameter": lambda: torch.nn.Parameter(torch.ones(BIG), requires_grad=False),
    "read-only": lambda: _of_read_only(),
}  # fmt: skip


def _of_read_only() -> Any:
    import numpy as np

    array = np.arange(float(BIG))
    array.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch has no read-only tensors, and says so
        return torch.from_numpy(array)


@pytest.mark.filterwarnings("ignore:.*Sparse:UserWarning")  # PyTorch calls them a beta feature
@pytest.mark.parametrize("name", TENSORS)
def test_a_tensor_comes_back_the_same(name: str, checkpoints: CheckpointDir) -> None:
    tensor = TENSORS[name]()
    for back in (there_and_back(tensor, checkpoints), loads_value(dumps_value(tensor))):
        assert type(back) is type(tensor)
        assert (back.dtype, back.shape, back.layout) == (tensor.dtype, tensor.shape, tensor.layout)
        assert (back.requires_grad, back.is_leaf) == (tensor.requires_grad, tensor.is_leaf)
        if tensor.layout is torch.strided:
            assert (back.stride(), back.is_conj()) == (tensor.stride(), tensor.is_conj())
        one, two = (
            t.detach().to_dense() if t.layout is not torch.strided else t.detach() for t in (back, tensor)
        )
        assert torch.equal(one.to(torch.complex128), two.to(torch.complex128))


@pytest.mark.parametrize("name", ["plain", "small", "bfloat16", "read-only"])
def test_a_tensor_that_comes_back_can_be_trained_on(name: str, checkpoints: CheckpointDir) -> None:
    back = there_and_back(TENSORS[name](), checkpoints)
    back += 1
    assert torch.equal(back, TENSORS[name]() + 1)


def test_tensors_that_share_memory_share_it_when_they_come_back(checkpoints: CheckpointDir) -> None:
    whole = torch.zeros(BIG)
    back = there_and_back({"whole": whole, "view": whole.view(100, 100), "tail": whole[-5:]}, checkpoints)
    back["whole"] += 1
    assert back["view"].sum() == BIG
    assert back["tail"].sum() == 5


def test_memory_is_written_once_and_from_where_it_is() -> None:
    whole = torch.zeros(1_000_000)
    pickled = store_serializer.dumps_value(
        {"whole": whole, "view": whole.view(1000, 1000), "as bytes": whole.view(torch.uint8)}
    )
    assert [buffer.nbytes for buffer in pickled.buffers] == [4_000_000]
    assert len(pickled.body) < 2_000
    whole += 1
    assert bytes(pickled.buffers[0][:4]) == b"\x00\x00\x80?"  # 1.0: nothing was copied


def test_a_model_and_its_optimizer_go_on_as_if_nothing_had_been(checkpoints: CheckpointDir) -> None:
    def train(model: Any, optimizer: Any) -> None:
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.ones(2, 64)).pow(2).sum().backward()
            optimizer.step()

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.BatchNorm1d(64), torch.nn.Linear(64, 64))
    model[2].weight = model[0].weight  # tied
    optimizer = torch.optim.Adam(model.parameters())
    train(model, optimizer)
    state = there_and_back({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, checkpoints)
    assert state["model"]._metadata == model.state_dict()._metadata
    whole = there_and_back(model, checkpoints)
    assert whole[2].weight is whole[0].weight
    fresh = torch.optim.Adam(whole.parameters())
    whole.load_state_dict(state["model"])
    fresh.load_state_dict(state["optimizer"])
    train(model, optimizer)
    train(whole, fresh)
    for one, two in zip(model.parameters(), whole.parameters(), strict=True):
        assert torch.equal(one, two)


def test_a_tensor_that_comes_back_can_be_sent_to_other_processes(checkpoints: CheckpointDir) -> None:
    back = there_and_back(torch.arange(float(BIG)), checkpoints)
    back.share_memory_()
    assert back.is_shared()
    assert back.sum() == sum(range(BIG))


def test_a_tensor_without_memory_is_pickled_as_pytorch_does() -> None:
    back = loads_value(dumps_value(torch.ones(3, device="meta")))
    assert (back.device.type, back.shape) == ("meta", (3,))


def test_a_lambda_beside_a_tensor_changes_nothing() -> None:
    pickled = store_serializer.dumps_value({"scale": lambda x: 2 * x, "weights": torch.ones(BIG)})
    assert [buffer.nbytes for buffer in pickled.buffers] == [4 * BIG]
    back = store_serializer.loads_value(pickled.body, pickled.buffers)
    assert back["scale"](back["weights"]).sum() == 2 * BIG


@pytest.mark.parametrize("by_cloud", [False, True], ids=["pickle", "cloudpickle"])
def test_any_pickler_that_asks_puts_memory_beside_the_pickle_once(by_cloud: bool) -> None:
    base: Any = pytest.importorskip("cloudpickle").Pickler if by_cloud else pickle.Pickler

    class Pickler(base):  # type: ignore[misc]  # made at run time
        def reducer_override(self, obj: Any) -> Any:
            reduced = reduce_storage(obj)
            if reduced is NotImplemented and by_cloud:
                return super().reducer_override(obj)
            return reduced

    layer = torch.nn.Linear(100, 100, dtype=torch.bfloat16)
    layer.tied = layer.weight.detach()[3:]
    buffers: list[pickle.PickleBuffer] = []
    file = io.BytesIO()
    Pickler(file, protocol=5, buffer_callback=buffers.append).dump(layer)
    assert len(file.getvalue()) < 5_000
    memory = [bytearray(buffer.raw()) for buffer in buffers]
    assert sorted(map(len, memory)) == [200, 20_000]
    back = pickle.loads(file.getvalue(), buffers=memory)
    assert torch.equal(back.weight, layer.weight)
    assert (back.weight.requires_grad, back.weight.dtype) == (True, torch.bfloat16)
    with torch.no_grad():
        back.weight[3:] = 0  # in the memory that was given
    assert not back.tied.any()
    assert bytes(memory[0]) != bytes(buffers[0].raw())


def test_what_is_no_memory_of_the_processor_is_left_to_others() -> None:
    nothing = [
        3,
        "UntypedStorage",
        torch.ones(3),
        torch.UntypedStorage,
        torch.ones(3, device="meta").untyped_storage(),
    ]
    assert [reduce_storage(value) for value in nothing] == [NotImplemented] * 5


def test_a_stored_tensor_is_mapped_for_each_who_asks_alone(tmp_path: Path) -> None:
    payloads = PayloadDir(tmp_path)
    layer = torch.nn.Linear(1_000, 1_000, dtype=torch.bfloat16)
    encoded = encode({"layer": layer, "rows": layer.weight.detach()[:10]}, payloads)
    first, second = (decode(encoded, payloads, mmap=True) for _ in range(2))
    name = (encoded.ref or "").rpartition("/")[2]
    maps = Path("/proc/self/maps")
    assert not maps.exists() or maps.read_text().count(name) == 2
    with torch.no_grad():
        first["layer"].weight[:] = 0
    assert not first["rows"].any()
    assert torch.equal(second["layer"].weight, layer.weight)
    assert torch.equal(second["rows"], layer.weight[:10])
    assert second["layer"].weight.data_ptr() % 64 == 0
    assert payloads.verify(encoded.ref or "") == encoded.size


@pytest.mark.parametrize("name", TENSORS)
def test_a_tensor_that_workers_share_is_the_same_for_each_task(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_files, "LARGE", 1024)
    files = shared_files.SharedFiles(str(tmp_path), "run", same_host=True)
    tensor = TENSORS[name]()
    data = pickling.dumps({"a": tensor}, files)
    for _ in range(2):
        back = pickling.loads(data)["a"]
        assert (type(back), back.dtype, back.shape) == (type(tensor), tensor.dtype, tensor.shape)
        assert (back.requires_grad, back.layout) == (tensor.requires_grad, tensor.layout)
        one, two = (
            t.detach().to_dense() if t.layout is not torch.strided else t.detach() for t in (back, tensor)
        )
        assert torch.equal(one.to(torch.complex128), two.to(torch.complex128))
        if tensor.layout is torch.strided and name != "expanded":
            assert back.stride() == tensor.stride()
            with torch.no_grad():
                back[...] = 0
    files.close()


def test_a_model_that_workers_share_is_trained_by_each_task_for_itself(tmp_path: Path) -> None:
    files = shared_files.SharedFiles(str(tmp_path), "run", same_host=True)
    model = torch.nn.Sequential(torch.nn.Linear(600, 600), torch.nn.Linear(600, 600))
    model.tied = model[0].weight
    before = [parameter.detach().clone() for parameter in model.parameters()]
    data = pickling.dumps(model, files)
    assert len(data) < 20_000
    for _ in range(2):
        back = pickling.loads(data)
        assert back.tied is back[0].weight
        assert all(map(torch.equal, back.parameters(), before))
        back(torch.ones(600)).sum().backward()
        torch.optim.SGD(back.parameters(), lr=1.0).step()
        assert not torch.equal(back[0].weight, before[0])
    assert all(map(torch.equal, model.parameters(), before))
    files.close()
