"""The losses of Tagwise as functions of logits and multi-hot targets.

Every loss is a sum over the labels of one sample, from logits through log-softmax or log-sigmoid.
All of them

- take logits ``[..., K]`` of any floating-point type and targets of the same shape, 0 and 1 of any
  type, and compute in f32 (f64 for f64), under autocast too;
- reduce over samples: ``"mean"`` is Σ w·loss / Σ w, ``"sum"`` is Σ w·loss and ``"none"`` gives
  ``[...]``, with w the ``sample_weight`` or 1;
- weigh labels by ``class_weight``, shape ``[K]``: what label k costs by being in the set counts
  c_k-fold, as PyTorch's ``pos_weight`` has it;
- accept logits of −∞ for labels that are masked. A masked label *in* the set costs about the
  largest number of the type.

They are checked against the same losses of the Rust library to 1e-12 in f64.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from tagwise.errors import TagwiseValueError
from tagwise.torch._logits import (
    Reduction,
    as_hot,
    class_factors,
    prepare,
    reduce,
    unmasked,
    where_finite,
)

__all__ = [
    "asymmetric_loss",
    "binary_cross_entropy_loss",
    "focal_loss",
    "pick_all_labels_loss",
    "zlpr_loss",
]

Weighting = Literal["sum", "mean"]


def pick_all_labels_loss(
    logits: Tensor,
    targets: Tensor,
    *,
    weighting: Weighting = "sum",
    reduction: Reduction = "mean",
    class_weight: Tensor | None = None,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """Pick-all-labels cross-entropy, Σ_{k∈S} −log p_k with p = softmax(z) and S the label set.

    ``weighting="sum"`` (PAL) counts a sample as often as it has labels, ``"mean"`` (PAL-N) divides
    by their number m. An empty label set costs 0 with gradient 0: there is no label to pick.

    Raises
    ------
    ValueError
        When shapes or devices differ, targets are not 0 and 1, or an option has no such value.

    Examples
    --------
    >>> import torch
    >>> from tagwise.torch.functional import pick_all_labels_loss
    >>> pick_all_labels_loss(torch.zeros(1, 3), torch.tensor([[1, 0, 1]]))  # 2 log 3
    tensor(2.1972)

    References
    ----------
    Li et al. 2024 (arXiv 2310.15903), equation 2.
    """
    if weighting not in ("sum", "mean"):
        raise TagwiseValueError(f"expected weighting to be 'sum' or 'mean', found {weighting!r}")
    z = prepare(logits, targets, reduction)
    factors = class_factors(class_weight, z)
    shares = targets.to(z.dtype)
    if weighting == "mean":
        shares = shares / shares.sum(-1, keepdim=True).clamp(min=1)
    if factors is not None:
        shares = shares * factors
    if sample_weight is None and z.numel() > 0:
        return where_finite(lambda z: _cross_entropy(z, shares, reduction), z)
    values = where_finite(lambda z: _cross_entropy(z, shares, "none"), z)
    return reduce(values, reduction, sample_weight)


def binary_cross_entropy_loss(
    logits: Tensor,
    targets: Tensor,
    *,
    reduction: Reduction = "mean",
    class_weight: Tensor | None = None,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """Binary cross-entropy *summed* over the classes, Σ_{k∈S} −log σ(z_k) + Σ_{k∉S} −log σ(−z_k).

    ``BCEWithLogitsLoss`` divides by K as well. An empty label set says that no label applies, and
    costs Σ −log σ(−z_k).

    Raises
    ------
    ValueError
        As :func:`pick_all_labels_loss`.

    Examples
    --------
    >>> import torch
    >>> from tagwise.torch.functional import binary_cross_entropy_loss
    >>> binary_cross_entropy_loss(torch.zeros(1, 3), torch.tensor([[1, 0, 1]]))  # 3 log 2
    tensor(2.0794)
    """
    z = prepare(logits, targets, reduction)
    hot, factors = targets.to(z.dtype), class_factors(class_weight, z)

    def loss_of(z: Tensor) -> Tensor:
        kind = "none" if reduction == "none" or sample_weight is not None else "sum"
        terms = F.binary_cross_entropy_with_logits(z, hot, pos_weight=factors, reduction=kind)
        if kind == "none":
            return terms.sum(-1)
        return terms / max(z.shape[:-1].numel(), 1) if reduction == "mean" else terms

    loss = where_finite(loss_of, z)
    return loss if sample_weight is None else reduce(loss, reduction, sample_weight)


def focal_loss(
    logits: Tensor,
    targets: Tensor,
    *,
    gamma: float = 2.0,
    reduction: Reduction = "mean",
    class_weight: Tensor | None = None,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """Focal loss summed over the classes: each term of binary cross-entropy times (1 − p_t)^gamma.

    p_t is the probability given to what is true; gamma = 0 is binary cross-entropy.

    Raises
    ------
    ValueError
        As :func:`pick_all_labels_loss`, and for a gamma that is negative or not finite.

    Examples
    --------
    >>> import torch
    >>> from tagwise.torch.functional import focal_loss
    >>> focal_loss(torch.zeros(1, 3), torch.tensor([[1, 0, 1]]))  # 3 log 2 / 4
    tensor(0.5199)

    References
    ----------
    Lin et al. 2017 (arXiv 1708.02002), equation 4.
    """
    check_exponent("gamma", gamma)
    z, hot = unmasked(prepare(logits, targets, reduction)), as_hot(targets)
    right = torch.where(hot, z, -z)  # the logit of what is true
    terms = _focused(F.logsigmoid(right), F.logsigmoid(-right), gamma)
    return reduce(_weighted_sum(terms, hot, class_factors(class_weight, z)), reduction, sample_weight)


def asymmetric_loss(
    logits: Tensor,
    targets: Tensor,
    *,
    gamma_positive: float = 0.0,
    gamma_negative: float = 4.0,
    margin: float = 0.05,
    reduction: Reduction = "mean",
    class_weight: Tensor | None = None,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """Asymmetric loss (ASL) summed over the classes, with p = σ(z) and q = max(p − margin, 0):

    Σ_{k∈S} −(1 − p_k)^γ₊ log p_k + Σ_{k∉S} −q_k^γ₋ log(1 − q_k). The gradient is that of the whole
    expression, focusing weights included.

    Raises
    ------
    ValueError
        As :func:`pick_all_labels_loss`, for an exponent that is negative or not finite, and for a
        margin outside 0 ≤ margin < 1.

    Examples
    --------
    >>> import torch
    >>> from tagwise.torch.functional import asymmetric_loss
    >>> asymmetric_loss(torch.zeros(1, 2), torch.tensor([[1, 0]]))  # log 2 + 0.45⁴·(−log 0.55)
    tensor(0.7177)

    References
    ----------
    Ridnik et al. 2021 (arXiv 2009.14119), equations 4 to 6.
    """
    check_exponent("gamma_positive", gamma_positive)
    check_exponent("gamma_negative", gamma_negative)
    check_margin(margin)
    z, hot = unmasked(prepare(logits, targets, reduction)), as_hot(targets)
    log_p, log_miss = F.logsigmoid(z), F.logsigmoid(-z)
    inside = _focused(log_p, log_miss, gamma_positive)
    outside = _shifted(z, gamma_negative, margin) if margin > 0 else _focused(log_miss, log_p, gamma_negative)
    terms = torch.where(hot, inside, outside)
    return reduce(_weighted_sum(terms, hot, class_factors(class_weight, z)), reduction, sample_weight)


def zlpr_loss(
    logits: Tensor,
    targets: Tensor,
    *,
    reduction: Reduction = "mean",
    class_weight: Tensor | None = None,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """Zero-bounded log-sum-exp and pairwise rank-based loss (ZLPR),

    log(1 + Σ_{k∉S} e^{z_k}) + log(1 + Σ_{k∈S} c_k·e^{−z_k}) with the class weights c.

    Raises
    ------
    ValueError
        As :func:`pick_all_labels_loss`.

    Examples
    --------
    >>> import torch
    >>> from tagwise.torch.functional import zlpr_loss
    >>> zlpr_loss(torch.zeros(1, 3), torch.tensor([[1, 0, 1]]))  # log 2 + log 3
    tensor(1.7918)

    References
    ----------
    Su et al. 2022 (arXiv 2208.02955), equation 6.
    """
    z, hot = unmasked(prepare(logits, targets, reduction)), as_hot(targets)
    factors = class_factors(class_weight, z)
    lowest = torch.finfo(z.dtype).min
    raised = -z if factors is None else factors.log() - z
    outside = torch.logsumexp(torch.where(hot, lowest, z), -1)
    inside = torch.logsumexp(torch.where(hot, raised, lowest), -1)
    values = -(F.logsigmoid(-outside) + F.logsigmoid(-inside))  # log(1 + e^x)
    return reduce(values, reduction, sample_weight)


def check_exponent(name: str, value: float) -> None:
    """Refuses exponents for which a loss is not defined."""
    if not 0.0 <= value < float("inf"):
        raise TagwiseValueError(f"expected {name} to be a finite number of at least 0, found {value}")


def check_margin(value: float) -> None:
    """Refuses margins for which the asymmetric loss is not defined."""
    if not 0.0 <= value < 1.0:
        raise TagwiseValueError(f"expected margin to be at least 0 and below 1, found {value}")


def _cross_entropy(z: Tensor, shares: Tensor, reduction: Reduction) -> Tensor:
    """−Σ_k shares_k·log softmax(z)_k over the last dimension, reduced."""
    if z.ndim == 2:
        loss = F.cross_entropy(z, shares, reduction=reduction)
    else:
        num_classes = z.shape[-1]
        flat = z.reshape(-1, num_classes), shares.reshape(-1, num_classes)
        loss = F.cross_entropy(*flat, reduction=reduction)
        loss = loss.reshape(z.shape[:-1]) if reduction == "none" else loss
    return loss + 0.0 if reduction == "none" else loss  # no −0 for an empty set


def _focused(log_right: Tensor, log_wrong: Tensor, gamma: float) -> Tensor:
    """−(1 − p_t)^γ log p_t from the logarithms of p_t and 1 − p_t.

    The power is an exponential, whose slope is finite where 1 − p_t is 0.
    """
    if gamma == 0.0:
        return -log_right
    return -torch.exp(gamma * log_wrong) * log_right


def _shifted(z: Tensor, gamma: float, margin: float) -> Tensor:
    """−q^γ log(1 − q) with q = max(σ(z) − margin, 0), whose slope is finite where q is 0."""
    q = torch.sigmoid(z) - margin
    counts = q > 0
    safe = torch.where(counts, q, 0.5)
    return torch.where(counts, -safe.pow(gamma) * torch.log1p(-safe), 0.0)


def _weighted_sum(terms: Tensor, hot: Tensor, factors: Tensor | None) -> Tensor:
    """The sum over classes, in which the labels of the set count c_k-fold."""
    if factors is not None:
        terms = terms * torch.where(hot, factors, 1.0)
    return terms.sum(-1)
