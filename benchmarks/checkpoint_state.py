"""States of training for `checkpoint.py`: arrays, nested records, tensors, a fitted forest.

Knows: libraries. May not know: who saves them, or how long it takes.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


def arrays(megabytes: int) -> Any:
    """Make ten large arrays in a dict."""
    import numpy as np

    rng = np.random.default_rng(0)
    return {f"layer {i}": rng.random(megabytes * 100_000 // 8) for i in range(10)}


@dataclass
class Layer:
    """What a training by hand keeps of one layer."""

    weights: Any
    moments: dict[str, Any]
    history: list[float] = field(default_factory=list)


def nested(megabytes: int) -> Any:
    """Make a dict of lists of records that hold arrays: a few of megabytes, many of kilobytes."""
    import numpy as np

    rng = np.random.default_rng(0)
    blocks = [
        [
            Layer(
                weights=rng.random((500, 400)),
                moments={"first": rng.random((500, 400)), "second": rng.random((500, 400))},
                history=list(range(100)),
            )
            for _ in range(10)
        ]
        for _ in range(megabytes // 60)
    ]
    return {"epoch": 3, "blocks": blocks, "rows": [rng.random(2_000) for _ in range(megabytes * 25 // 2)]}


def torch(megabytes: int) -> Any:
    """Make the state of a network and of its optimizer after a step; two layers share their weights."""
    import torch

    torch.manual_seed(0)
    width = int((megabytes * 1e6 / 4 / 3 / 10) ** 0.5)
    layers = [torch.nn.Linear(width, width, bias=True) for _ in range(11)]
    layers[-1].weight = layers[0].weight
    model = torch.nn.Sequential(*layers)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, width)).sum().backward()
    optimizer.step()
    return {"epoch": 3, "model": model.state_dict(), "optimizer": optimizer.state_dict()}


def sklearn(megabytes: int) -> Any:
    """Fit a few trees, and make a forest of copies of them: its trees are as those of a fit, in less time."""
    import numpy as np
    from sklearn.ensemble import ExtraTreesRegressor

    rng = np.random.default_rng(0)
    rows = 30_000
    forest = ExtraTreesRegressor(n_estimators=4, max_features=1, random_state=0)
    forest.fit(rng.random((rows, 4)), rng.random((rows, 4)))
    trees = [pickle.dumps(tree, protocol=5) for tree in forest.estimators_]
    count = megabytes * 1_000_000 // len(trees[0])
    forest.estimators_ = [pickle.loads(trees[i % len(trees)]) for i in range(count)]
    return forest.set_params(n_estimators=count)


KINDS: dict[str, Callable[[int], Any]] = {
    "arrays": arrays, "nested": nested, "torch": torch, "sklearn": sklearn,
}  # fmt: skip


def import_all(kind: str) -> None:
    """Import what a state of this kind needs, so that loading it does not."""
    pickle.loads(pickle.dumps(KINDS[kind](6), protocol=5))


def bytes_of(value: Any, seen: set[int] | None = None) -> int:
    """Count the bytes of a state's arrays; memory that tensors share counts once."""
    seen = set() if seen is None else seen
    if hasattr(value, "estimators_"):
        value = [list(tree.tree_.__getstate__().values()) for tree in value.estimators_]
    if hasattr(value, "untyped_storage"):
        value = value.untyped_storage()
        if value.data_ptr() in seen:
            return 0
        seen.add(value.data_ptr())
        return int(value.nbytes())
    if hasattr(value, "nbytes"):
        return int(value.nbytes)
    if isinstance(value, Layer):
        value = vars(value)
    if isinstance(value, dict):
        value = list(value.values())
    return sum(bytes_of(inner, seen) for inner in value) if isinstance(value, list) else 0
