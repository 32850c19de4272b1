"""Encode estimators, modules, tensors and the records of attrs and pydantic.

Knows: what of such an object is its value. May not know: the libraries, which come in as arguments and are
never imported.
"""

from __future__ import annotations

import inspect
import sys

from memento.hints import Any
from memento.keys.arrays import array
from memento.keys.encode import Encoder, frame, integer, node, text
from memento.keys.objects import attributes, is_plain

# -- scikit-learn ----------------------------------------------------------------------------------------


def encode_sklearn(enc: Encoder, value: Any, _sklearn: Any) -> bytes | None:
    """Return the frame of an estimator, or None for other values.

    An estimator is its class and the parameters that are not at their default, so that a release of the
    library that adds a parameter changes no key; a fitted one is all that it holds.
    """
    if type(value).__name__ == "Bunch" and isinstance(value, dict):  # its hidden state is lost in a pickle
        return node("bunch", enc.encode(type(value)), frame(b"d", enc.pairs(value.items())))
    base = getattr(sys.modules.get("sklearn.base"), "BaseEstimator", None)
    if base is None or isinstance(value, type) or not isinstance(value, base):
        return None
    parameters = value.get_params(deep=False)
    defaults = _defaults(type(value))
    changed = [(n, p) for n, p in parameters.items() if not _is_default(enc, n, defaults.get(n, _ABSENT), p)]
    state = {n: v for n, v in attributes(value).items() if n not in parameters}
    own = type(value).__module__.partition(".")[0] != "sklearn"
    if not own and not any(name.endswith("_") and not name.startswith("__") for name in state):
        # Unfitted: what else the library's __init__ sets depends on its release and follows from the class.
        state = {n: v for n, v in state.items() if n in _SET_LATER}
    held = {n: v for n, v in state.items() if n not in _OF_THE_MOMENT}
    more = enc.fields(held.items()) if held else b"0"
    return node("estimator", enc.encode(type(value)), enc.fields(changed), more)


_SET_LATER = frozenset({"_sklearn_output_config", "_metadata_request"})  # set_output(), set_fit_request()
_OF_THE_MOMENT = frozenset({"_stop_words_id"})  # an address in memory, set by the first use
_ABSENT = inspect.Parameter.empty


def _defaults(cls: type) -> dict[str, Any]:
    try:
        signature = inspect.signature(cls)
    except (TypeError, ValueError):
        return {}
    return {name: parameter.default for name, parameter in signature.parameters.items()}


def _is_default(enc: Encoder, name: str, default: Any, value: Any) -> bool:
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
    if isinstance(value, (torch.dtype, torch.device)):
        return node("torch", text(str(value)))
    if isinstance(value, torch.Generator):
        return node("generator", text("torch"), enc.at(".get_state()", value.get_state()))
    return None


def _encode_tensor(enc: Encoder, value: Any, torch: Any) -> bytes:
    cls = b"0" if type(value) is torch.Tensor else enc.encode(type(value))
    noted = getattr(value, "__dict__", None)
    if noted:
        cls += enc.fields(noted.items())
    grad = enc.encode(bool(value.requires_grad))
    plain = value.detach()
    if plain.is_nested:
        return node(
            "nested tensor", cls, grad, *[_encode_tensor(enc, part, torch) for part in plain.unbind()]
        )
    shape = frame(b"t", b"".join(map(integer, plain.shape)))
    head = cls + grad + text(str(plain.dtype)) + shape
    if plain.is_meta:
        return node("meta tensor", head)
    if plain.layout is not torch.strided:
        plain = plain.to_sparse().coalesce()
        content = enc.encode(plain.indices()) + enc.encode(plain.values())
        return node("sparse tensor", head, text(str(value.layout)), content)
    if plain.is_quantized:
        scale = _scale(enc, plain, torch)
        return node("quantized tensor", head, text(str(plain.qscheme())), scale, enc.encode(plain.int_repr()))
    plain = plain.cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
    np = sys.modules.get("numpy")
    if np is None:
        return node("tensor", head, frame(b"l", enc.sequence(plain.tolist())))
    try:
        numbers = plain.numpy()
    except TypeError:  # NumPy has no such dtype: bfloat16, float8
        numbers = plain.view(torch.uint8).numpy()
    return node("tensor", head, array(enc, numbers, np))


def _scale(enc: Encoder, value: Any, torch: Any) -> bytes:
    if value.qscheme() in (torch.per_tensor_affine, torch.per_tensor_symmetric):
        return enc.encode((value.q_scale(), value.q_zero_point()))
    parts = (value.q_per_channel_scales(), value.q_per_channel_zero_points(), value.q_per_channel_axis())
    return enc.encode(parts)


_OF_MODULES = frozenset({"_parameters", "_buffers", "_modules", "training"})


def _encode_module(enc: Encoder, value: Any, torch: Any) -> bytes:
    parts = [enc.encode(type(value)), enc.encode(bool(value.training))]
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
        elif name not in _OF_MODULES and part is not None and not isinstance(part, bool) and part:
            # Hooks, under numbers that count all hooks of the process. What is empty differs between releases.
            rest[name] = list(part.values()) if isinstance(part, dict) else part
    return node("module", *parts, enc.fields(rest.items()))


# -- records ---------------------------------------------------------------------------------------------


def encode_pydantic(enc: Encoder, value: Any, pydantic: Any) -> bytes | None:
    """Return the frame of a model by its fields, extra and private ones included; None for other values."""
    if isinstance(value, type) or not isinstance(value, pydantic.BaseModel):
        return None
    more = [getattr(value, name, None) or None for name in ("__pydantic_extra__", "__pydantic_private__")]
    state = attributes(value)
    fields = {name: v for name, v in state.items() if not name.startswith("__")}
    return node("model", enc.encode(type(value)), enc.fields(fields.items()), enc.encode(more))


def encode_attrs(enc: Encoder, value: Any) -> bytes | None:
    """Return the frame of an attrs instance, or None where it reduces itself in its own way."""
    cls = type(value)
    if isinstance(value, type) or not is_plain(cls):
        return None
    state = {name: v for name, v in attributes(value).items() if name != "_attrs_cached_hash"}
    return node("object", enc.encode(cls), enc.fields(state.items()))
