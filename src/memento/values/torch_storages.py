"""Pickle the memory of PyTorch's tensors as buffers, which can stand beside a pickle and be mapped.

Knows: PyTorch, when it is loaded already. May not know: who pickles, files.

PyTorch pickles a tensor as a view of a storage, and copies the storage into a byte string, a new one for each tensor.
Here the storage is one buffer, out of band. So every dtype, stride, view, sparse tensor and parameter stays PyTorch's
own affair, and tensors that share memory share it when they come back, as `torch.save` has it.
"""

from __future__ import annotations

import pickle
from typing import Any

_STORAGES = ("UntypedStorage", "TypedStorage")


def reduce_storage(obj: Any) -> Any:
    """Pickle a storage, as `Pickler.reducer_override` has it; NotImplemented for anything else, and on a device."""
    kind = type(obj)
    if kind.__module__ != "torch.storage" or kind.__name__ not in _STORAGES:
        return NotImplemented
    import torch  # it is loaded: this is one of its objects

    typed = kind.__name__ == "TypedStorage"
    untyped = obj._untyped_storage if typed else obj  # asking a typed one warns that it is deprecated
    if untyped.device.type != "cpu":
        return NotImplemented
    if typed:
        # PyTorch makes a new one for each tensor; the untyped one is the same for all that share it.
        return _typed_storage, (untyped, obj.dtype)
    if untyped.nbytes() == 0:
        return _untyped_storage, (b"",)
    memory = torch.empty(0, dtype=torch.uint8).set_(untyped)
    return _untyped_storage, (pickle.PickleBuffer(memory.numpy()),)


def _typed_storage(untyped: Any, dtype: Any) -> Any:
    import torch

    return torch.storage.TypedStorage(wrap_storage=untyped._untyped_storage, dtype=dtype, _internal=True)


def _untyped_storage(memory: Any) -> Any:
    """Make a storage around its memory: a typed one, as PyTorch's own pickles do and its rebuilding expects."""
    import torch

    if not len(memory):
        storage = torch.UntypedStorage(0)
    else:
        if memoryview(memory).readonly:
            memory = bytearray(memory)  # torch has no read-only tensors
        storage = torch.frombuffer(memory, dtype=torch.uint8).untyped_storage()
    return torch.storage.TypedStorage(wrap_storage=storage, dtype=torch.uint8, _internal=True)
