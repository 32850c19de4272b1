"""Pickle PyTorch's CPU tensors so that their memory is written from where it is.

Knows: torch, where it is loaded already. May not know: who pickles.

PyTorch pickles a tensor as a view of a storage, and copies the storage into a byte string, a new one for each tensor.
Here the storage is one buffer, out of band. So every dtype, stride, view, sparse tensor and parameter stays PyTorch's
own affair, and tensors that share memory share it when they come back, as `torch.save` has it.
"""

from __future__ import annotations

from typing import Any

_STORAGES = ("UntypedStorage", "TypedStorage")


def is_storage(obj: Any) -> bool:
    """Tell whether this is the memory of tensors; torch is not imported to find out."""
    kind = type(obj)
    return kind.__module__ == "torch.storage" and kind.__name__ in _STORAGES


def reduce_storage(storage: Any) -> Any:
    """Pickle a storage, as `Pickler.reducer_override` has it; PyTorch's own way where it is on a device."""
    import torch

    typed = type(storage).__name__ == "TypedStorage"
    untyped = storage._untyped_storage if typed else storage  # asking a typed one warns that it is deprecated
    if untyped.device.type != "cpu":
        return NotImplemented
    if typed:
        # PyTorch makes a new one for each tensor; the untyped one is the same for all that share it.
        return _typed, (untyped, storage.dtype)
    if untyped.nbytes() == 0:
        return _untyped, (b"",)
    memory = torch.empty(0, dtype=torch.uint8).set_(untyped)
    from pickle import PickleBuffer

    return _untyped, (PickleBuffer(memory.numpy()),)


def _typed(untyped: Any, dtype: Any) -> Any:
    import torch

    return torch.storage.TypedStorage(wrap_storage=untyped._untyped_storage, dtype=dtype, _internal=True)


def _untyped(memory: Any) -> Any:
    """Make a storage around its memory: a typed one, as PyTorch's own pickles do and its rebuilding expects."""
    import torch

    if not len(memory):
        storage = torch.UntypedStorage(0)
    else:
        if memoryview(memory).readonly:
            memory = bytearray(memory)  # torch has no read-only tensors
        storage = torch.frombuffer(memory, dtype=torch.uint8).untyped_storage()
    return torch.storage.TypedStorage(wrap_storage=storage, dtype=torch.uint8, _internal=True)
