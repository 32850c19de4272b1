"""PyTorch's states come back in place, and its generators go on."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from memento.context.context import Context
from memento.context.saved import capture, fill
from memento.context.seeding import Seeding
from memento.context.states import CannotFill, check
from memento.context.task_space import StopTask, TaskSpace

torch: Any = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")


def shared() -> dict[str, Any]:
    tensor = torch.zeros(2)
    return {"a": tensor, "b": tensor}


STATES: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "tensor": (lambda: torch.zeros(2), lambda state: state),
    "parameter": (lambda: torch.nn.Parameter(torch.zeros(2)), lambda state: state),
    "tensor in a dict": (lambda: {"ema": torch.zeros(2)}, lambda state: state["ema"]),
    "tensor in a tuple": (lambda: ([torch.zeros(2)], {}), lambda state: state[0][0]),
    "module": (lambda: torch.nn.Linear(1, 1), lambda state: state.weight),
    "modules in a dict of a dict": (lambda: {"nets": {"g": torch.nn.Linear(1, 1)}}, lambda s: s["nets"]["g"].weight),
    "two names of a tensor": (shared, lambda state: state["b"]),
    "scalar": (lambda: torch.tensor(0.0), lambda state: state),
    "bfloat16": (lambda: torch.zeros(3, dtype=torch.bfloat16), lambda state: state),
    "whole numbers": (lambda: torch.zeros(3, dtype=torch.int64), lambda state: state),
    "transposed": (lambda: torch.zeros(2, 3).T, lambda state: state),
}  # fmt: skip


@pytest.mark.parametrize("name", STATES)
def test_a_tensor_is_filled_wherever_it_stands(name: str) -> None:
    make, part = STATES[name]
    first, second = make(), make()
    own = part(second)
    check(first)
    with torch.no_grad():
        part(first).copy_(part(first) + 5)
    fill(second, pickle.loads(pickle.dumps(capture(first), protocol=5)))
    assert part(second) is own
    assert torch.equal(own, part(first))
    assert own.requires_grad == part(first).requires_grad


def saved_later(state: dict[str, Any], change: Callable[[], None]) -> Any:
    """Return what is saved of a state after a change inside the loop."""
    stood = check(state)
    change()
    return pickle.loads(pickle.dumps(capture(state, stood), protocol=5))


def test_a_copy_of_the_best_module_so_far_comes_back() -> None:
    net = torch.nn.Linear(2, 2)
    state = {"net": net, "best": None}
    saved = saved_later(state, lambda: state.update(best=copy.deepcopy(net)))
    again: dict[str, Any] = {"net": torch.nn.Linear(2, 2), "best": None}
    fill(again, saved)
    assert torch.equal(again["best"].weight, net.weight)
    assert again["best"].weight is not again["net"].weight
    placed: dict[str, Any] = {"net": torch.nn.Linear(2, 2), "best": (own := torch.nn.Linear(2, 2))}
    fill(placed, saved)
    assert placed["best"] is own
    assert torch.equal(own.weight, net.weight)


@pytest.mark.parametrize(
    "late",
    [lambda net: torch.optim.SGD(net.parameters(), lr=0.1), lambda net: torch.nn.Sequential(net)],
    ids=["its optimizer", "a module around it"],
)
def test_what_shares_tensors_with_a_module_is_never_given_tensors_of_its_own(late: Any) -> None:
    net = torch.nn.Linear(2, 2)
    state = {"net": net, "late": None}
    saved = saved_later(state, lambda: state.update(late=late(net)))
    with pytest.raises(CannotFill, match="Make it before the loop"):
        fill({"net": torch.nn.Linear(2, 2), "late": None}, saved)


def test_a_generator_of_torch_goes_on() -> None:
    state = {"shuffle": torch.Generator().manual_seed(1)}
    torch.rand(3, generator=state["shuffle"])
    saved = pickle.loads(pickle.dumps(capture(state), protocol=5))
    expected = torch.rand(3, generator=state["shuffle"])
    again = {"shuffle": torch.Generator().manual_seed(1)}
    own = again["shuffle"]
    fill(again, saved)
    assert again["shuffle"] is own
    assert torch.equal(torch.rand(3, generator=own), expected)


def test_a_shared_generator_of_torch_has_a_child_for_each_key() -> None:
    generator = torch.Generator().manual_seed(1)
    before = generator.get_state()
    seeding = Seeding()
    seeding.follow(lambda: generator)
    told = []
    for key in (b"one", b"other", b"one"):
        seeding.begin(key)
        told.append(torch.rand(3, generator=generator).tolist())
    assert told[0] == told[2] != told[1]
    seeding.put_back()
    assert torch.equal(generator.get_state(), before)


def test_a_key_tells_what_torch_draws() -> None:
    before = torch.get_rng_state()
    seeding = Seeding()
    told = []
    for key in (b"one", b"other", b"one"):
        seeding.begin(key)
        told.append(torch.rand(3).tolist())
    seeding.put_back()
    assert told[0] == told[2] != told[1]
    assert torch.equal(torch.get_rng_state(), before)


# ---------------------------------------------------------------- training


def train(store: Path, attempt: int, stop: int | None, seed: bool, of_batches: bool) -> Any:
    """A small training with all that draws or remembers; stopped after so many steps."""
    steps = [0]
    seeding = Seeding()
    seeding.begin(b"k" * 16)
    told = Context.for_task(
        TaskSpace(
            str(store), "run", b"k" * 16, attempt,
            stopping=lambda: stop is not None and steps[0] >= stop, seeding=seeding,
        )
    )  # fmt: skip
    if seed:
        torch.manual_seed(told.seed)
    net = torch.nn.Sequential(
        torch.nn.Linear(3, 8), torch.nn.BatchNorm1d(8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 1)
    )
    average = copy.deepcopy(net)
    ema = torch.zeros(8, 3)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    data = torch.utils.data.TensorDataset(torch.arange(48.0).reshape(16, 3) / 48, torch.arange(16.0)[:, None])
    loader = torch.utils.data.DataLoader(data, batch_size=4, shuffle=True)
    state = {
        "net": net,
        "average": average,
        "ema": ema,
        "optimizer": optimizer,
        "scheduler": scheduler,
        "losses": [],
    }

    def step(x: Any, y: Any) -> None:
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(net(x + 0.1 * torch.randn_like(x)), y)
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            ema.mul_(0.9).add_(net[0].weight, alpha=0.1)
            for slow, fast in zip(average.parameters(), net.parameters(), strict=True):
                slow.lerp_(fast, 0.1)
        state["losses"].append(loss.item())

    try:
        for _ in told.loop(range(4), state):
            if of_batches:
                for x, y in told.loop(loader, state):
                    step(x, y)
                    steps[0] += 1
            else:
                for x, y in loader:
                    step(x, y)
                steps[0] += 1
            scheduler.step()
    except StopTask:
        return None
    finally:
        seeding.put_back()
    weights = [p.tolist() for p in (*net.parameters(), *net.buffers(), *average.parameters(), ema)]
    return weights, state["losses"], scheduler.get_last_lr()


@pytest.mark.filterwarnings("ignore:Detected call of")  # an epoch whose last batch was done before
@pytest.mark.parametrize("of_batches", [False, True], ids=["epochs", "batches"])
@pytest.mark.parametrize("seed", [False, True], ids=["by key", "seeded"])
def test_an_interrupted_training_ends_bit_equal(seed: bool, of_batches: bool, tmp_path: Path) -> None:
    expected = train(tmp_path / "whole", 1, None, seed, of_batches)
    for stop in (1, 3) if not of_batches else (1, 6):
        attempt, result = 1, None
        while result is None:
            result = train(tmp_path / f"stopped after {stop}", attempt, stop, seed, of_batches)
            attempt += 1
            assert attempt < 30
        assert result == expected
