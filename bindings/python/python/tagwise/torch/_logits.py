"""From what a user passes to what losses compute with, and back to one number."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Literal

import torch
from torch import Tensor

from tagwise.errors import TagwiseTypeError, TagwiseValueError

Reduction = Literal["mean", "sum", "none"]
REDUCTIONS = ("mean", "sum", "none")


def prepare(logits: Tensor, targets: Tensor, reduction: str) -> Tensor:
    """Logits in f32 or f64, after a look at them and at everything that they come with."""
    if reduction not in REDUCTIONS:
        raise TagwiseValueError(
            f"expected reduction to be one of {REDUCTIONS}, found {reduction!r}"
        )
    check_tensor("logits", logits)
    check_tensor("targets", targets)
    if not logits.is_floating_point():
        raise TagwiseTypeError(f"expected logits of a floating-point type, found {logits.dtype}")
    if logits.ndim == 0 or logits.shape != targets.shape:
        raise TagwiseValueError(
            "expected logits and targets of one shape [..., K], found logits "
            f"{list(logits.shape)} and targets {list(targets.shape)}"
        )
    if logits.device != targets.device:
        raise TagwiseValueError(
            f"expected targets on the device of the logits, {logits.device}, found {targets.device}"
        )
    if targets.is_complex():
        raise TagwiseTypeError(f"expected targets of 0 and 1, found {targets.dtype}")
    if targets.dtype is not torch.bool:
        check_zero_one(targets)
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


def unmasked(logits: Tensor) -> Tensor:
    """Logits without −∞, which masks a label: the lowest finite number in its place has the same
    softmax and sigmoid, no 0·∞ in values or gradients, and the gradient 0."""
    return logits.clamp(min=torch.finfo(logits.dtype).min)


def where_finite(loss_of: Callable[[Tensor], Tensor], logits: Tensor) -> Tensor:
    """A loss, of unmasked logits where those as they are give no number.

    On the CPU a look at the result is cheaper than replacing −∞ in logits that have none.
    """
    if may_look_at(logits):
        loss = loss_of(logits)
        try:
            if isfinite(loss.item()) if loss.ndim == 0 else bool(loss.isfinite().all()):
                return loss
        except RuntimeError:  # inside vmap no value can be read
            pass
    return loss_of(unmasked(logits))


def may_look_at(tensor: Tensor) -> bool:
    """Whether reading a number costs nothing: in the memory of the CPU.

    On another device a look would stop the queue of kernels, in a traced function there is nothing
    to look at yet.
    """
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling()


def as_hot(targets: Tensor) -> Tensor:
    """Multi-hot targets of any type as booleans."""
    return targets if targets.dtype is torch.bool else targets != 0


def check_zero_one(targets: Tensor) -> None:
    """Refuses targets other than 0 and 1 where looking costs nothing.

    Of these the sum of squares is the sum. That is one pass, and a difference is looked into: sums of
    more than 2²⁴ ones round.
    """
    if not may_look_at(targets):
        return
    flat = targets.flatten()
    try:
        if flat.is_floating_point() and torch.dot(flat, flat).item() == flat.sum().item():
            return
        is_hot = torch.equal(targets * targets, targets)
    except RuntimeError:  # inside vmap no value can be read
        return
    if not is_hot:
        wrong = targets[targets * targets != targets].flatten()[0].item()
        raise TagwiseValueError(
            f"expected targets of 0 and 1, found {wrong:g}; soft labels have no label set"
        )


def check_tensor(name: str, value: object) -> None:
    """Refuses what is no tensor."""
    if not isinstance(value, Tensor):
        raise TagwiseTypeError(f"expected {name} as a torch.Tensor, found {type(value).__name__}")


def class_factors(weight: Tensor | None, logits: Tensor) -> Tensor | None:
    """Class weights in the type of the logits, one for each of the K classes."""
    if weight is None:
        return None
    check_tensor("class_weight", weight)
    num_classes = logits.shape[-1]
    if weight.shape != (num_classes,):
        raise TagwiseValueError(
            f"expected class_weight of shape [{num_classes}], one for each class, "
            f"found {list(weight.shape)}"
        )
    return weight.to(logits)


def reduce(values: Tensor, reduction: Reduction, sample_weight: Tensor | None) -> Tensor:
    """The losses of all samples as one number, or each times its weight."""
    if sample_weight is None:
        if reduction == "none":
            return values
        total = values.sum()
        return total / max(values.numel(), 1) if reduction == "mean" else total
    check_tensor("sample_weight", sample_weight)
    if sample_weight.shape != values.shape:
        raise TagwiseValueError(
            f"expected sample_weight of shape {list(values.shape)}, one for each sample, "
            f"found {list(sample_weight.shape)}"
        )
    weight = sample_weight.to(values)
    weighted = values * weight
    if reduction == "none":
        return weighted
    if reduction == "sum":
        return weighted.sum()
    return weighted.sum() / weight.sum().clamp(min=torch.finfo(values.dtype).tiny)
