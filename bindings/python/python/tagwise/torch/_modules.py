"""Modules by the names that a user knows, also under wrappers, and their weights."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn

from tagwise.errors import TagwiseValueError

#: Parts of a name that wrappers add: DDP, torch.compile, FSDP, activation checkpointing.
_WRAPPERS = frozenset({"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})

#: What PEFT adds in front.
_PEFT = ["base_model", "model"]


def find_module(model: nn.Module, wanted: str | nn.Module, argument: str) -> nn.Module:
    """The module of this name, wherever wrappers have moved it.

    Raises
    ------
    ValueError
        When there is none, or several of which none is exactly so named.
    """
    if isinstance(wanted, nn.Module):
        return wanted
    modules: dict[str, nn.Module] = dict(model.named_modules())
    if wanted in modules:
        return modules[wanted]
    found = {id(module): module for name, module in modules.items() if _plain(name) == wanted}
    if len(found) == 1:
        return found.popitem()[1]
    names = sorted({_plain(name) for name in modules} - {""})
    if found:
        raise TagwiseValueError(f"expected {argument} to name one module, found {len(found)} called {wanted!r}")
    close = get_close_matches(wanted, names, n=3, cutoff=0.4) or names[-3:]
    raise TagwiseValueError(
        f"expected {argument} to name a module of the model, found {wanted!r}; "
        f"there are for example {', '.join(close) or 'none'}"
    )


def _plain(name: str) -> str:
    parts = [part for part in name.split(".") if part not in _WRAPPERS]
    return ".".join(parts[2:] if parts[:2] == _PEFT else parts)


def unwrapped(model: nn.Module) -> nn.Module:
    """The model without torch.compile and DDP, whose hooks would run compiled code or wait for
    other processes; FSDP stays, because it gathers the weights."""
    while True:
        if isinstance(model, nn.parallel.DistributedDataParallel):
            inner = model.module
        else:
            inner = getattr(model, "_orig_mod", None)
        if not isinstance(inner, nn.Module):
            return model
        model = inner


def distributed_parts(model: nn.Module) -> list[nn.parallel.DistributedDataParallel]:
    """Every DDP wrapper in a model."""
    return [m for m in model.modules() if isinstance(m, nn.parallel.DistributedDataParallel)]


def linear_weights(module: nn.Module) -> tuple[Tensor, Tensor | None]:
    """Weight ``[K, d]`` and bias of a linear layer, as they act: adapters of PEFT included.

    Raises
    ------
    ValueError
        When the module has no weight matrix.
    """
    module = _active(module)
    weight = getattr(module, "weight", None)
    if not isinstance(weight, Tensor) or weight.ndim != 2:
        raise TagwiseValueError(
            "expected classifier to be a linear layer with a weight [K, d], found "
            f"{type(module).__name__}; name the last layer inside it"
        )
    weight = _whole(weight)
    delta = getattr(module, "get_delta_weight", None)
    if callable(delta) and not getattr(module, "merged", False):
        for adapter in _adapters(module):
            weight = weight + delta(adapter).to(weight)
    bias = getattr(module, "bias", None)
    return weight, _whole(bias) if isinstance(bias, Tensor) else None


def _active(module: nn.Module) -> nn.Module:
    """The trained copy where PEFT keeps two (``modules_to_save``)."""
    copies = getattr(module, "modules_to_save", None)
    adapters = _adapters(module)
    if isinstance(copies, nn.ModuleDict) and adapters and adapters[0] in copies:
        return copies[adapters[0]]
    return module


def _adapters(module: nn.Module) -> list[str]:
    active: Any = getattr(module, "active_adapters", None)
    if active is None:
        active = getattr(module, "active_adapter", [])
    names = [active] if isinstance(active, str) else list(active or [])
    known = getattr(module, "lora_A", None)
    return [name for name in names if known is None or name in known]


def _whole(tensor: Tensor) -> Tensor:
    """A tensor that FSDP or tensor parallelism has spread over processes, as a whole."""
    gather = getattr(tensor, "full_tensor", None)
    with torch.no_grad():
        return (gather() if callable(gather) else tensor).detach()
