"""Encode estimators, modules, tensors and the records of attrs and pydantic.

Knows: what of such an object is its value. May not know: the libraries, which come in as arguments and are
never imported.
"""

from __future__ import annotations

import inspect
import sys
from typing import Any

from memento.keys.encode import Encoder, frame, integer, node, text
from memento.keys.encode_numpy import array
from memento.keys.encode_object import attributes, is_plain
from memento.keys.ignored_state import without_global_state
from memento.keys.names import is_project_module

# -- scikit-learn ----------------------------------------------------------------------------------------


def encode_sklearn(enc: Encoder, value: Any, _sklearn: Any) -> bytes | None:
    """Return the frame of an estimator, or None for other values.

    An estimator is its class, its parameters, and where it is fitted all that it holds. Of an installed library's class
    parameters at their default are left out, so that a release which adds one changes no key; the default of a class of
    the user's may be edited, so all of its parameters count.
    """
    cls = type(value)
    if cls.__name__ == "Bunch" and isinstance(value, dict):  # its hidden state is lost in a pickle
        return node("bunch", enc.encode(cls), frame(b"d", enc.pairs(value.items())))
    if cls.__name__.rstrip("3264") in ("KDTree", "BallTree") and cls.__module__.startswith("sklearn."):
        _func, _args, state, *_ = value.__reduce_ex__(4)
        counted = [part for i, part in enumerate(state) if i not in _COUNTERS]  # of what it was asked
        return node("tree", enc.encode(cls), enc.at(".__getstate__()", counted))
    base = getattr(sys.modules.get("sklearn.base"), "BaseEstimator", None)
    if base is None or not isinstance(value, base):
        return None
    given = value.get_params(deep=False)
    state = without_global_state({n: v for n, v in attributes(value).items() if n not in given})
    parameters = without_global_state(given)  # within a fitted ensemble
    if not any(is_project_module(base.__module__) for base in cls.__mro__):
        defaults = _defaults(cls)
        parameters = {n: p for n, p in parameters.items() if not _is_default(enc, n, defaults, p)}
    is_fitted = any(name.endswith("_") and not name.startswith("__") for name in state)
    if cls.__module__.startswith("sklearn.") and not is_fitted:
        # Unfitted: what else the library's __init__ sets depends on its release and follows from the class.
        used = _names_in_methods(cls) - _SET_LATER if state else frozenset()
        state = {n: v for n, v in state.items() if n not in used}
    more = enc.fields(state) if state else b"0"
    return node("estimator", enc.encode(cls), enc.fields(parameters), more)


_COUNTERS = range(7, 11)  # n_trims, n_leaves, n_splits, n_calls
_SET_LATER = frozenset({"_sklearn_output_config", "_metadata_request"})  # set_output(), set_fit_request()
_ABSENT = inspect.Parameter.empty


def _names_in_methods(cls: Any) -> frozenset[str]:
    """Return the names of attributes that an estimator's own methods set or read."""
    methods = [method for base in cls.__mro__ for method in vars(base).values() if inspect.isfunction(method)]
    return frozenset(name for method in methods for name in method.__code__.co_names)


def _defaults(cls: type) -> dict[str, Any]:
    try:
        signature = inspect.signature(cls.__init__)  # type: ignore[misc]  # not what a decorator says of the class
    except (TypeError, ValueError):
        return {}
    return {name: parameter.default for name, parameter in signature.parameters.items()}


def _is_default(enc: Encoder, name: str, defaults: dict[str, Any], value: Any) -> bool:
    default = defaults.get(name, _ABSENT)
    if default is _ABSENT or type(default) is not type(value):
        return False
    return default is value or enc.encode(default) == enc.at(f".{name}", value)


# -- torch -----------------------------------------------------------------------------------------------


def encode_torch(enc: Encoder, value: Any, torch: Any) -> bytes | None:
    """Return the frame of a tensor, module or generator, on whatever device it lies; None for other values."""
    if isinstance(value, torch.Tensor):
        return _encode_tensor(enc, value, torch)
    if isinstance(value, torch.nn.Module):
        return _encode_module(enc, value, torch)
    if isinstance(value, (torch.finfo, torch.iinfo)):
        return node("torch", text(type(value).__name__), text(value.dtype))
    if isinstance(value, (torch.dtype, torch.device)):
        return node("torch", text(str(value)))
    if isinstance(value, torch.Generator):
        return node("generator", text("torch"), enc.at(".get_state()", value.get_state()))
    return None


def _encode_tensor(enc: Encoder, value: Any, torch: Any) -> bytes:
    cls = b"0" if type(value) is torch.Tensor else enc.encode(type(value))
    cls += enc.extra(getattr(value, "__dict__", {}))
    if any(getattr(value, "names", ())):  # of its axes; newer releases have none
        cls += node("names", enc.encode(value.names))
    grad = enc.encode(bool(value.requires_grad))
    plain = value.detach()
    if plain.is_nested:
        parts = [_encode_tensor(enc, part, torch) for part in plain.unbind()]
        return node("nested tensor", cls, grad, *parts)
    shape = frame(b"t", b"".join(map(integer, plain.shape)))
    head = cls + grad + text(str(plain.dtype)) + shape
    if plain.is_meta:
        return node("meta tensor", head)
    if plain.layout is not torch.strided:
        plain = plain.to_sparse().coalesce()
        content = enc.encode(plain.indices()) + enc.encode(plain.values())
        return node("sparse tensor", head, text(str(value.layout)), content)
    if plain.is_quantized:
        scheme = plain.qscheme()
        if scheme in (torch.per_tensor_affine, torch.per_tensor_symmetric):
            scale: tuple[Any, ...] = (plain.q_scale(), plain.q_zero_point())
        else:
            scales, zeros = plain.q_per_channel_scales(), plain.q_per_channel_zero_points()
            scale = scales, zeros, plain.q_per_channel_axis()
        content = enc.encode(scale) + enc.encode(plain.int_repr())
        return node("quantized tensor", head, text(str(scheme)), content)
    plain = plain.cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
    np = sys.modules.get("numpy")
    if np is None:
        return node("tensor", head, enc.listed(plain.tolist()))
    try:
        numbers = plain.numpy()
    except TypeError:  # NumPy has no such dtype: bfloat16, float8
        numbers = plain.view(torch.uint8).numpy()
    return node("tensor", head, array(enc, numbers, np))


_OF_MODULES = frozenset({"_parameters", "_buffers", "_modules", "training"})


def _encode_module(enc: Encoder, value: Any, torch: Any) -> bytes:
    cls: Any = type(value)
    if cls.__module__ == "torch.nn.utils.parametrize" and cls.__qualname__.startswith("Parametrized"):
        # Made for this module alone, by methods that refer to it; the parametrizations are modules within.
        parts = [node("parametrized", enc.encode(cls.__bases__[0])), enc.encode(value.training)]
    else:
        parts = [enc.encode(cls), enc.encode(value.training)]
    for name in ("_parameters", "_buffers", "_modules"):  # in their order, which is that of the layers
        parts.append(frame(b"d", enc.pairs(vars(value)[name].items(), ordered=True)))
    state = vars(value)
    if "_flat_weight_refs" in state:  # recurrent layers: weak references to their parameters
        state = {name: part for name, part in state.items() if not name.startswith("_flat_weight")}
    own = vars(torch.nn.Module())
    rest = {}
    for name, part in state.items():
        if name not in own:
            rest[name] = part
        elif name not in _OF_MODULES and part is not None and (not hasattr(part, "__len__") or len(part)):
            # Hooks, under numbers that count all hooks of the process. What is empty differs between releases.
            rest[name] = list(part.values()) if isinstance(part, dict) else part
    tied = _tied(value)
    more = [node("tied", enc.encode(tied))] if tied else []
    return node("module", *parts, enc.fields(rest), *more)


def _tied(module: Any) -> list[tuple[str, ...]]:
    """Return the names of weights that are one tensor: training changes them together."""
    places: dict[Any, list[str]] = {}
    for named in (module.named_parameters, module.named_buffers):
        for name, tensor in named(remove_duplicate=False):
            try:
                alias = (tensor.data_ptr(), tensor.shape, tensor.stride()) if tensor.numel() else id(tensor)
            except (RuntimeError, NotImplementedError):  # not there yet, or not in this memory
                alias = id(tensor)
            places.setdefault(alias or id(tensor), []).append(name)
    return sorted(tuple(names) for names in places.values() if len(names) > 1)


# -- records ---------------------------------------------------------------------------------------------


def encode_pydantic(enc: Encoder, value: Any, pydantic: Any) -> bytes | None:
    """Return the frame of a model by its fields, extra and private ones included; None for other values."""
    if isinstance(value, type) or not isinstance(value, pydantic.BaseModel):
        return None
    beside = [getattr(value, name, None) for name in ("__pydantic_extra__", "__pydantic_private__")]
    more = [None if part == {} else part for part in beside]
    state = attributes(value)
    fields = {name: v for name, v in state.items() if not name.startswith("__")}
    return node("model", enc.encode(type(value)), enc.fields(fields), enc.encode(more))


def encode_attrs(enc: Encoder, value: Any) -> bytes | None:
    """Return the frame of an attrs instance, or None where it reduces itself in its own way."""
    cls = type(value)
    if isinstance(value, type) or not is_plain(cls):
        return None
    state = {name: v for name, v in attributes(value).items() if name != "_attrs_cached_hash"}
    return node("object", enc.encode(cls), enc.fields(state))
